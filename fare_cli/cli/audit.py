"""`fare audit`: how a judge can be fooled."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from fare_cli.cli.judge import open_judge, with_own_decoding
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, as_command, judge_options, judge_parameters
from fare_cli.cli.study import STUDY_OPTIONS, Again, AsJson, ReportFile, check_report_file, show_report, talking
from fare_cli.errors import ExitCode, InvalidRecordsError, UsageError

if TYPE_CHECKING:
    from fare_cli.run.reader import InputPlan

# To show that at most 5% of the verdicts flip takes 73 records without a flip.
_LIMIT = 100

_AUDIT = "Audit"


def _option(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, rich_help_panel=_AUDIT)


_Records = Annotated[
    list[str] | None,
    typer.Argument(metavar="INPUT", help="JSONL files, plain or gzip; they are read twice.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """What the command line gave, apart from the options that it shares with `fare judge`."""

    task: Annotated[
        Literal["pairwise", "step", "verify", "score"] | None,
        _option(
            "--task",
            metavar="pairwise|step|verify|score",
            help="What the records are.  [default: by the fields of the first one]",
        ),
    ]
    limit: Annotated[
        int,
        _option("--limit", metavar="N", help="Take only the first N records; each makes 15 to 30.  [default: 100]"),
    ]
    only: Annotated[
        list[str],
        _option("--only", metavar="NAME|CLASS", help="Try only this, and the paraphrases; repeatable. See --list."),
    ]
    fail_on: Annotated[
        list[str],
        _option(
            "--fail-on",
            metavar="LIMIT",
            help="Keep a limit on a name or a class, such as injection=5% (at most so many flips) or detection=80% "
            "(at least so many noticed): exit with 1 where the 95% interval lies beyond, with 4 where it straddles the "
            "limit; repeatable.",
        ),
    ]
    listing: Annotated[bool, _option("--list", help="List all perturbations and planted errors, and judge nothing.")]
    show: Annotated[
        str | None,
        _option("--show", metavar="NAME", help="Show a record before and after, as two JSON lines, and judge nothing."),
    ]
    report: ReportFile
    as_json: AsJson
    again: Again


_DEFAULTS: dict[str, Any] = {
    "limit": _LIMIT,
    "only": [],
    "fail_on": [],
    "listing": False,
    "as_json": False,
    "again": False,
}


def audit_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(AuditOptions, include_extras=True)
    own = {field.name: (hints[field.name], _DEFAULTS.get(field.name)) for field in fields(AuditOptions)}
    shared = judge_parameters([name for name in STUDY_OPTIONS if name not in own])

    def run(values: dict[str, Any]) -> int:
        options = AuditOptions(**{name: values[name] for name in own})
        return _audit(options, judge_options({name: values[name] for name in ("inputs", *shared)}))

    return as_command(
        {"inputs": (_Records, None), **own, **shared},
        run,
        "Perturb records, and see what that does to a judge's verdicts.",
    )


def _audit(options: AuditOptions, judging: JudgeOptions) -> int:
    if options.listing:
        return _list(options.as_json)
    records = _records(options, judging)
    if options.show is not None:
        return _show(options.show, records)
    return _run(options, judging, records)


def _records(options: AuditOptions, judging: JudgeOptions) -> InputPlan:
    from fare_cli.cli.source import input_plan, parse_field_map
    from fare_cli.run.reader import InputPlan
    from fare_cli.studies.evaluating.sources import Reading, task_of
    from fare_cli.studies.judging import check_rereadable

    if not judging.inputs:
        raise UsageError("the records are missing", "name a file, or see what can be tried with: fare audit --list")
    if options.limit < 1:
        raise UsageError(f"--limit {options.limit}: must be 1 or more")
    check_rereadable(InputPlan(task="", files=tuple(judging.inputs)))
    reading = Reading(field_map=parse_field_map(judging.map), split=judging.split)
    return input_plan(options.task or task_of(judging.inputs[0], reading), judging)


def _run(options: AuditOptions, judging: JudgeOptions, records: InputPlan) -> int:
    from fare_cli.cli.console import Console
    from fare_cli.settings import load_settings
    from fare_cli.studies.audit.audit import audit
    from fare_cli.studies.audit.catalogue import choose
    from fare_cli.studies.audit.limits import parse_limit, rulings
    from fare_cli.studies.audit.tables import report
    from fare_cli.studies.limits import worst
    from fare_cli.tasks import check_options

    chosen = choose(options.only)
    limits = [parse_limit(text, chosen) for text in options.fail_on]
    check_report_file(options.report)
    settings = load_settings({name: getattr(judging, name) for name in SETTING_NAMES}, isolated=judging.isolated)
    settings = with_own_decoding(settings, settings.model)
    check_options(records.task, settings.judging_options())
    console = Console(quiet=judging.quiet)
    with open_judge(settings) as judge, talking(console) as talk:
        found = audit(
            judge,
            records,
            chosen,
            limit=options.limit,
            again=options.again,
            max_invalid=settings.max_invalid,
            talk=talk,
        )
    try:
        ruled = rulings(found, limits)
    except InvalidRecordsError:
        # What was found is no less worth for a limit that has nothing to be measured on.
        show_report(report(found), as_json=options.as_json, file=options.report)
        raise
    show_report(report(found, ruled), as_json=options.as_json, file=options.report)
    if not found.facts["all records of the files"]:
        console.say(f"only the first {options.limit} records were tried; --limit N takes more")
    for ruling in ruled:
        console.say(f"{ruling.limit.words} is {ruling.kept}: {ruling.words}")
    return worst(ruled)


def _list(as_json: bool) -> int:
    from fare_cli.studies.audit.catalogue import listing

    rows = listing()
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return ExitCode.OK
    columns = ("name", "class", "effect", "placement", "tasks")
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    for row in [dict(zip(columns, columns, strict=True)), *rows]:
        print("  ".join(row[column].ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip())
    return ExitCode.OK


def _show(name: str, records: InputPlan) -> int:
    from fare_cli.run.reader import read_items
    from fare_cli.studies.audit.catalogue import named
    from fare_cli.studies.audit.showing import before_and_after

    one = named(name)
    if records.task not in one.tasks:
        raise UsageError(f"--show {name} is for {', '.join(one.tasks)}, and these records are {records.task}")
    for item in read_items(records):
        shown = None if item.record is None else before_and_after(one, item.record)
        if shown is not None:
            print("\n".join(json.dumps(values, ensure_ascii=False) for values in shown))
            return ExitCode.OK
    raise InvalidRecordsError(f"none of the records can be changed by {name}", one.description)
