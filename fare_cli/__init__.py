"""fare: a local judge for the outputs of language models.

    import fare_cli as fare

    with fare.Judge.open("model.gguf") as judge:
        for verdict in judge.pairwise(records):
            ...

The names below are all that is public; they are imported when first used, so that `import fare_cli` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fare_cli.errors import (
    EnvironmentFault,
    ExitCode,
    FareError,
    InputError,
    InvalidRecordsError,
    ModelError,
    RecordError,
    UsageError,
)

if TYPE_CHECKING:
    from fare_cli.backends.http.options import ServerOptions
    from fare_cli.identity import JudgingOptions
    from fare_cli.judge import Judge
    from fare_cli.records import Verdict

__all__ = [
    "EnvironmentFault",
    "ExitCode",
    "FareError",
    "InputError",
    "InvalidRecordsError",
    "Judge",
    "JudgingOptions",
    "ModelError",
    "RecordError",
    "ServerOptions",
    "UsageError",
    "Verdict",
]

_LAZY = {
    "Judge": "fare_cli.judge",
    "JudgingOptions": "fare_cli.identity",
    "ServerOptions": "fare_cli.backends.http.options",
    "Verdict": "fare_cli.records",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
