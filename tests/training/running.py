"""Runs verbs of training in this process."""

from __future__ import annotations

from training.__main__ import run


def verb(*arguments: str) -> int:
    """The exit code of `python -m training ARGUMENTS`; what it says is said."""
    return run(list(arguments))
