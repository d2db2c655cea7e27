"""Order in the place where files arrive: one process at a time, and errors of the disk in words."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fare_cli.errors import EnvironmentFault
from fare_cli.gguf.fetch.patience import Say


@contextmanager
def only_one(target: Path, say: Say) -> Iterator[None]:
    """Holds the lock on `target` among all processes; waits for the one that has it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is bringing {target.stem}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses inside into EnvironmentFault."""
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(
            f"{error.filename or folder} cannot be written: {error.strerror or error}",
            "what has arrived is kept, and the same command goes on from there",
        ) from None
