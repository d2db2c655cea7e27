"""A person's review file while they work: one process adds an event at a time, each on the disk at once."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from fare_cli.errors import InputError
from fare_cli.review.events import ReviewEvent, read_events
from fare_cli.run.files import append_whole, disk_fault, keep_private, open_locked, sync_folder
from fare_cli.run.lines import GZIP_MAGIC


class ReviewFile:
    """Events on disk. What `append` has come back from is there after a kill and after a power cut (fsync)."""

    def __init__(self, path: Path, descriptor: int, events: list[ReviewEvent], end: int) -> None:
        self.path = path
        self.events = events
        self._descriptor = descriptor
        self._end = end

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file at `path`, made if it is missing, with its events. A torn last line is cut away.

        Raises InputError where another process has it open, or where it holds anything but events.
        """
        descriptor = open_locked(path, "review file")
        try:
            if os.pread(descriptor, len(GZIP_MAGIC), 0) == GZIP_MAGIC:
                raise InputError(f"review file {path} is packed, so nothing can be added to it", "unpack it: gunzip")
            events = list(read_events(path))
            keep_private(descriptor)
            end = _whole_lines(descriptor, path)
            sync_folder(path.absolute().parent)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, events, end)

    def append(self, event: ReviewEvent) -> None:
        """Adds an event and waits until the disk has it. Raises EnvironmentFault where it does not take it; then the
        file is as it was."""
        what = f"review file {self.path}"
        data = event.to_line().encode() + b"\n"
        append_whole(self._descriptor, data, self._end, what)
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
                os.lseek(self._descriptor, self._end, os.SEEK_SET)
            raise disk_fault(what, error) from error
        self._end += len(data)
        self.events.append(event)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _whole_lines(descriptor: int, path: Path) -> int:
    """Makes the file end with a whole line, and gives its size: a last event without a line end gets one, what is left
    of a torn one goes."""
    data = path.read_bytes()
    start = data.rfind(b"\n") + 1
    end = len(data)
    if data[start:].strip():
        try:
            ReviewEvent.model_validate_json(data[start:])
        except ValidationError:
            end = start
    os.ftruncate(descriptor, end)
    os.lseek(descriptor, end, os.SEEK_SET)
    if end > start:
        append_whole(descriptor, b"\n", end, f"review file {path}")
        end += 1
    return end
