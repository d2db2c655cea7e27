"""`evaluate`: how good a judge is on held-out records of several tasks, or each judge of a loop, as a curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from fare_cli.cli.console import Console
from fare_cli.cli.judge import open_judge, with_own_decoding
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, as_command, judge_options, judge_parameters
from fare_cli.cli.study import STUDY_OPTIONS, show_report, talking, write_report
from fare_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from fare_cli.report.model import Report
    from fare_cli.settings import Settings
    from fare_cli.studies.evaluating.verdict_set import VerdictSet
    from training.held_out import HeldOut

RECORDS = "records"
CURVE = "curve.json"

# Held-out records are fare's own already.
_OF_JUDGE = tuple(name for name in STUDY_OPTIONS if name not in ("map", "split", "shuffle_seed"))


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What the command line gave, apart from the options that it shares with `fare judge`."""

    held_out: Annotated[
        list[Path], typer.Argument(metavar="HELD_OUT", help="Files of records with gold; tasks may be mixed.")
    ]
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Keep verdicts and reports there.")]
    loop: Annotated[
        Path | None,
        typer.Option("--loop", metavar="DIR", help="Measure every judge of the loop in this folder, as a curve."),
    ] = None
    force: Annotated[bool, typer.Option("--force", help="Replace what another judge has left there.")] = False


def command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(EvaluateOptions, include_extras=True)
    wanted = ("held_out", "output")
    own = {one.name: (hints[one.name], ... if one.name in wanted else one.default) for one in fields(EvaluateOptions)}

    def run(values: dict[str, Any]) -> int:
        options = EvaluateOptions(**{name: values[name] for name in own})
        return _evaluate(options, judge_options({name: values[name] for name in _OF_JUDGE}))

    about = (
        "Measure a judge on held-out records of any tasks, or every judge of a loop, as a curve over its iterations."
    )
    return as_command(own | judge_parameters(_OF_JUDGE), run, about)


def _evaluate(options: EvaluateOptions, judging: JudgeOptions) -> int:
    from fare_cli.settings import load_settings
    from fare_cli.studies.evaluate import report_on
    from training.held_out import by_task

    if judging.limit is not None and judging.limit < 1:
        raise UsageError(f"--limit {judging.limit}: must be 1 or more")
    settings = load_settings({name: getattr(judging, name) for name in SETTING_NAMES}, isolated=judging.isolated)
    if options.loop is not None and judging.model is not None:
        raise UsageError("--loop says which models are measured", "leave --model out")
    console = Console(quiet=judging.quiet)
    held_out = by_task(options.held_out, options.output / RECORDS, judging.limit)
    if options.loop is None:
        sets = evaluate_judge(held_out, options.output, settings, console, force=options.force)
        report = report_on(sets)
    else:
        sets, report = evaluate_loop(options.loop, held_out, options.output, settings, console, force=options.force)
    show_report(report, as_json=False, file=None)
    for one in sets:
        if (problem := one.problem(settings.max_invalid)) is not None:
            raise problem
    return ExitCode.OK


def evaluate_judge(
    held_out: HeldOut, folder: Path, settings: Settings, console: Console, *, force: bool = False
) -> list[VerdictSet]:
    """The verdicts of the model that the settings name, kept in `folder` with their report."""
    from training.held_out import judge_held_out

    own = with_own_decoding(settings, settings.model)
    with talking(console) as talk, open_judge(own) as judge:
        return judge_held_out(judge, held_out, folder, talk=talk, force=force)


def evaluate_loop(
    loop: Path, held_out: HeldOut, folder: Path, settings: Settings, console: Console, *, force: bool = False
) -> tuple[list[VerdictSet], Report]:
    """The verdicts of every judge that the loop has come to, and the curve; both are kept in `folder`.

    All judge with the same options. A judge measured before is not asked again, so that this can follow each iteration.
    Raises UsageError for an adapter in the settings.
    """
    from training.curve import curve
    from training.held_out import REPORT, judge_held_out
    from training.manifest import plan
    from training.stages import read_stages

    if settings.lora is not None:
        raise UsageError(
            f"the judges of a loop are whole models, and {settings.origin('lora')} puts an adapter on them"
        )
    begun = time.monotonic()
    judged: dict[str, Sequence[VerdictSet]] = {}
    reports = []
    with talking(console) as talk:
        for stage in read_stages(loop):
            place = folder / stage.name.replace(" ", "-")
            with open_judge(settings, stage.policy) as judge:
                judged[stage.name] = judge_held_out(judge, held_out, place, talk=talk, force=force)
            reports.append(place / REPORT)
    report = curve(judged, {"held-out records": {one.file: one.sha256 for one in held_out.files}})
    outputs = [folder / CURVE, (folder / CURVE).with_suffix(".html")]
    for path in outputs:
        write_report(report, path)
    made = plan("evaluate", reports, {"stages": list(judged)})
    made.write_manifest(outputs, {"stages": len(judged)}, seconds=time.monotonic() - begun)
    return [one for sets in judged.values() for one in sets], report


def measuring(
    files: Sequence[Path], loop: Path, flags: Mapping[str, Any], say: Callable[[str], None], *, force: bool = False
) -> Callable[[], None]:
    """What measures the judges that a loop has come to so far on held-out files, and says the figures; it does nothing
    without files. `flags` are settings. Raises, at once, what reading the files raises."""
    from fare_cli.report.text import table_lines
    from fare_cli.settings import load_settings
    from training.held_out import by_task

    if not files:
        return lambda: None
    folder, settings = loop / "held-out", load_settings(flags).on_this_machine()
    held_out = by_task(files, folder / RECORDS)

    def measure() -> None:
        _, report = evaluate_loop(loop, held_out, folder, settings, Console(), force=force)
        for table in report.tables:
            for line in table_lines(table):
                say(line)

    return measure
