"""Brings one file over HTTP: goes on where an earlier try stopped, and lets only pass what was announced.

The bytes are fetched here, also from the Hub, because huggingface-hub's own download throws away what has arrived when
the process ends (since 1.18, its pull request 4228): with 5 GB on a slow line that would be hours.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

import httpx2

from fare_cli.errors import EnvironmentFault, ModelError
from fare_cli.gguf.disk import Say, check_space
from fare_cli.gguf.fetch.patience import TEMPORARY_STATUS, Patience, connection_reason, status_reason
from fare_cli.gguf.store import file_sha256

Show = Callable[[str, int, int | None], None]
"""Takes a file's name, the bytes of it that are here, and its size if that is known."""

KEPT = "what has arrived is kept, and the same command goes on from there"
"""What helps where the disk does not take more."""

_CHUNK_BYTES = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _Wrong(Exception):
    """What is offered is not the file that was announced; the message says how it shows."""


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to bring: where it is and what is known about it beforehand.

    `name` is for people. `git_sha1` is git's own checksum of a file (of `blob SIZE`, a zero byte, and the content), all
    that the Hub states for small files. `validator` is a strong ETag or a date that the server can compare when asked
    for the rest of a file (`If-Range`, RFC 9110, section 13.1.5). `resumable` is false where a rest could belong to
    another file.
    """

    url: str
    name: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    validator: str | None = None
    resumable: bool = True

    @property
    def key(self) -> str:
        """Names this very content, so that a part of another one is never taken for a part of this."""
        identity = self.sha256 or self.git_sha1 or f"{self.url} {self.validator} {self.size}"
        return hashlib.sha256(identity.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a server: the client, the headers it wants, and what a refusal (a status from 400 on) means there.

    `explain` raises the error that tells people; it is not asked about refusals that another try may change.
    """

    client: Callable[[], httpx2.Client]
    headers: Mapping[str, str]
    explain: Callable[[Remote, int], NoReturn]
    timeout_s: float = 30.0


def part_file(target: Path, remote: Remote) -> Path:
    """Where the bytes of `remote` gather until they are whole: beside `target`, hidden, named by the content."""
    return target.with_name(f".{target.name}.{remote.key}.part")


def clear_parts(target: Path, keep: Path | None = None) -> None:
    """Removes what was left of other tries to bring `target`."""
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        if leftover != keep:
            leftover.unlink(missing_ok=True)


def bytes_missing(remote: Remote, target: Path) -> int:
    """How many bytes are still to be brought; 0 where nobody knows the size."""
    part = part_file(target, remote)
    return max(0, (remote.size or 0) - (part.stat().st_size if part.exists() else 0))


def is_here(remote: Remote, target: Path) -> bool:
    """Whether `target` is `remote` by its checksum; never, where none is known."""
    if not target.is_file() or (remote.size is not None and target.stat().st_size != remote.size):
        return False
    if remote.sha256 is not None:
        return file_sha256(target) == remote.sha256
    if remote.git_sha1 is not None:
        content = target.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == remote.git_sha1
    return False


def transfer(remote: Remote, target: Path, way: Way, *, say: Say, show: Show, patience: Patience | None = None) -> str:
    """Brings `remote` to `part_file(target, remote)`, whole, checked and on disk; returns its SHA-256.

    Goes on after what is already there. Raises EnvironmentFault when it is time to give up (what has arrived is kept),
    ModelError for wrong bytes (what has arrived is deleted), and whatever `way.explain` raises.
    """
    part = part_file(target, remote)
    if not remote.resumable:
        part.unlink(missing_ok=True)
    with part.open("a+b") as file:
        arriving = _Arriving(remote, file, show)
        if remote.size is not None:
            check_space(target.parent, remote.size - arriving.count, remote.name)
        try:
            _fill(arriving, way, target.parent, patience or Patience(remote.name, say))
            arriving.check()
        except _Wrong as wrong:
            part.unlink(missing_ok=True)
            raise ModelError(f"{remote.name}: {wrong}", "nothing was installed, and what came was deleted") from None
        file.flush()
        os.fsync(file.fileno())
    return arriving.sha256


def _fill(arriving: _Arriving, way: Way, folder: Path, patience: Patience) -> None:
    while not arriving.is_whole:
        before = arriving.furthest
        reason, headers = _try_once(arriving, way, folder)
        if arriving.furthest > before:
            patience.renew()
        if reason is not None:
            patience.wait(reason, headers)


class _Arriving:
    """The part of a file that is here, with its checksums so far."""

    def __init__(self, remote: Remote, file: BinaryIO, show: Show) -> None:
        self.remote = remote
        self._file = file
        self._show = show
        self.size = remote.size
        self.furthest = 0
        self.ended = False
        self._begin()
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            self._count_in(chunk)
        if self.is_too_long:
            self.start_over()

    def _begin(self) -> None:
        self.count = 0
        self._sha256: _Digest = hashlib.sha256()
        self._sha1: _Digest | None = None
        if self.remote.git_sha1 is not None:
            self._sha1 = hashlib.sha1(f"blob {self.remote.size}\0".encode(), usedforsecurity=False)

    def start_over(self) -> None:
        """Forgets what is here: the server sends from the beginning, or something else."""
        self._file.truncate(0)
        self._begin()

    def add(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._count_in(chunk)

    def _count_in(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        if self._sha1 is not None:
            self._sha1.update(chunk)
        self.count += len(chunk)
        self.furthest = max(self.furthest, self.count)
        self._show(self.remote.name, self.count, self.size)

    @property
    def is_too_long(self) -> bool:
        return self.size is not None and self.count > self.size

    @property
    def is_whole(self) -> bool:
        """Everything announced is here, or more than that; without an announced size, the server came to its end."""
        return self.ended if self.size is None else self.count >= self.size

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def check(self) -> None:
        """Raises _Wrong where this is not the file announced."""
        if self.is_too_long:
            raise _Wrong(f"more came than the {self.size} bytes that were announced")
        if self.remote.sha256 is not None and self.sha256 != self.remote.sha256:
            raise _Wrong(f"what came is not the file expected: its checksum differs from {self.remote.sha256[:12]}...")
        if self._sha1 is not None and self._sha1.hexdigest() != self.remote.git_sha1:
            raise _Wrong(f"what came is not the file expected: its git checksum differs from {self.remote.git_sha1}")


def _try_once(arriving: _Arriving, way: Way, folder: Path) -> tuple[str | None, Mapping[str, str]]:
    """Asks for what is missing and takes what comes; returns why it stopped short, and the answer's headers."""
    remote = arriving.remote
    # Compressed on the way, a file could not be asked for from its middle.
    headers = {**way.headers, "Accept-Encoding": "identity"}
    if arriving.count:
        headers["Range"] = f"bytes={arriving.count}-"
        if remote.validator is not None:
            headers["If-Range"] = remote.validator
    try:
        with way.client().stream(
            "GET", remote.url, headers=headers, timeout=way.timeout_s, follow_redirects=True
        ) as response:
            if response.status_code == 416:
                # There is nothing behind what is here, so it is not the beginning of what the server has.
                arriving.start_over()
                return "the server does not have the rest", {}
            if response.status_code in TEMPORARY_STATUS:
                return status_reason(response.status_code), response.headers
            if response.status_code >= 400:
                way.explain(remote, response.status_code)
            _take(response, arriving, folder)
    except httpx2.TransportError as error:
        return connection_reason(error), {}
    except httpx2.RequestError as error:
        raise EnvironmentFault(f"{remote.name}: the server's answer makes no sense: {error}") from None
    return (None if arriving.is_whole else "the server stopped in the middle"), {}


def _take(response: httpx2.Response, arriving: _Arriving, folder: Path) -> None:
    start, size = _announced(response)
    if arriving.size is not None and size not in (None, arriving.size):
        raise _Wrong(f"the server has {size} bytes, {arriving.size} were announced")
    if start != arriving.count:
        arriving.start_over()
        if start != 0:
            return
    if arriving.size is None and size is not None:
        arriving.size = size
        check_space(folder, size - arriving.count, arriving.remote.name)
    for chunk in response.iter_bytes():
        arriving.add(chunk)
        if arriving.is_too_long:
            return
    arriving.ended = True


def _announced(response: httpx2.Response) -> tuple[int, int | None]:
    """Where in the file the answer begins, and how long the whole file is, as far as its headers say."""
    if response.status_code == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if match is None:
            return 0, None
        return int(match[1]), None if match[2] == "*" else int(match[2])
    if "content-encoding" in response.headers:
        return 0, None
    length = response.headers.get("content-length", "")
    return 0, int(length) if length.isdecimal() else None
