"""`fare eval`: how good a judge is, on records whose right label is known."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from fare_cli.cli.judge import open_judge, say_idle_gpu, with_own_decoding
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, as_command, judge_options, judge_parameters
from fare_cli.cli.study import STUDY_OPTIONS, Again, AsJson, ReportFile, check_report_file, show_report, talking
from fare_cli.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.cli.console import Console
    from fare_cli.judge import Judge
    from fare_cli.report.model import Table
    from fare_cli.settings import Settings
    from fare_cli.studies.evaluating.sources import Reading, Source
    from fare_cli.studies.evaluating.verdict_set import VerdictSet

_WHAT = "What to measure on"
_OF_JUDGE = (*STUDY_OPTIONS, "force")


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


_DEFAULTS: dict[str, Any] = {"verdicts": [], "as_json": False, "again": False}


def eval_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(EvalOptions, include_extras=True)
    own = {field.name: (hints[field.name], _DEFAULTS.get(field.name)) for field in fields(EvalOptions)}

    def run(values: dict[str, Any]) -> int:
        options = EvalOptions(**{name: values[name] for name in own})
        return _eval(options, judge_options({name: values[name] for name in _OF_JUDGE}))

    return as_command(
        own | judge_parameters(_OF_JUDGE), run, "Measure how good a judge is where the right label is known."
    )


def _eval(options: EvalOptions, judging: JudgeOptions) -> int:
    from fare_cli.settings import load_settings
    from fare_cli.studies.evaluate import report_on

    _check(options, judging)
    settings = load_settings({name: getattr(judging, name) for name in SETTING_NAMES}, isolated=judging.isolated)
    sets = _kept(options)
    tables: list[Table] = []
    if not sets:
        with _folder(options.output) as folder:
            sets, tables = _judged(settings, options, judging, folder)
    report = report_on(sets, extra=tables)
    show_report(report, as_json=options.as_json, file=options.report)
    for one in sets:
        if (problem := one.problem(settings.max_invalid)) is not None:
            raise problem
    return ExitCode.OK


def _kept(options: EvalOptions) -> list[VerdictSet]:
    """The verdicts of files, by a suite's protocols where one is named."""
    from fare_cli.importers.suites import suite_named
    from fare_cli.studies.evaluating.kept import read_kept
    from fare_cli.studies.evaluating.sources import by_suite

    suite = None if options.suite is None else suite_named(options.suite)
    sets = [read_kept(path) for path in options.verdicts]
    return sets if suite is None else [by_suite(suite, one) for one in sets]


def _check(options: EvalOptions, judging: JudgeOptions) -> None:
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
    if judging.limit is not None and judging.limit < 1:
        raise UsageError(f"--limit {judging.limit}: must be 1 or more")
    check_report_file(options.report)


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
    judges = _judges(settings, options.against, {source.plan.task for source in sources})
    if settings.gpu_layers != 0:
        say_idle_gpu(console)
    keeping = Keeping(options.output, options.again, judging.force)
    rows = []
    with talking(console) as talk:
        for judge in judges:
            with judge:
                rows.append([judge_source(judge, one, keeping=keeping, talk=talk) for one in sources])
    return [one for together in zip(*rows, strict=True) for one in together], tables


def _judges(settings: Settings, against: str | None, tasks: Iterable[str]) -> list[Judge]:
    """The judge, and the one that it is compared with. Raises FareError for options or models that cannot be."""
    from fare_cli.tasks import check_options

    wanted = [(settings, settings.model)]
    if against is not None:
        # An adapter belongs to the model that --model names.
        wanted.append((settings.model_copy(update={"lora": None}), against))
    judges = []
    for given, model in wanted:
        own = with_own_decoding(given, model)
        for task in tasks:
            check_options(task, own.judging_options())
        judges.append(open_judge(own, model))
    if len({tuple(judge.identity(task).fingerprint for task in tasks) for judge in judges}) < len(judges):
        raise UsageError(f"--against {against}: that is the same judge", "name another model")
    return judges
