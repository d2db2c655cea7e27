"""The options of `fare eval`, and which of them go together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fare_cli.cli.options import JudgeOptions
from fare_cli.cli.study import Again, AsJson, ReportFile, check_report_file
from fare_cli.errors import InputError, UsageError

_WHAT = "What to measure on"
_CALIBRATION = "Calibration"
_CASCADE = "Cascade (--mode auto)"


def _what(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, rich_help_panel=_WHAT)


@dataclass(frozen=True, slots=True)
class EvalOptions:
    """What the command line gave, apart from the options that it shares with `fare judge`."""

    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="JSONL files of records with gold, or NAME=FILE for a published file (fare data convert --list).",
            show_default=False,
        ),
    ]
    task: Annotated[
        Literal["pairwise", "step", "verify", "score"] | None,
        _what(
            "--task", metavar="pairwise|step|verify|score", help="What the records are, if their fields do not tell."
        ),
    ]
    suite: Annotated[
        str | None, _what("--suite", metavar="NAME", help="The sets of a suite: fare has the six of FARE's own table.")
    ]
    data: Annotated[
        Path | None, _what("--data", metavar="DIR", help="Where the published files of the suite lie, at any depth.")
    ]
    cross: Annotated[
        str | None,
        _what(
            "--cross",
            metavar="FILE",
            help="Judge these pairs as pairs, and each answer by yes or no and by score: do they tell one story?",
        ),
    ]
    verdicts: Annotated[
        list[Path],
        _what(
            "--verdicts", metavar="FILE", help="Measure verdicts that are kept, without a model; several are compared."
        ),
    ]
    against: Annotated[
        str | None,
        _what("--against", metavar="NAME|FILE", help="Judge with a second model, too, and compare the two."),
    ]
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="FILE",
            help="Fit a calibration of the judge's probabilities, and write it there for fare judge --calibration.",
            show_default=False,
            rich_help_panel=_CALIBRATION,
        ),
    ]
    calibrate_by: Annotated[
        Literal["temperature", "isotonic"],
        typer.Option(
            "--calibrate-by",
            metavar="temperature|isotonic",
            help="One number that keeps the order of labels, or a rising line for 1000 records and more.",
            rich_help_panel=_CALIBRATION,
        ),
    ]
    learn_thresholds: Annotated[
        Path | None,
        typer.Option(
            "--learn-thresholds",
            metavar="FILE",
            help="Learn from which certainty on the stages of --mode auto may decide, from --verdicts of each stage, "
            "and write it there for fare judge --thresholds.",
            show_default=False,
            rich_help_panel=_CASCADE,
        ),
    ]
    tolerance: Annotated[
        str | None,
        typer.Option(
            "--tolerance",
            metavar="SHARE",
            help="How much less often the cascade may be right than its last stage.  [default: 2%]",
            show_default=False,
            rich_help_panel=_CASCADE,
        ),
    ]
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Keep the verdicts there, for --verdicts and to go on after an interruption.",
            show_default=False,
            rich_help_panel="Report",
        ),
    ]
    report: ReportFile
    as_json: AsJson
    again: Again


#: Of the options that are not None where they are not given.
DEFAULTS: dict[str, Any] = {"verdicts": [], "as_json": False, "again": False, "calibrate_by": "temperature"}


def check_eval_options(options: EvalOptions, judging: JudgeOptions) -> None:
    """Raises UsageError or InputError for options that do not go together, before anything is read."""
    given = {
        "INPUT": bool(options.inputs),
        # A suite has files below --data, or is the protocol of verdicts.
        "--suite": options.suite is not None and not options.verdicts,
        "--cross": options.cross is not None,
        "--verdicts": bool(options.verdicts),
    }
    named = [name for name, there in given.items() if there]
    if len(named) != 1:
        what = "nothing says what to measure on" if not named else f"{' and '.join(named)} cannot go together"
        raise UsageError(what, "give one of: files of records, --suite NAME, --cross FILE, --verdicts FILE")
    if (options.data is not None) != (options.suite is not None and not options.verdicts):
        raise UsageError(
            "--suite goes with --data DIR, or with --verdicts", "for example --suite fare --data DIR -o KEPT"
        )
    if options.task is not None and not options.inputs:
        raise UsageError("--task is about files of records", "--cross takes pairs; suites and verdicts say their tasks")
    if options.verdicts:
        for name in ("output", "against", "again"):
            if getattr(options, name):
                raise UsageError(f"--{name} is about judging, and --verdicts needs no model")
        if judging.limit is not None:
            raise UsageError("--limit is about judging", "--verdicts measures all that are kept")
        if judging.calibration is not None:
            raise UsageError("--calibration is about judging", "give the verdicts of fare judge --calibration")
        if judging.thresholds is not None:
            raise UsageError("--thresholds is about judging", "give the verdicts of fare judge --thresholds")
    if judging.limit is not None and judging.limit < 1:
        raise UsageError(f"--limit {judging.limit}: must be 1 or more")
    _check_calibrating(options, judging)
    _check_learning(options)
    check_report_file(options.report)


def _check_calibrating(options: EvalOptions, judging: JudgeOptions) -> None:
    if options.calibrate is None:
        return
    if judging.calibration is not None or options.against is not None or options.cross is not None:
        raise UsageError(
            "--calibrate is of one judge on one task, as it is",
            "leave away --calibration, --against and --cross",
        )
    if not options.calibrate.absolute().parent.is_dir():
        raise InputError(f"the folder of --calibrate {options.calibrate} does not exist")


def _check_learning(options: EvalOptions) -> None:
    if options.learn_thresholds is None:
        if options.tolerance is not None:
            raise UsageError("--tolerance is for --learn-thresholds", "add --learn-thresholds FILE")
        return
    if not options.verdicts:
        raise UsageError(
            "--learn-thresholds learns from verdicts that are kept",
            "judge the same records with --mode direct, with --mode critique and maybe with --votes auto, each with "
            "-o FILE, and name these files with --verdicts",
        )
    if options.calibrate is not None or options.suite is not None:
        raise UsageError("--learn-thresholds cannot go with --calibrate or --suite", "run them one after the other")
    if not options.learn_thresholds.absolute().parent.is_dir():
        raise InputError(f"the folder of --learn-thresholds {options.learn_thresholds} does not exist")


def read_tolerance(text: str | None, default: float) -> float:
    """The share of `--tolerance`, between 0 and 1. Raises UsageError for anything else."""
    if text is None:
        return default
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number + rest) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise UsageError(f"--tolerance {text}: should be a share of the records, such as 2% or 0.02")
    return share
