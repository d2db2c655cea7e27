"""`fare eval`: how good a judge is, on records whose right label is known."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from fare_cli.cli.eval_options import DEFAULTS, EvalOptions, check_eval_options, read_tolerance
from fare_cli.cli.judge import open_judge, say_idle_gpu, with_own_decoding
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, as_command, judge_options, judge_parameters
from fare_cli.cli.study import STUDY_OPTIONS, show_report, talking
from fare_cli.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.cli.console import Console
    from fare_cli.judge import Judge
    from fare_cli.report.model import Report, Table
    from fare_cli.settings import Settings
    from fare_cli.studies.evaluating.sources import Reading, Source
    from fare_cli.studies.evaluating.verdict_set import VerdictSet

_OF_JUDGE = (*STUDY_OPTIONS, "force", "calibration", "thresholds")


def eval_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(EvalOptions, include_extras=True)
    own = {field.name: (hints[field.name], DEFAULTS.get(field.name)) for field in fields(EvalOptions)}

    def run(values: dict[str, Any]) -> int:
        options = EvalOptions(**{name: values[name] for name in own})
        return _eval(options, judge_options({name: values[name] for name in _OF_JUDGE}))

    return as_command(
        own | judge_parameters(_OF_JUDGE), run, "Measure how good a judge is where the right label is known."
    )


def _eval(options: EvalOptions, judging: JudgeOptions) -> int:
    from fare_cli.settings import load_settings
    from fare_cli.studies.evaluate import report_on

    check_eval_options(options, judging)
    settings = load_settings({name: getattr(judging, name) for name in SETTING_NAMES}, isolated=judging.isolated)
    sets = _kept(options)
    tables: list[Table] = []
    if not sets:
        with _folder(options.output) as folder:
            sets, tables = _judged(settings, options, judging, folder)
    report = report_on(sets, extra=tables)
    if options.calibrate is not None:
        report = _calibrated(report, sets, options.calibrate, options.calibrate_by)
    if options.learn_thresholds is not None:
        report = _learnt(report, sets, options.learn_thresholds, options.tolerance)
    show_report(report, as_json=options.as_json, file=options.report)
    for one in sets:
        if (problem := one.problem(settings.max_invalid)) is not None:
            raise problem
    return ExitCode.OK


def _calibrated(
    report: Report, sets: list[VerdictSet], file: Path, method: Literal["temperature", "isotonic"]
) -> Report:
    """Writes a calibration; the report with what there is to say of it before all else."""
    from fare_cli.studies.evaluating.calibrating import fit_calibration

    fitted = fit_calibration(sets, method)
    fitted.calibration.write(file)
    facts = {**report.facts, "calibration": f"{file} {fitted.calibration.fingerprint}"}
    return replace(
        report, facts=facts, parts=(*fitted.parts, *report.parts), warnings=(*report.warnings, *fitted.warnings)
    )


def _learnt(report: Report, sets: list[VerdictSet], file: Path, tolerance: str | None) -> Report:
    """Writes thresholds of a cascade; the report with what there is to say of them before all else."""
    from fare_cli.studies.evaluating.cascading import TOLERANCE, learn_thresholds

    learnt = learn_thresholds(sets, tolerance=read_tolerance(tolerance, TOLERANCE))
    learnt.thresholds.write(file)
    facts = {**report.facts, "thresholds": str(file)}
    return replace(
        report, facts=facts, parts=(*learnt.parts, *report.parts), warnings=(*learnt.warnings, *report.warnings)
    )


def _kept(options: EvalOptions) -> list[VerdictSet]:
    """The verdicts of files, by a suite's protocols where one is named."""
    from fare_cli.importers.suites import suite_named
    from fare_cli.studies.evaluating.kept import read_kept
    from fare_cli.studies.evaluating.sources import by_suite

    suite = None if options.suite is None else suite_named(options.suite)
    sets = [read_kept(path) for path in options.verdicts]
    return sets if suite is None else [by_suite(suite, one) for one in sets]


@contextlib.contextmanager
def _folder(output: Path | None) -> Iterator[Path]:
    """Where converted records go: beside the verdicts that are kept, else to a folder that goes away."""
    if output is None:
        with tempfile.TemporaryDirectory(prefix="fare-eval-") as folder:
            yield Path(folder)
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder -o {output} cannot be made: {error.strerror}") from None
    yield output


def _sources(
    options: EvalOptions, reading: Reading, folder: Path, console: Console
) -> tuple[list[Source], list[Table]]:
    """What is judged, and the table of a suite's sets. Raises FareError for what cannot be used, before any model."""
    from fare_cli.studies.evaluating.crossing import crossed
    from fare_cli.studies.evaluating.sources import published_source, record_source

    if options.suite is not None and options.data is not None:
        return _suite(options.suite, options.data, reading, folder, console)
    if options.cross is not None:
        return crossed(record_source(options.cross, reading._replace(task="pairwise"), needs_gold=False)), []
    sources = []
    published: dict[str, list[str]] = {}
    for name in options.inputs or ():
        importer, equals, file = name.partition("=")
        if equals and not Path(name).exists():
            published.setdefault(importer, []).append(file)
        else:
            sources.append(record_source(name, reading))
    if published and (reading.task or reading.field_map):
        raise UsageError("--task and --map are about files of records, not about NAME=FILE")
    return [*sources, *(published_source(name, files, reading, folder) for name, files in published.items())], []


def _suite(name: str, data: Path, reading: Reading, folder: Path, console: Console) -> tuple[list[Source], list[Table]]:
    from fare_cli.importers.suites import located, suite_named
    from fare_cli.studies.evaluating.sources import suite_source, suite_table, wanted_files

    found = located(suite_named(name), data)
    for one in found:
        if not one.files:
            console.say(f"missing: {one.set.name}: {wanted_files(one)} (from {one.set.source})")
    there = [one for one in found if one.files]
    if not there:
        raise InputError(
            f"no file of the suite {name} was found in {data}",
            f"put one of them there: {'; '.join(one.set.source for one in found)}",
        )
    return [suite_source(one, reading, folder) for one in there], [suite_table(found)]


def _judged(
    settings: Settings, options: EvalOptions, judging: JudgeOptions, folder: Path
) -> tuple[list[VerdictSet], list[Table]]:
    """The verdicts of one judge, or of two, on all sources, those on one source together; and a suite's table."""
    from fare_cli.cli.console import Console
    from fare_cli.cli.source import parse_field_map
    from fare_cli.studies.evaluating.running import Keeping, judge_source
    from fare_cli.studies.evaluating.sources import Reading

    console = Console(quiet=judging.quiet)
    field_map = parse_field_map(judging.map)
    reading = Reading(options.task, field_map, judging.split, judging.shuffle_seed, judging.limit)
    sources, tables = _sources(options, reading, folder, console)
    judges = _judges(settings, options.against, {source.plan.task for source in sources}, judging)
    if settings.gpu_layers != 0 and settings.backend == "local":
        say_idle_gpu(console)
    keeping = Keeping(options.output, options.again, judging.force)
    rows = []
    with talking(console) as talk:
        for judge in judges:
            with judge:
                rows.append([judge_source(judge, one, keeping=keeping, talk=talk) for one in sources])
    return [one for together in zip(*rows, strict=True) for one in together], tables


def _judges(settings: Settings, against: str | None, tasks: Iterable[str], judging: JudgeOptions) -> list[Judge]:
    """The judge, and the one that it is compared with. Raises FareError for options or models that cannot be."""
    from fare_cli.tasks import check_options

    wanted = [(settings, settings.model, judging.calibration, judging.thresholds)]
    if against is not None:
        # An adapter, a calibration, thresholds and a server belong to the model that --model names.
        wanted.append((settings.on_this_machine().model_copy(update={"lora": None}), against, None, None))
    judges = []
    for given, model, mending, thresholds in wanted:
        own = with_own_decoding(given, model)
        for task in tasks:
            check_options(task, own.judging_options())
        judges.append(open_judge(own, model, calibration=mending, thresholds=thresholds))
    if len({tuple(judge.identity(task).fingerprint for task in tasks) for judge in judges}) < len(judges):
        raise UsageError(f"--against {against}: that is the same judge", "name another model")
    return judges
