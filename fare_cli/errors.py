"""The error tree. Every error carries a message, a hint for the person at the screen, and an exit code."""

from __future__ import annotations

import re
from enum import IntEnum


class ExitCode(IntEnum):
    """What a shell sees. `GATE` answers what was asked: a gate failed, a time limit was reached, or things differ.
    All others are about the run."""

    OK = 0
    GATE = 1
    USAGE = 2
    INVALID = 3
    UNDECIDED = 4
    ENVIRONMENT = 5
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but newline and tab, what turns the direction of text, and halves of characters."""


def visible(text: str) -> str:
    """`text` with every character that could steer a terminal, or hide other text there, written out (`\\x1b`)."""
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class FareError(Exception):
    """Base of all errors that fare raises on purpose; shown as `error: ...` and `hint: ...`, without a traceback.

    Messages quote names out of files that nobody has vetted; they are made `visible`.
    """

    exit_code: ExitCode = ExitCode.ENVIRONMENT

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = visible(message)
        self.hint = visible(hint) if hint is not None else None
        super().__init__(self.message)


class UsageError(FareError):
    """The command, a setting or a prompt file asks for something that cannot be (exit 2)."""

    exit_code = ExitCode.USAGE


class InputError(FareError):
    """An input or output file cannot be used at all: missing, unreadable, another judge's (exit 2)."""

    exit_code = ExitCode.USAGE


class InvalidRecordsError(FareError):
    """Too many records could not be judged, or none at all (exit 3)."""

    exit_code = ExitCode.INVALID


class EnvironmentFault(FareError):
    """The machine does not do what is needed: disk full, no memory, missing dependency (exit 5)."""

    exit_code = ExitCode.ENVIRONMENT


class ModelError(EnvironmentFault):
    """A model cannot be found, loaded or run (exit 5)."""


class RecordError(FareError):
    """One record cannot be judged; becomes a verdict with `status: "invalid"`, never the end of the run.

    `kind` is a short stable name (`bad_json`, `missing_field`, `too_long`, ...); `field` is the dotted path of the
    field at fault, if it is one.
    """

    exit_code = ExitCode.INVALID

    def __init__(self, kind: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.field = field
