"""What the commands that study a judge share: the options, the talk on stderr while it runs, the report at its end."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fare_cli.cli.console import Console, ProgressDisplay
from fare_cli.cli.stopping import StopSignals
from fare_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.asks import Backend
    from fare_cli.report.model import Report
    from fare_cli.studies.judging import Talk

# Options of `fare judge` that say how a study reads and judges; most are settings.
STUDY_OPTIONS = (
    "map", "split", "limit", "shuffle_seed", "quiet",
    "mode", "order", "combine", "tie", "votes", "temperature", "seed", "max_tokens", "reasoning", "reasoning_tokens",
    "prompts", "model", "lora", "ctx", "slots", "threads", "gpu_layers", "gpu_split", "kv_type", "deterministic",
    "backend", "url", "served_model", "concurrency", "timeout",
    "max_invalid", "isolated",
)  # fmt: skip

_REPORT = "Report"

ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write the report there, too: a page (.html) or JSON (.json).",
        show_default=False,
        rich_help_panel=_REPORT,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as JSON.", rich_help_panel=_REPORT)]
Again = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Ask everything anew instead of taking the replies that this judge gave earlier.",
        rich_help_panel=_REPORT,
    ),
]


@contextlib.contextmanager
def talking(console: Console, *, kept: bool = True) -> Iterator[Talk]:
    """What a study tells, shown on stderr. Inside, Ctrl-C and SIGTERM end the study within a second, as
    KeyboardInterrupt; what was answered until then is `kept`, or not."""
    from fare_cli.studies.judging import Talk

    signals = StopSignals()
    shown = ProgressDisplay(console, live=sys.stderr.isatty())

    def turn(name: str) -> None:
        # The backend before is closed: a signal while the next one loads must not reach for it.
        signals.backend = None
        shown.close()
        console.say(f"judging with {name}")

    def working(backend: Backend) -> None:
        signals.backend = backend
        # A signal that came while llama.cpp was loading was lost in one of its callbacks.
        signals.check()

    try:
        with signals.handled():
            yield Talk(turn, working, shown.show)
    except KeyboardInterrupt:
        shown.close()
        so_far = "the replies so far are kept; the same command goes on from there" if kept else "nothing was kept"
        print(f"interrupted: {so_far}", file=sys.stderr)
        raise
    finally:
        shown.close()


def check_report_file(path: Path | None) -> None:
    """Raises UsageError or InputError for a file that a report cannot be written to."""
    if path is None:
        return
    if path.suffix not in (".html", ".json"):
        raise UsageError(f"--report {path}: the name must end in .html or .json", f"for example --report {path}.html")
    if not path.absolute().parent.is_dir():
        raise InputError(f"the folder of --report {path} does not exist")


def show_report(report: Report, *, as_json: bool, file: Path | None) -> None:
    """Prints the report on stdout, and writes it to `file` if there is one."""
    from fare_cli.report.text import text_lines

    write_report(report, file)
    if as_json:
        print(json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(text_lines(report)), flush=True)


def write_report(report: Report, file: Path | None) -> None:
    """Writes the report to `file`, as a page or as JSON, if there is one."""
    from fare_cli.report.page import page
    from fare_cli.run.files import write_whole

    if file is not None:
        as_page = file.suffix == ".html"
        text = (
            page(report)
            if as_page
            else json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )
        write_whole(file, text, "report")
