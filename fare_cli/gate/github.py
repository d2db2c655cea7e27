"""The outcome inside GitHub Actions: annotations on records, and the summary of the step.

The runner reads every line that a step prints; one that begins with `::` is a command to it. So that a record cannot
give one (an id may hold anything), the report is printed between `::stop-commands::` and a word that nobody can guess,
and what goes into a command of ours is escaped as the runner's own toolkit does (actions/toolkit, command.ts).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from fare_cli.errors import EnvironmentFault, ExitCode, FareError, UsageError, visible
from fare_cli.gate.gate import GateResult
from fare_cli.gate.markdown import markdown
from fare_cli.report.markdown import MOST_BYTES

# GitHub shows 10 annotations of a kind for a step, and takes 1 MiB of summary.
MOST_ANNOTATIONS = 10
MOST_SUMMARY_BYTES = 1024 * 1024

_TITLE = "fare gate"


def summary_file() -> Path:
    """Where the summary of this step is gathered. Raises UsageError outside of GitHub Actions."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        raise UsageError("--github: GITHUB_STEP_SUMMARY is not set", "that is for a step of GitHub Actions")
    return Path(name)


def summarise(result: GateResult, file: Path) -> None:
    """Adds the outcome to the summary of the step, as far as there is room."""
    try:
        room = MOST_SUMMARY_BYTES - (file.stat().st_size if file.exists() else 0)
        text = markdown(result, most_bytes=min(room, MOST_BYTES))
        if len(text.encode()) <= room:
            with file.open("a", encoding="utf-8") as summary:
                summary.write(text)
    except OSError as error:
        raise EnvironmentFault(f"cannot write the summary {file}: {error.strerror}") from error


@contextlib.contextmanager
def commands_stopped() -> Iterator[None]:
    """Inside, no line that is printed on stdout is a command to the runner."""
    word = secrets.token_hex(16)
    print(f"::stop-commands::{word}", flush=True)
    try:
        yield
    finally:
        print(f"::{word}::", flush=True)


def annotation_lines(result: GateResult) -> list[str]:
    """At most ten commands: every limit that was not kept, then the records that count most against the run."""
    lines = []
    for check in result.checks:
        if check.outcome is not ExitCode.OK:
            kind = "notice" if result.outcome is ExitCode.OK else "error"
            lines.append(command(kind, f"{check.name}: {check.decided}, {check.words}", title=_TITLE))
    for one in result.blamed if result.outcome is not ExitCode.OK else ():
        source = one.case.source
        if source is not None:
            said = f"{one.case.id}: {one.words}"
            lines.append(command("error", said, file=source.file, line=str(source.line), title=_TITLE))
    return lines[:MOST_ANNOTATIONS]


def fault_annotation(error: FareError) -> str:
    """The command for verdicts that could not be gated at all."""
    return command("error", error.message, title=_TITLE)


def command(kind: str, message: str, **properties: str) -> str:
    """A workflow command on one line; nothing in it ends it or begins another."""
    named = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {named}::{_data(visible(message))}"


def _data(text: str) -> str:
    return _replaced(text, {"%": "%25", "\r": "%0D", "\n": "%0A"})


def _property(text: str) -> str:
    return _replaced(visible(text), {"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def _replaced(text: str, by: Mapping[str, str]) -> str:
    return "".join(by.get(character, character) for character in text)
