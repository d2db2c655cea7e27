"""The disk on which models are kept: room on it, locks among processes, files that are there whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fare_cli.errors import EnvironmentFault, ModelError

Say = Callable[[str], None]

SPARE_BYTES = 64 << 20
"""Room that is left on a disk: one filled to the last byte takes other programs down."""

_CHUNK_BYTES = 1 << 20


@contextmanager
def only_one(path: Path, what: str, say: Say) -> Iterator[int]:
    """Holds the lock on a file or folder among all processes; waits for another that has it, which is then said.

    The lock is a file beside `path`, which need not exist. It goes with the descriptor that is given: a child process
    that gets it keeps others waiting, should this one be killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is busy with {what}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


@contextmanager
def writing(place: Path, hint: str | None = None) -> Iterator[None]:
    """Turns what the disk refuses inside into EnvironmentFault."""
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(f"{place} cannot be written: {error.strerror or error}", hint) from None


def check_space(
    folder: Path, needed: int, what: str, hint: str = "make room, or point FARE_HOME to another disk"
) -> int:
    """The bytes free where `folder` is or will be. Raises EnvironmentFault where `what` does not fit there with its
    `needed` bytes and a little spare room."""
    place = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed + SPARE_BYTES:
        raise EnvironmentFault(
            f"{what} needs about {needed / 1e9:.2f} GB in {folder}, and {free / 1e9:.2f} GB are free there", hint
        )
    return free


@contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """A file to write that is called `target` once the block has ended and its bytes are on the disk; nothing stays of
    it where the block fails."""
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as output:
            yield output
            _sync(output)
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def write_synced(target: Path, content: bytes) -> None:
    """Writes a small file safely onto the disk."""
    with target.open("wb") as output:
        output.write(content)
        _sync(output)


def copy_file(source: Path, target: Path) -> str:
    """Copies a file safely onto the disk, and gives its SHA-256. Raises ModelError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        opened = source.open("rb")
    except OSError as error:
        raise ModelError(f"{source} cannot be read: {error.strerror}") from None
    with opened, target.open("wb") as output:
        while chunk := opened.read(_CHUNK_BYTES):
            digest.update(chunk)
            output.write(chunk)
        _sync(output)
    return digest.hexdigest()


def _sync(output: BinaryIO) -> None:
    output.flush()
    os.fsync(output.fileno())
