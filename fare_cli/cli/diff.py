"""`fare diff`: two verdict files compared, or a judge asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from fare_cli.cli.judge import open_judge, say_idle_gpu, with_own_decoding
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, as_command, judge_options, judge_parameters
from fare_cli.cli.study import STUDY_OPTIONS, AsJson, ReportFile, check_report_file, show_report, talking
from fare_cli.errors import InputError, InvalidRecordsError, ModelError, UsageError

if TYPE_CHECKING:
    from fare_cli.settings import Settings
    from fare_cli.studies.differing.difference import Difference
    from fare_cli.studies.differing.replaying import Recorded
    from fare_cli.studies.limits import Limit

_DIFF = "Comparing"
_REPLAY = "Asking again"


def _option(panel: str, *names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """What the command line gave, apart from the options that it shares with `fare judge`."""

    verdicts: Annotated[
        list[str],
        typer.Argument(
            metavar="VERDICTS...",
            help="Two files that fare judge -o wrote, the old one first; one may be -. With --replay, one file.",
            show_default=False,
        ),
    ]
    fail_on: Annotated[
        list[str],
        _option(
            _DIFF,
            "--fail-on",
            metavar="LIMIT",
            help="Keep a limit such as flips=2%, kappa=0.8, accuracy=1%, probability=5% or invalid=1%: exit with 1 "
            "where the 95% interval lies beyond, with 4 where it straddles the limit; flips=0 allows none. Repeatable.",
        ),
    ]
    show_all: Annotated[bool, _option(_DIFF, "--all", help="Show all records that differ, not only the first 30.")]
    replay: Annotated[
        bool,
        _option(
            _REPLAY,
            "--replay",
            help="Ask again about the records of a verdict file, with the model, prompts and settings that it names, "
            "and compare.",
        ),
    ]
    output: Annotated[
        Path | None,
        _option(
            _REPLAY,
            "--output",
            "-o",
            metavar="FILE",
            help="Keep the new verdicts there; then an interrupted replay goes on where it was.",
        ),
    ]
    markdown: Annotated[
        Path | None, _option("Report", "--markdown", metavar="FILE", help="Write the report there as Markdown, too.")
    ]
    report: ReportFile
    as_json: AsJson


_DEFAULTS: dict[str, Any] = {"verdicts": ..., "replay": False, "fail_on": [], "show_all": False, "as_json": False}
# A replay reads the canonical records, and how many may be invalid is a limit of its own.
_NOT_HERE = frozenset({"map", "split", "shuffle_seed", "max_invalid"})
_OF_JUDGE = (*(name for name in STUDY_OPTIONS if name not in _NOT_HERE), "calibration")


def diff_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(DiffOptions, include_extras=True)
    own = {field.name: (hints[field.name], _DEFAULTS.get(field.name)) for field in fields(DiffOptions)}

    def run(values: dict[str, Any]) -> int:
        options = DiffOptions(**{name: values[name] for name in own})
        given = {name: values[name] for name in _OF_JUDGE}
        _check(options, given)
        return _diff(options, judge_options(given))

    return as_command(
        own | judge_parameters(_OF_JUDGE),
        run,
        "Compare two verdict files, or ask a judge again: which verdicts changed, and why.",
    )


def _check(options: DiffOptions, given: Mapping[str, Any]) -> None:
    """Raises UsageError or InputError for options that do not go together, before anything is read."""
    if len(options.verdicts) != (1 if options.replay else 2):
        wanted = "--replay takes one" if options.replay else "two are compared"
        raise UsageError(
            f"{len(options.verdicts)} files were given, and {wanted}",
            "fare diff OLD NEW, or fare diff --replay VERDICTS",
        )
    if options.verdicts == ["-", "-"]:
        raise UsageError("- can be one of the two files, not both")
    if not options.replay:
        for name in ("output", *(name for name in _OF_JUDGE if name != "quiet")):
            value = getattr(options, name) if name == "output" else given[name]
            if value is not None and value is not False:
                raise UsageError(f"--{name.replace('_', '-')} is about --replay, and two files need no model")
    if given["limit"] is not None and given["limit"] < 1:
        raise UsageError(f"--limit {given['limit']}: must be 1 or more")
    check_report_file(options.report)
    for option in ("markdown", "output"):
        path: Path | None = getattr(options, option)
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(f"the folder of --{option} {path} does not exist")


def _diff(options: DiffOptions, judging: JudgeOptions) -> int:
    from fare_cli.cli.console import Console
    from fare_cli.studies.change_limits import parse_limit
    from fare_cli.studies.differing.difference import difference, read_side

    limits = [parse_limit(text) for text in options.fail_on]
    console = Console(quiet=judging.quiet)
    found = _replayed(options, judging, console) if options.replay else difference(*map(read_side, options.verdicts))
    return _show(options, found, limits, console)


def _show(options: DiffOptions, found: Difference, limits: list[Limit], console: Any) -> int:
    """Prints and writes what was found; gives the exit code of the limits."""
    from fare_cli.report.markdown import markdown
    from fare_cli.run.files import write_whole
    from fare_cli.studies.change_limits import ruling
    from fare_cli.studies.differing.tables import report_on
    from fare_cli.studies.limits import worst

    problem = None
    ruled = []
    try:
        ruled = [ruling("these verdicts", found.comparison, limit) for limit in limits]
    except InvalidRecordsError as error:
        # What was found is no less worth for a limit that has nothing to be measured on.
        problem = error
    report = report_on(found, ruled, show_all=options.show_all)
    if options.markdown is not None:
        write_whole(options.markdown, markdown(report), "report")
    show_report(report, as_json=options.as_json, file=options.report)
    if problem is not None:
        raise problem
    if not found.comparison.flips.of:
        raise InvalidRecordsError("no record was judged by both", "fare report shows why verdicts are invalid")
    for one in ruled:
        console.say(f"{one.limit.words} is {one.kept}: {one.words}")
    return worst(ruled)


def _replayed(options: DiffOptions, judging: JudgeOptions, console: Any) -> Difference:
    from fare_cli.identity import Thresholds
    from fare_cli.studies.differing.replaying import read_recorded, replay
    from fare_cli.tasks import check_options

    recorded = read_recorded(Path(options.verdicts[0]))
    settings = _settings(recorded, judging)
    settings = with_own_decoding(settings, settings.model)
    check_options(recorded.task, settings.judging_options())
    if settings.gpu_layers != 0 and settings.backend == "local":
        say_idle_gpu(console)
    with open_judge(settings, calibration=judging.calibration) as judge:
        if (thresholds := recorded.settings.get("thresholds")) is not None:
            judge.options = replace(judge.options, thresholds=Thresholds(**thresholds))
        _say_what_differs(recorded, judge, console)
        with talking(console, kept=options.output is not None) as talk:
            return replay(recorded, judge, limit=judging.limit, output=options.output, talk=talk)


def _settings(recorded: Recorded, judging: JudgeOptions) -> Settings:
    """The settings of the file, those of the command line before them; what neither says as `fare judge` has it."""
    from fare_cli.settings import load_settings

    flags = {name: value for name in SETTING_NAMES if (value := getattr(judging, name)) is not None}
    # Thresholds of a cascade are no setting: they are learnt, and what the file was judged by is known.
    known = {name: value for name, value in recorded.settings.items() if name != "thresholds"}
    unknown = sorted(known.keys() - set(SETTING_NAMES))
    if unknown:
        raise UsageError(
            f"{recorded.path} was judged with the option {unknown[0]}, which this version of fare does not have",
            f"replay it with the version that judged: {recorded.judge.fare}",
        )
    named = {**known, **flags}
    # A server has its own model, and a file that is named beside it is one for the vocabulary.
    is_served = load_settings(flags, isolated=judging.isolated).backend == "http"
    if "model" not in flags and recorded.judge.identity and not is_served:
        named = {**_weights_of(recorded), **named}
    settings = load_settings(named, isolated=judging.isolated)
    # What the file was judged without is not taken from a variable or a project file either.
    return settings.model_copy(update={name: None for name, value in named.items() if value is None})


def _weights_of(recorded: Recorded) -> dict[str, str | None]:
    """Model and adapter that the manifest names: those whose checksums are right, else what goes by the name."""
    from fare_cli.gguf.store import installed_models, known_file, resolve_model

    name, weights = str(recorded.judge.identity.get("model")), str(recorded.judge.weights)
    if weights.startswith("served:"):
        raise ModelError(
            f"{recorded.path} was judged by a server",
            "name one: --backend http --url URL, and --model FILE for its vocabulary if it was named then",
        )
    base, _, adapter = weights.removeprefix("sha256:").partition("+lora:sha256:")
    installed = resolve_model(name) if name in installed_models() else None
    found = known_file(base)
    if installed is None and found is None:
        raise ModelError(
            f"{recorded.path} was judged by {name} ({weights}), which is not on this machine",
            "name a model that is: --model NAME or FILE",
        )
    is_right = installed is not None and installed.sha256 == base
    model = name if is_right or found is None else str(found)
    if not adapter or (model == name and installed is not None and installed.adapter is not None):
        return {"model": model, "lora": None}
    lora = known_file(adapter)
    return {"model": model, "lora": None if lora is None else str(lora)}


def _say_what_differs(recorded: Recorded, judge: Any, console: Any) -> None:
    """Says before anything is asked that this will not be the same judge: a replay can take long."""
    from fare_cli.run.manifest import fare_version
    from fare_cli.studies.differing.judges import KnownJudge, differing, judge_parts

    identity = judge.identity(recorded.task)
    now = KnownJudge((identity.fingerprint,), identity.to_json(), (), fare_version())
    apart = differing(judge_parts(recorded.judge, now))
    if apart:
        console.say(f"not the same as when {recorded.path} was judged: {', '.join(apart)}")
