"""`fare data`: what goes in and what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fare_cli.cli.options import SectionedCommand
from fare_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fare_cli.importers.convert import Conversion
    from fare_cli.importers.importer import Importer
    from fare_cli.records import TaskName

data_app = typer.Typer(help="Data files: what goes in and what comes out.")

_Shape = Literal["verdict", "pairwise", "step", "verify", "score"]


@data_app.callback()
def _group() -> None:
    """Data files: what goes in and what comes out."""


@data_app.command()
def schema(
    shape: Annotated[
        _Shape,
        typer.Argument(
            metavar="verdict|pairwise|step|verify|score",
            help="A line of output, or a line of input of that task.",
            show_default=False,
        ),
    ],
) -> int:
    """Print the JSON Schema of one line of input or output."""
    import json

    from fare_cli.records import record_schema, verdict_schema

    document = verdict_schema() if shape == "verdict" else record_schema(shape)
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    return 0


_OURS = "A published set"
_THEIRS = "Any other file"


@data_app.command(cls=SectionedCommand)
def convert(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="JSON Lines, JSON, CSV, TSV or Parquet, plain or gzip, told by their content; - is stdin.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Write the records there; - is stdout.")
    ] = "-",
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=1, help="Make only the first N records.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but errors.")] = False,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="The set that the files are of.", show_default=False, rich_help_panel=_OURS
        ),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List the sets, and what their labels mean.", rich_help_panel=_OURS)
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.", rich_help_panel=_OURS)] = False,
    task: Annotated[
        Literal["pairwise", "step", "verify", "score"] | None,
        typer.Option(
            "--task",
            metavar="pairwise|step|verify|score",
            help="What the rows become.",
            show_default=False,
            rich_help_panel=_THEIRS,
        ),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=PATH",
            help="Take a field from elsewhere: answer_a=chosen, or a dotted path; repeatable.",
            show_default=False,
            rich_help_panel=_THEIRS,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe",
            metavar="FILE",
            help="A TOML file that says the same, and what labels mean.",
            show_default=False,
            rich_help_panel=_THEIRS,
        ),
    ] = None,
) -> int:
    """Turn published data sets, or any other file, into records with known labels."""
    if list_:
        if files or from_ or task or map_ or recipe:
            raise UsageError("--list goes alone, or with --json")
        _print_importers(as_json)
        return 0
    if as_json:
        raise UsageError("--json is for --list", "records are JSON Lines anyway")
    from fare_cli.cli.console import Console
    from fare_cli.importers.convert import Conversion, stream_records, write_records

    if not files:
        raise InputError("no input was given", "name the files of the set; fare data convert --list names the sets")
    conversion = Conversion(_importer(files, from_, task, map_ or [], recipe), files, limit=limit)
    try:
        if output == "-":
            import sys

            stream_records(conversion, sys.stdout)
        else:
            write_records(conversion, Path(output), force=force)
    except InputError as error:
        raise (_with_suggestion(error, files, from_) if from_ and error.hint is None else error) from None
    for line in _summary(conversion, output):
        Console(quiet=quiet).say(line)
    return 0


def _importer(
    files: list[str], name: str | None, task: TaskName | None, pairs: list[str], recipe: Path | None
) -> Importer:
    from fare_cli.cli.source import parse_field_map
    from fare_cli.importers.recipe import mapped, read_recipe
    from fare_cli.importers.registry import importer_named, importers_for
    from fare_cli.run.lines import check_inputs

    given = [option for option, value in (("--from", name), ("--task", task), ("--recipe", recipe)) if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} say two things about the same files", "give one of them")
    if pairs and task is None:
        raise UsageError("--map goes with --task", "for example --task pairwise --map answer_a=chosen")
    if name is not None:
        return importer_named(name)
    if recipe is not None:
        return read_recipe(recipe).importer()
    if task is not None:
        return mapped(task, parse_field_map(pairs)).importer()
    check_inputs(files)
    fitting = importers_for(files)
    hint = (
        f"it looks like --from {' or '.join(fitting)}"
        if fitting
        else "--list names the sets; --task or --recipe take any file"
    )
    raise UsageError("nothing says what the files are: --from, --task or --recipe is missing", hint)


def _with_suggestion(error: InputError, files: list[str], name: str) -> InputError:
    """The refusal of a file, with the sets whose importers would take it."""
    from fare_cli.importers.registry import importers_for

    fitting = [other for other in importers_for(files) if other != name]
    hint = f"this is no file of {name}"
    return InputError(error.message, f"{hint}; it looks like --from {' or '.join(fitting)}" if fitting else None)


def _summary(conversion: Conversion, output: str) -> Iterator[str]:
    where = "" if output == "-" else f"{output}: "
    stopped = " (--limit)" if conversion.limit == conversion.records else ""
    yield f"{where}{conversion.records} {conversion.importer.task} records of {conversion.rows} rows{stopped}"
    if conversion.skipped:
        yield "skipped: " + "; ".join(f"{reason}: {count}" for reason, count in conversion.skipped.most_common())
    if conversion.renamed:
        yield f"ids: {conversion.renamed} were there before and got a number"
    shown = conversion.gold.most_common(_LABELS_SHOWN)
    rest = len(conversion.gold) - len(shown)
    yield "gold: " + ", ".join(f"{label} {count}" for label, count in shown) + (f", and {rest} others" if rest else "")


_LABELS_SHOWN = 12


def _print_importers(as_json: bool) -> None:
    import json

    from fare_cli.importers.registry import IMPORTERS

    rows = [_facts(importer) for importer in IMPORTERS.values()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(f"{row['name']}  {row['task']}  {row['source']}  licence: {row['licence']}")
        for name in ("files", "gold", "index_base", "ties", "nulls", "sides"):
            if row[name] is not None:
                typer.echo(f"    {name.replace('_', ' ')}: {row[name]}")


def _facts(importer: Importer) -> dict[str, Any]:
    return {
        "name": importer.name,
        "task": importer.task,
        "source": importer.source,
        "licence": importer.licence,
        "files": importer.files,
        "gold": importer.gold,
        "index_base": importer.index_base,
        "ties": importer.ties,
        "nulls": importer.nulls,
        "sides": importer.sides,
    }
