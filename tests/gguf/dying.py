"""Functions run in a process that is killed (SIGKILL) at a chosen moment: before its n-th change of the file system."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_MOST = 300
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.link", "os.mkdir", "os.truncate"}


def die_everywhere(job: Callable[[], object], below: Path, *, every: int = 1) -> Iterator[int]:
    """Runs `job` again and again, killed before its 1st change under `below`, its 2nd, ..., until one runs through.
    `every` leaves some out.

    Yields after each death, for the state that it leaves to be looked at and put back.
    """
    context = multiprocessing.get_context("fork")
    for number in range(1, _MOST, every):
        process = context.Process(target=_run, args=(job, str(below), number))
        process.start()
        process.join()
        if process.exitcode == 0:
            return
        assert process.exitcode == -signal.SIGKILL
        yield number
    raise AssertionError(f"the job makes more than {_MOST} changes")


def _run(job: Callable[[], object], below: str, number: int) -> None:
    left = number

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "open":
            path, mode, flags = arguments
            changes = bool(flags & (os.O_WRONLY | os.O_RDWR)) and mode != "a"
        else:
            path, changes = arguments[0] if arguments else None, event in _CHANGES
        if changes and isinstance(path, str | os.PathLike) and os.fspath(path).startswith(below):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    job()
