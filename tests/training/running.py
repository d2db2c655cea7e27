"""Runs verbs of training: in this process, or in one of their own that is killed."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping

from training.__main__ import run

# What a verb needs is imported once; each process is a fork of that. One thread gives the same sums everywhere.
_FORKING = multiprocessing.get_context("forkserver")
_FORKING.set_forkserver_preload(["training.loop", "training.trainer"])
_LONGEST_S = 300


def verb(*arguments: str) -> int:
    """The exit code of `python -m training ARGUMENTS`; what it says is said."""
    return run(list(arguments))


def kill_verb(reached: Callable[[], bool], *arguments: str) -> None:
    """Starts the verb in a process of its own and kills it (-9) as soon as `reached` says that it is far enough.

    Fails where the verb ends before."""
    process = _FORKING.Process(target=_run_alone, args=(list(arguments), dict(os.environ)))
    process.start()
    try:
        until = time.monotonic() + _LONGEST_S
        while not reached():
            assert process.is_alive(), f"it ended before, with {process.exitcode}"
            assert time.monotonic() < until
            time.sleep(0.002)
    finally:
        process.kill()
        process.join()


def _run_alone(arguments: list[str], environment: Mapping[str, str]) -> None:
    import torch

    os.environ.update(environment)
    torch.set_num_threads(1)
    raise SystemExit(run(arguments))
