"""The journal: an append-only file of replies, so that nothing that was answered is asked again."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from array import array
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from fare_cli.asks import BackendInfo, Reply
from fare_cli.errors import EnvironmentFault, InputError
from fare_cli.identity import JudgeIdentity
from fare_cli.run.files import append_whole, disk_fault, keep_private, open_locked
from fare_cli.run.lines import split_lines

FORMAT = 1
_HEADER_START = b'{"fare_journal":'
_KEY_START = b'{"key":"'
_KEY_END = len(_KEY_START) + 32
_REPLY_START = b'","reply":{'
_MAX_LINE_BYTES = 64 * 1024 * 1024
_SYNC_EVERY_S = 5.0
# An index entry is one 64-bit number: 24 bits of the key, 40 bits of offset (files up to 1 TiB).
_OFFSET_BITS = 40
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1


class Header(NamedTuple):
    """Whose replies follow: the judge as far as it changes a reply, and the engine that answers."""

    asking_fingerprint: str
    task: str
    model: str
    weights: str
    engine: Mapping[str, Any]

    @property
    def info(self) -> BackendInfo:
        """Who answered, as a backend says it."""
        return BackendInfo(self.weights, self.model, self.engine)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a scan of a journal found. `end` is the offset behind the last whole line."""

    headers: list[Header]
    index: array[int]
    skipped: int
    end: int


class Journal:
    """Replies on disk, found by the key of their ask (`Ask.content_hash`); 8 bytes of memory each.

    Every reply is handed to the operating system as one line at once, so that it survives the death of the process;
    the disk is made to hold it (fsync) every five seconds and at `close`. Only one process can have it open.
    """

    def __init__(self, path: Path, descriptor: int, contents: Contents) -> None:
        self.path = path
        self.skipped_lines = contents.skipped
        self.appended = 0
        self.headers = contents.headers
        self._descriptor = descriptor
        self._index = contents.index
        self._end = contents.end
        self._synced_at = time.monotonic()

    @classmethod
    def open(cls, path: Path, identity: JudgeIdentity, *, resume: bool = True, force: bool = False) -> Journal:
        """The journal at `path`, made if missing. A torn last line is cut away. Without `resume` it starts anew.

        Raises InputError if another process has it open, if it is no journal of fare, or if its replies are those of
        another judge; `force` takes another judge's journal and adds to it (replies are found by what was asked of
        which weights, so they do not mix).
        """
        descriptor = open_locked(path, "journal")
        try:
            contents = _owned_contents(path, descriptor, identity, resume=resume, force=force)
            keep_private(descriptor)
            os.ftruncate(descriptor, contents.end)
            os.lseek(descriptor, contents.end, os.SEEK_SET)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, contents)

    @property
    def replies(self) -> int:
        """How many replies it held when it was opened."""
        return len(self._index)

    def find(self, key: str) -> Reply | None:
        """The first readable reply for `key` among those that were there when the journal was opened."""
        low = int(key[:6], 16) << _OFFSET_BITS
        at = bisect_left(self._index, low)
        while at < len(self._index) and self._index[at] <= low + _OFFSET_MASK:
            line = _line_at(self._descriptor, self._index[at] & _OFFSET_MASK)
            if line[len(_KEY_START) : _KEY_END] == key.encode():
                reply = _read_reply(line)
                if reply is not None:
                    return reply
                self.skipped_lines += 1
            at += 1
        return None

    def begin(self, identity: JudgeIdentity, engine: Mapping[str, Any]) -> None:
        """Says whose replies are added from here on; call it before the first `append`.

        Raises InputError where a deterministic run would be mixed with replies of one that was not.
        """
        header = Header(identity.asking_fingerprint, identity.task, identity.model, identity.weights, dict(engine))
        mine = (h for h in self.headers if h.asking_fingerprint == header.asking_fingerprint)
        if engine.get("deterministic") and not all(h.engine.get("deterministic") for h in mine):
            raise InputError(
                f"journal {self.path} holds replies of a run without --deterministic",
                "ask again with --no-resume, or go on without --deterministic",
            )
        if not self.headers or self.headers[-1] != header:
            self._write_line({"fare_journal": FORMAT, **header._asdict()})
            self.headers.append(header)

    def append(self, key: str, reply: Reply) -> None:
        """Keeps a reply. An error is not kept: its ask stays owed. Raises EnvironmentFault when the disk is full."""
        if reply.error is None:
            self._write_line({"key": key, "reply": reply.to_json()})
            self.appended += 1

    def _write_line(self, values: Mapping[str, Any]) -> None:
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", "surrogatepass") + b"\n"
        append_whole(self._descriptor, data, self._end, f"journal {self.path}")
        self._end += len(data)
        if time.monotonic() - self._synced_at > _SYNC_EVERY_S:
            self._sync()

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise disk_fault(f"journal {self.path}", error) from error
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Makes the disk hold what was written and lets the file go; harmless when called twice."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if not self._end:
                # Nothing was asked: an empty journal would only puzzle.
                self.path.unlink(missing_ok=True)
            os.fsync(descriptor)
        except OSError as error:
            raise disk_fault(f"journal {self.path}", error) from error
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            with contextlib.suppress(EnvironmentFault):
                self.close()


def peek_headers(path: Path) -> list[Header]:
    """Whose replies a journal holds, without locking it; [] if there is no journal of fare at `path`."""
    try:
        with path.open("rb") as file:
            return [header] if (header := _read_header(file.readline(_MAX_LINE_BYTES))) else []
    except OSError:
        return []


def read_replies(path: Path) -> tuple[list[Header], dict[str, Reply]]:
    """All headers and replies of a journal in memory, the first reply for each key; for replay, not for large runs."""
    headers: list[Header] = []
    replies: dict[str, Reply] = {}
    with path.open("rb") as file:
        for piece in split_lines(file.read, _MAX_LINE_BYTES):
            line = piece.data or b""
            if (header := _read_header(line)) is not None:
                headers.append(header)
            elif piece.ended and _is_reply(line) and (reply := _read_reply(line)) is not None:
                replies.setdefault(line[len(_KEY_START) : _KEY_END].decode(), reply)
    if not headers:
        raise InputError(f"{path} is not a journal of fare")
    return headers, replies


def _owned_contents(path: Path, descriptor: int, identity: JudgeIdentity, *, resume: bool, force: bool) -> Contents:
    empty = Contents([], array("Q"), 0, 0)
    start = os.pread(descriptor, len(_HEADER_START), 0)
    if not _HEADER_START.startswith(start):
        if force and not resume:
            return empty
        raise InputError(f"{path} is not a journal of fare", "choose another journal file, or remove this one")
    contents = _scan(descriptor)
    if not contents.headers:
        if contents.end and not (force and not resume):
            raise InputError(
                f"the first line of journal {path} is damaged", "to give its replies up: --no-resume --force"
            )
        return empty
    if not force and all(header.asking_fingerprint != identity.asking_fingerprint for header in contents.headers):
        other = contents.headers[-1]
        raise InputError(
            f"journal {path} holds the replies of another judge ({other.model}, task {other.task}, "
            f"judge {other.asking_fingerprint}; this one is {identity.asking_fingerprint})",
            "choose another output with -o, or add to it with --force",
        )
    return contents if resume else empty


def _scan(descriptor: int) -> Contents:
    headers: list[Header] = []
    index: array[int] = array("Q")
    skipped = 0
    end = 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    for piece in split_lines(lambda size: os.read(descriptor, size), _MAX_LINE_BYTES):
        line = piece.data or b""
        if not piece.ended:
            break  # torn by the death of the process that wrote it
        if _is_reply(line):
            index.append(int(line[len(_KEY_START) : len(_KEY_START) + 6], 16) << _OFFSET_BITS | piece.start)
        elif (header := _read_header(line)) is not None:
            headers.append(header)
        else:
            skipped += 1
        end = piece.start + piece.size
    return Contents(headers, _sorted(index), skipped, end)


def _sorted(index: array[int]) -> array[int]:
    import numpy as np

    # In place, through the array's own memory: a copy would double the peak.
    if index:
        np.frombuffer(index, dtype=np.uint64).sort()
    return index


def _is_reply(line: bytes) -> bool:
    if not (line.startswith(_KEY_START) and line.startswith(_REPLY_START, _KEY_END) and line.endswith(b"}}")):
        return False
    return all(byte in b"0123456789abcdef" for byte in line[len(_KEY_START) : _KEY_END])


def _read_reply(line: bytes) -> Reply | None:
    try:
        reply = Reply.from_json(json.loads(line)["reply"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return reply if reply.error is None and is_sound(reply) else None


def is_sound(reply: Reply) -> bool:
    """Whether its numbers can be used: no NaN, and a label that is one of those read."""
    read = reply.log_probabilities
    if read is None:
        return reply.log_probability is None or not math.isnan(reply.log_probability)
    return reply.label in read and not any(math.isnan(value) for value in read.values())


def _read_header(line: bytes) -> Header | None:
    if not line.startswith(_HEADER_START):
        return None
    try:
        values = json.loads(line)
        if values.pop("fare_journal") != FORMAT:
            return None
        return Header(**values)
    except (ValueError, TypeError, KeyError):
        return None


def _line_at(descriptor: int, offset: int) -> bytes:
    parts = []
    size = 4096
    while data := os.pread(descriptor, size, offset):
        parts.append(data)
        if b"\n" in data:
            break
        offset += len(data)
        size = min(size * 4, 1 << 20)
    return b"".join(parts).split(b"\n", 1)[0]
