"""Verdict files, read back line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from fare_cli.errors import InputError
from fare_cli.run.lines import InputDigest, RawLine, check_inputs, read_lines
from fare_cli.verdicts import Verdict

NOT_KEPT = "verdict files are what fare judge -o and fare eval -o write, one task in each"
"""The hint for a file that holds something else."""


class NoVerdicts(InputError):
    """A file that holds none."""


class KeptVerdict(NamedTuple):
    """A verdict, and the line it stands in."""

    line: RawLine
    verdict: Verdict


def kept_verdicts(path: Path, digests: list[InputDigest]) -> Iterator[KeptVerdict]:
    """The verdicts in a file, plain or gzip, in order; its digest is appended to `digests`.

    Raises InputError, with line and field, for a file that holds anything but verdicts of one task, and NoVerdicts for
    an empty one.
    """
    check_inputs([str(path)])
    task = None
    for line in read_lines([str(path)], digests):
        if line.data is not None and not line.data.strip():
            continue
        verdict = _verdict(line)
        task = task or verdict.task
        if verdict.task != task:
            raise InputError(
                f"{path}, line {line.number}: a verdict of task {verdict.task}, the first one is of {task}", NOT_KEPT
            )
        yield KeptVerdict(line, verdict)
    if task is None:
        raise NoVerdicts(f"{path} holds no verdicts", NOT_KEPT)


def _verdict(line: RawLine) -> Verdict:
    where = f"{line.file}, line {line.number}"
    if line.data is None:
        raise InputError(f"{where}: the line is too long for a verdict", NOT_KEPT)
    try:
        return Verdict.from_line(line.data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {f'`{field}`: ' if field else ''}{first['msg']}", NOT_KEPT) from None
