"""Files for their owner alone that appear under their name when they are whole and that one process writes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

from fare_cli.errors import EnvironmentFault, InputError

OWNER_ONLY = 0o600
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file size limit is reached",
}


class InUse(InputError):
    """Another process is writing the file."""


def disk_fault(what: str, error: OSError) -> EnvironmentFault:
    """The error for a write that failed: exit 5, with what a person can do about it."""
    reason = _FULL.get(error.errno or 0, error.strerror or str(error))
    return EnvironmentFault(
        f"cannot write {what}: {reason}", "make room and run the same command again: it goes on where it stopped"
    )


def open_locked(path: Path, what: str) -> int:
    """A file descriptor open for reading and writing, created if missing, that no other process holds at the same time.

    The lock goes with the descriptor. Raises InUse if another process holds it, InputError if the path cannot be used.
    """
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, OWNER_ONLY)
        except OSError as error:
            raise _unusable(path, what, error) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"{what} {path} is not a regular file")
            _lock(descriptor, path, what)
            # Between open and lock the other process may have renamed the file away: then this is not `path` any more.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def keep_private(descriptor: int) -> None:
    """Takes a file that is ours away from everybody but its owner."""
    with contextlib.suppress(PermissionError):  # somebody else's file that may be written
        os.fchmod(descriptor, OWNER_ONLY)


def _lock(descriptor: int, path: Path, what: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InUse(
            f"{what} {path} is in use by another process", "wait for it to end, or choose another output with -o"
        ) from error
    except OSError as error:
        raise EnvironmentFault(f"cannot lock {what} {path}: {error.strerror}", "choose a local disk for it") from error


def _unusable(path: Path, what: str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"the folder of {what} {path} does not exist", f"create it first: mkdir -p {path.parent}")
    if isinstance(error, IsADirectoryError):
        return InputError(f"{what} {path} is a directory", "name a file")
    if isinstance(error, PermissionError):
        return InputError(f"{what} {path} may not be written: permission denied")
    return InputError(f"cannot open {what} {path}: {error.strerror or error}")


def append_whole(descriptor: int, data: bytes, end: int, what: str) -> None:
    """Writes all of `data` behind `end`, where the descriptor stands. Raises EnvironmentFault where the disk does not
    take it; then the file ends at `end` again."""
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError as error:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, end)
            os.lseek(descriptor, end, os.SEEK_SET)
        raise disk_fault(what, error) from error


def sync_folder(folder: Path) -> None:
    """Makes the disk hold the names in a folder, where its file system can be told to."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(path: Path, text: str, what: str) -> None:
    """Puts `text` at `path` in one step: readers see the old file or the new one."""
    partial = path.with_name(path.name + ".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), OWNER_ONLY)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise disk_fault(f"{what} {path}", error) from error


class OutputFile:
    """Lines written beside `path` and renamed into place by `publish`; without it nothing appears under the name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self.lines = 0
        self._sha256 = hashlib.sha256()
        self._partial = path.with_name(path.name + ".partial")
        # A lock on the partial file keeps a second process off the same output.
        self._file = os.fdopen(open_locked(self._partial, "output"), "wb")
        keep_private(self._file.fileno())
        self._file.truncate()

    def write(self, line: str) -> None:
        """Adds one line; the line end is added here. Raises EnvironmentFault where the disk does not take it."""
        data = line.encode("utf-8") + b"\n"
        try:
            self._file.write(data)
        except OSError as error:
            raise disk_fault(f"output {self.path}", error) from error
        self._sha256.update(data)
        self.bytes += len(data)
        self.lines += 1

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def publish(self) -> None:
        """Makes the file appear under its name, safe on the disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._partial.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise disk_fault(f"output {self.path}", error) from error
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file.closed:
            return
        with contextlib.suppress(OSError):
            self._partial.unlink(missing_ok=True)
        # Closing flushes, which fails again on a full disk; the file is unlinked already.
        with contextlib.suppress(OSError):
            self._file.close()
