"""`fare gate`: whether verdicts keep what was asked of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from fare_cli.cli.options import as_command, judge_parameters
from fare_cli.cli.study import AsJson, ReportFile, check_report_file, show_report
from fare_cli.errors import FareError, InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.gate.gate import GatePlan, GateResult
    from fare_cli.gate.measures import GateLimit

_LIMITS = "Limits"
_BASELINE = "Baseline"
_DECIDING = "Deciding"
_OUTPUT = "For CI"


def _option(panel: str, *names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What the command line gave."""

    verdicts: Annotated[
        str,
        typer.Argument(
            metavar="VERDICTS",
            help="What fare judge -o wrote, its manifest beside it; - is a pipe.",
            show_default=False,
        ),
    ]
    min_win_rate: Annotated[
        str | None,
        _option(
            _LIMITS,
            "--min-win-rate",
            metavar="SHARE",
            help="Pairs: answer_b, the candidate, wins at least so many; ties and undecided pairs count half.",
        ),
    ]
    min_right: Annotated[
        str | None,
        _option(_LIMITS, "--min-right", metavar="SHARE", help="Verify: at least so many answers are held right."),
    ]
    max_wrong_steps: Annotated[
        str | None,
        _option(
            _LIMITS,
            "--max-wrong-steps",
            metavar="SHARE",
            help="Step: a wrong step is found in at most so many solutions.",
        ),
    ]
    min_score: Annotated[
        str | None, _option(_LIMITS, "--min-score", metavar="N", help="Score: the mean expected score is at least N.")
    ]
    min_accuracy: Annotated[
        str | None,
        _option(_LIMITS, "--min-accuracy", metavar="SHARE", help="With gold: at least so many verdicts are right."),
    ]
    baseline: Annotated[
        Path | None,
        _option(
            _BASELINE,
            "--baseline",
            metavar="FILE",
            help="Verdicts of the same judge on the same records before the change: only what changed counts.",
        ),
    ]
    max_drop: Annotated[
        str | None,
        _option(
            _BASELINE,
            "--max-drop",
            metavar="SHARE|N",
            help="How much worse it may get: a share, or points of a score.  [default: 0]",
        ),
    ]
    noise: Annotated[
        str | None,
        _option(
            _BASELINE,
            "--noise",
            metavar="SHARE|FILE",
            help="How often the judge flips by itself: a share, what fare audit --json gave, or the baseline judged "
            "once more.  [default: from records that did not change]",
        ),
    ]
    confidence: Annotated[
        str | None,
        _option(_DECIDING, "--confidence", metavar="SHARE", help="How sure to be of pass and fail.  [default: 95%]"),
    ]
    undecided: Annotated[
        Literal["pass", "fail"] | None,
        _option(
            _DECIDING,
            "--undecided",
            metavar="pass|fail",
            help="What to make of an interval that straddles its limit.  [default: exit with code 4]",
        ),
    ]
    records: Annotated[
        int | None,
        _option(
            _DECIDING,
            "--records",
            metavar="N",
            help="Exit with code 3 unless there are N verdicts; a pipe needs it, as a dead judge does not show there.",
        ),
    ]
    junit: Annotated[
        Path | None, _option(_OUTPUT, "--junit", metavar="FILE", help="Write the limits as JUnit XML test cases.")
    ]
    markdown: Annotated[
        Path | None, _option(_OUTPUT, "--markdown", metavar="FILE", help="Write a summary for a comment on the change.")
    ]
    github: Annotated[
        bool,
        _option(
            _OUTPUT, "--github", help="In GitHub Actions: annotate the records, and add to the summary of the step."
        ),
    ]
    report: ReportFile
    as_json: AsJson


_DEFAULTS: dict[str, Any] = {"github": False, "as_json": False}
_OF_JUDGE = ("max_invalid", "isolated")
_LIMIT_NAMES = ("min_win_rate", "min_right", "max_wrong_steps", "min_score", "min_accuracy")


def gate_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(GateOptions, include_extras=True)
    own = {field.name: (hints[field.name], _DEFAULTS.get(field.name)) for field in fields(GateOptions)}
    own["verdicts"] = (hints["verdicts"], ...)

    def run(values: dict[str, Any]) -> int:
        options = GateOptions(**{name: value for name, value in values.items() if name not in _OF_JUDGE})
        return _gate(options, values["max_invalid"], isolated=values["isolated"])

    return as_command(
        own | judge_parameters(_OF_JUDGE), run, "Pass, fail or undecided: hold verdicts to limits, or to a baseline."
    )


def _gate(options: GateOptions, max_invalid: str | None, *, isolated: bool) -> int:
    from fare_cli.gate.gate import gate
    from fare_cli.gate.github import summary_file
    from fare_cli.gate.reading import read_run
    from fare_cli.settings import load_settings

    _check(options)
    summary = summary_file() if options.github else None
    limits = _limits(options)
    share = load_settings({"max_invalid": max_invalid}, isolated=isolated).max_invalid
    try:
        run = read_run(options.verdicts, records=options.records, max_invalid=share)
        result = gate(run, _plan(options, limits, share))
    except FareError as error:
        _show_fault(error, options)
        raise
    _show(result, options, summary)
    return result.outcome


def _limits(options: GateOptions) -> tuple[GateLimit, ...]:
    from fare_cli.gate.measures import parse_limit

    given = {name.replace("_", "-"): getattr(options, name) for name in _LIMIT_NAMES}
    return tuple(parse_limit(name, value) for name, value in given.items() if value is not None)


def _plan(options: GateOptions, limits: tuple[GateLimit, ...], max_invalid: float) -> GatePlan:
    from fare_cli.gate.gate import GatePlan
    from fare_cli.gate.measures import read_confidence
    from fare_cli.gate.reading import read_run

    baseline = None
    if options.baseline is not None:
        baseline = read_run(str(options.baseline), records=None, max_invalid=max_invalid)
    return GatePlan(
        limits=limits,
        baseline=baseline,
        max_drop=options.max_drop,
        noise=options.noise,
        confidence=read_confidence(options.confidence),
        undecided=options.undecided,
        max_invalid=max_invalid,
    )


def _check(options: GateOptions) -> None:
    """Raises UsageError or InputError for options that do not go together, before anything is read."""
    if options.baseline is None:
        for name in ("max_drop", "noise"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} is about a baseline", "add --baseline FILE")
    if options.records is not None and options.records < 1:
        raise UsageError(f"--records {options.records}: must be 1 or more")
    if options.github and options.as_json:
        raise UsageError("--github and --json both print on stdout", "write the JSON with --report FILE.json")
    check_report_file(options.report)
    for option in ("junit", "markdown"):
        path: Path | None = getattr(options, option)
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(f"the folder of --{option} {path} does not exist")


def _show(result: GateResult, options: GateOptions, summary: Path | None) -> None:
    from fare_cli.gate.github import annotation_lines, commands_stopped, summarise
    from fare_cli.gate.junit import junit_xml
    from fare_cli.gate.markdown import markdown
    from fare_cli.run.files import write_whole

    if options.junit is not None:
        write_whole(options.junit, junit_xml(result), "JUnit XML")
    if options.markdown is not None:
        write_whole(options.markdown, markdown(result), "summary")
    with commands_stopped() if summary is not None else contextlib.nullcontext():
        show_report(result.report(), as_json=options.as_json, file=options.report)
    if summary is not None:
        summarise(result, summary)
        print(*annotation_lines(result), sep="\n", flush=True)


def _show_fault(error: FareError, options: GateOptions) -> None:
    """Says where people look for the outcome that there is none: no file there could be read as a pass."""
    from fare_cli.gate.github import fault_annotation
    from fare_cli.gate.junit import junit_fault
    from fare_cli.run.files import write_whole

    if options.junit is not None:
        write_whole(options.junit, junit_fault(error), "JUnit XML")
    if options.github:
        print(fault_annotation(error), flush=True)
