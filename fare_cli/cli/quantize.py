"""`fare models quantize`: a smaller model, and what that did to its verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from fare_cli.cli.judge import open_judge, with_own_decoding
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, as_command, judge_options, judge_parameters
from fare_cli.errors import ExitCode, InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.cli.console import Console
    from fare_cli.gguf.store import ModelFile
    from fare_cli.settings import Settings
    from fare_cli.studies.limits import Limit, Ruling
    from fare_cli.studies.quantising import QuantisingReport, Subject

_CHECK = "Check"

# Options of `fare judge` that say how the check reads and judges; most are settings.
_OF_JUDGE = (
    "map", "split", "limit", "shuffle_seed", "quiet",
    "mode", "order", "combine", "tie", "votes", "temperature", "seed", "max_tokens", "prompts",
    "lora", "ctx", "slots", "threads", "gpu_layers", "deterministic", "max_invalid", "isolated",
)  # fmt: skip


def _checking(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, rich_help_panel=_CHECK)


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """What the command line gave, apart from the options that it shares with `fare judge`."""

    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The name of an installed model, or the path of a GGUF file.")
    ]
    type: Annotated[
        list[str],
        typer.Option(
            "--type", "-t", metavar="TYPE", help="Q8_0, Q4_K_M, ...; several make several models.", show_default=False
        ),
    ]
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Install as NAME-q4_k_m and so on.  [default: the source's name]"),
    ]
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write this file instead of installing it.")
    ]
    allow_requantize: Annotated[
        bool, typer.Option("--allow-requantize", help="Take a source that is quantised already, errors and all.")
    ]
    imatrix: Annotated[
        Path | None,
        typer.Option(
            "--imatrix",
            metavar="FILE",
            help="Be most careful with the weights that matter on these records (not those of --check).",
        ),
    ]
    force: Annotated[bool, typer.Option("--force", help="Replace a file of the same name.")]
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")]

    check: Annotated[
        Path | None,
        _checking("--check", metavar="FILE", help="Judge these records with both models, and say what has changed."),
    ]
    task: Annotated[
        Literal["pairwise", "step", "verify", "score"] | None,
        _checking("--task", metavar="pairwise|step|verify|score", help="What the records are."),
    ]
    fail_on: Annotated[
        list[str],
        _checking(
            "--fail-on",
            metavar="LIMIT",
            help="Keep a limit such as flips=2%, kappa=0.8 or accuracy=1%: exit with 1 where the 95% interval lies "
            "beyond, with 4 where it straddles the limit; repeatable.",
        ),
    ]
    report: Annotated[
        Path | None,
        _checking("--report", metavar="FILE", help="Write the report there, too. It is kept with the model, as HTML."),
    ]
    again: Annotated[
        bool, _checking("--again", help="Ask everything anew instead of taking the replies of an earlier check.")
    ]


_DEFAULTS: dict[str, Any] = {
    "model": ..., "type": ..., "fail_on": [],
    **dict.fromkeys(("allow_requantize", "force", "as_json", "again"), False),
}  # fmt: skip


def quantize_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(QuantizeOptions, include_extras=True)
    own = {field.name: (hints[field.name], _DEFAULTS.get(field.name)) for field in fields(QuantizeOptions)}

    def run(values: dict[str, Any]) -> int:
        options = QuantizeOptions(**{name: values[name] for name in own})
        shared = {name: values[name] for name in _OF_JUDGE}
        if options.check is not None:
            shared["inputs"] = [str(options.check)]
        return _quantize(options, judge_options(shared))

    return as_command(own | judge_parameters(_OF_JUDGE), run, "Quantise a model, and check what that does to verdicts.")


def _quantize(options: QuantizeOptions, judging: JudgeOptions) -> int:
    from fare_cli.cli.console import Console
    from fare_cli.gguf.quantize import check_source, type_named
    from fare_cli.gguf.store import resolve_model
    from fare_cli.settings import load_settings

    types = list(dict.fromkeys(map(type_named, options.type)))
    _check_options(options, types)
    settings = load_settings({name: getattr(judging, name) for name in SETTING_NAMES}, isolated=judging.isolated)
    settings = with_own_decoding(settings.on_this_machine(), options.model)
    console = Console(quiet=judging.quiet)
    check = None if options.check is None else _Check(options, judging, settings, console)
    source = resolve_model(options.model)
    for type in types:
        check_source(source.path, type, allow_requantize=options.allow_requantize)
    imatrix = None if options.imatrix is None else _importance(source, options, judging, settings, console)
    made = dict(zip(types, _make(source, types, options, imatrix, settings.threads, console), strict=True))
    if check is None:
        _print_models(made, options.as_json)
        return ExitCode.OK
    return check.run(source, made)


def _check_options(options: QuantizeOptions, types: Sequence[str]) -> None:
    if options.output is not None and (len(types) > 1 or options.name is not None):
        raise UsageError("-o names one file", "give one --type and no --name, or leave -o away")
    if options.output is not None and options.output.suffix != ".gguf":
        raise UsageError(f"-o {options.output}: the name must end in .gguf", f"for example -o {options.output}.gguf")
    if options.name is not None and ("/" in options.name or options.name.startswith(".")):
        raise UsageError(f"--name {options.name}: a plain name is wanted", "-o FILE writes anywhere")
    if options.check is None:
        for name in ("fail_on", "report", "again"):
            if getattr(options, name):
                raise UsageError(f"--{name.replace('_', '-')} is about --check", "name the records with --check FILE")
    if (options.check or options.imatrix) and options.task is None:
        raise UsageError("--task is missing: what the records are", "for example --task pairwise")
    if options.task and not (options.check or options.imatrix):
        raise UsageError("--task says what records are, and there are none", "name them with --check or --imatrix")
    if options.check and options.imatrix and options.check.resolve() == options.imatrix.resolve():
        raise UsageError(
            "--imatrix and --check name the same records",
            "a model is not checked on what it was fitted to: split the file",
        )
    if options.report is not None and not options.report.absolute().parent.is_dir():
        raise InputError(f"the folder of --report {options.report} does not exist")


def _importance(
    source: ModelFile, options: QuantizeOptions, judging: JudgeOptions, settings: Settings, console: Console
) -> Path:
    from fare_cli.cli.source import input_plan
    from fare_cli.studies.importance import importance_file

    assert options.task is not None
    records = input_plan(options.task, replace(judging, inputs=[str(options.imatrix)]))
    return importance_file(open_judge(settings, source.path), records, say=console.say)


def _make(
    source: ModelFile,
    types: Sequence[str],
    options: QuantizeOptions,
    imatrix: Path | None,
    threads: int | None,
    console: Console,
) -> list[ModelFile]:
    from fare_cli.gguf.variant import make_variant, variant_path

    made = []
    for type in types:
        target = options.output or variant_path(source, type, options.name)
        made.append(
            make_variant(
                source,
                target,
                type,
                imatrix=imatrix,
                threads=threads,
                allow_requantize=options.allow_requantize,
                force=options.force,
                say=console.say,
            )
        )
    return made


def _print_models(made: dict[str, ModelFile], as_json: bool) -> None:
    if as_json:
        print(json.dumps([{"type": type, "name": model.name, "path": str(model.path)} for type, model in made.items()]))
        return
    for model in made.values():
        print(f"{model.name}\t{model.path}")


class _Check:
    """A check that can begin: everything that can be known to be wrong was looked at. Raises FareError otherwise."""

    def __init__(self, options: QuantizeOptions, judging: JudgeOptions, settings: Settings, console: Console) -> None:
        # Imported first: where the extra is missing, nothing has been quantised in vain.
        from fare_cli.cli.source import input_plan
        from fare_cli.studies.change_limits import parse_limit
        from fare_cli.studies.judging import check_rereadable
        from fare_cli.tasks import check_options

        assert options.task is not None
        self.options, self.settings, self.console = options, settings, console
        self.limits: list[Limit] = [parse_limit(text) for text in options.fail_on]
        if judging.limit is not None and judging.limit < 1:
            raise UsageError(f"--limit {judging.limit}: must be 1 or more")
        self.limit = judging.limit
        check_options(options.task, settings.judging_options())
        self.records = input_plan(options.task, judging)
        check_rereadable(self.records)

    def run(self, source: ModelFile, made: dict[str, ModelFile]) -> int:
        """Judges, prints, keeps the report; gives the exit code of the limits."""
        from fare_cli.gguf.header import read_header
        from fare_cli.studies.change_limits import ruling
        from fare_cli.studies.limits import worst
        from fare_cli.studies.quantising import Subject, check_lost

        subjects = [Subject(open_judge(self.settings, source.path), read_header(source.path).quantisation)]
        subjects += [Subject(open_judge(self.settings, model.path), type) for type, model in made.items()]
        report = self._judge(subjects[0], subjects[1:])
        self._keep(report, made)
        if not self.options.as_json:
            print("\n".join(_table(report)), flush=True)
            self._say(report)
        found = [ruling(row.standing.type, row.comparison, limit) for row in report.quantised for limit in self.limits]
        if self.options.as_json:
            print(json.dumps({**report.to_json(), "limits": [_ruling_json(one) for one in found]}, indent=2))
        for one in found:
            self.console.say(f"{one.subject}: {one.limit.words} is {one.kept}: {one.words}")
        check_lost(report, self.settings.max_invalid)
        return worst(found)

    def _judge(self, source: Subject, quantised: Sequence[Subject]) -> QuantisingReport:
        from fare_cli.cli.study import talking
        from fare_cli.studies.quantising import TOLERATED_FLIPS, check_quantised

        # No number of records shows that none would flip.
        tolerated = [limit.value for limit in self.limits if limit.measure == "flips" and limit.value]
        with talking(self.console) as talk:
            return check_quantised(
                source,
                quantised,
                self.records,
                limit=self.limit,
                again=self.options.again,
                max_invalid=self.settings.max_invalid,
                tolerated_flips=min(tolerated, default=TOLERATED_FLIPS),
                talk=talk,
            )

    def _keep(self, report: QuantisingReport, made: dict[str, ModelFile]) -> None:
        """Stores the page and each model's own figures beside the model, and the page where it was asked for."""
        from fare_cli.gguf.notes import check_report_file, read_notes, write_notes
        from fare_cli.run.files import write_whole
        from fare_cli.studies.quantising_page import page

        text, values = page(report), report.to_json()
        for row, model in zip(values["quantised"], made.values(), strict=True):
            write_whole(check_report_file(model.path), text, "report")
            notes = read_notes(model.path).model_copy(update={"quantisation_check": {**values, "quantised": row}})
            write_notes(model.path, notes)
        if self.options.report is not None:
            write_whole(self.options.report, text, "report")

    def _say(self, report: QuantisingReport) -> None:
        if report.chance is not None:
            self.console.say(f"the source was not shown to judge better than chance: {report.chance}")
        self.console.say(report.advice)


def _ruling_json(ruling: Ruling) -> dict[str, Any]:
    return {
        "type": ruling.subject,
        "limit": ruling.limit.words,
        "outcome": ruling.outcome.name.lower(),
        "words": ruling.words,
    }


def _table(report: QuantisingReport) -> Iterator[str]:
    """The figures in columns, the source first."""
    rows = list(_rows(report))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _rows(report: QuantisingReport) -> Iterator[tuple[str, ...]]:
    yield (
        "type", "GB", "bits", "flipped (95%)", "kappa", "moved", "by", "orders agree", "right", "invalid",
        "records/min", "prompt tokens/s",
    )  # fmt: skip
    source = (f"{report.source.type} (source)", report.source, ("", "", "", ""))
    for name, standing, compared in [
        source,
        *((row.standing.type, row.standing, _compared(row)) for row in report.quantised),
    ]:
        yield (
            name,
            f"{standing.bytes / 1e9:.3f}",
            f"{standing.bits_per_weight:.1f}",
            *compared,
            _percent(standing.agreeing),
            _percent(standing.right),
            str(standing.invalid),
            _rounded(standing.records_per_minute),
            _rounded(standing.prompt_tokens_per_s),
        )


def _compared(row: Any) -> tuple[str, str, str, str]:
    from fare_cli.report.words import share_in_words

    made = row.comparison
    kappa = "-" if made.kappa is None else f"{made.kappa.value:.2f}"
    if made.shift is None:
        return share_in_words(made.flips), kappa, "-", "-"
    return share_in_words(made.flips), kappa, f"{made.shift.absolute:.3f}", f"{made.shift.signed:+.3f}"


def _percent(found: Any) -> str:
    return "-" if found is None or found.share is None else f"{found.share:.0%}"


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
