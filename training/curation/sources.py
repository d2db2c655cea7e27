"""Where records with gold come from: files of records, or published sets by the name of their importer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli import records
from fare_cli.errors import InputError, RecordError, UsageError
from fare_cli.importers.importer import Made, Skipped
from fare_cli.importers.reading import read_rows
from fare_cli.importers.registry import importer_named
from fare_cli.importers.row import Row
from training.curation.entry import Entry, Unread, task_of

NEVER = ("bigbench-mistake", "evouna")
"""The sets that fare's models are tested on from outside: a judge trained on them would prove nothing there."""
_ALIASES = {"evouna": ("qaeval",)}

NO_LICENCE = "not stated"


class Source(NamedTuple):
    """Files of records (`importer` None), or of a published set."""

    importer: str | None
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        return self.importer or self.files[0].name.split(".")[0]


def parse_source(text: str) -> Source:
    """The source in `FILE` or `NAME=FILE[,FILE...]`. Raises UsageError for a name that no importer has."""
    name, equals, files = text.partition("=")
    if not equals or "/" in name:
        return Source(None, (Path(text),))
    importer_named(name)
    if not files:
        raise UsageError(f"{text}: no file is named", f"write {name}=FILE")
    return Source(name, tuple(Path(file) for file in files.split(",")))


def check_never(sources: Sequence[Source], never: Sequence[str]) -> None:
    """Raises InputError where an importer or the name of a file is one of the sets that must not be trained on."""
    for source in sources:
        for text in (source.importer or "", *(path.name for path in source.files)):
            refuse_never(text, text, never)


def refuse_never(text: str, where: str, never: Sequence[str]) -> None:
    """Raises InputError where `text`, a name that stands at `where`, is of a set that must not be trained on."""
    for name in never:
        for alias in (name, *_ALIASES.get(name, ())):
            if _letters(alias) and _letters(alias) in _letters(text):
                raise InputError(
                    f"{where} is of {name}, which must not be trained on",
                    "it is the test from outside; leave it out here, and measure the finished judge on it",
                )


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())


def read_source(source: Source, never: Sequence[str]) -> Iterator[Entry | Unread]:
    """Every record of a source, or why there is none to train on. Raises InputError with file, line and field for what
    is no record, or says that it is of a set on the `never` list."""
    files = [str(path) for path in source.files]
    made = _published(source.importer, files) if source.importer else map(_own, read_rows(files))
    for row, record, credit in made:
        place = f"{row.file}:{row.line}"
        if isinstance(record, str):
            yield Unread(credit["source"], place, record)
            continue
        for said in (credit["source"], record.category or ""):
            refuse_never(said, f"{row.file}, line {row.line}: the record", never)
        reason = _unfit(record)
        if reason is not None:
            yield Unread(credit["source"], place, reason, record.id, task_of(record))
        else:
            yield Entry(record, credit["source"], credit["licence"], place)


_Credit = Mapping[str, str]


def _published(name: str, files: Sequence[str]) -> Iterator[tuple[Row, records.Record | str, _Credit]]:
    importer = importer_named(name)
    credit = {"source": importer.name, "licence": importer.licence}
    for made in importer.records(read_rows(files)):
        if isinstance(made, Skipped):
            yield made.row, f"skipped by the importer: {made.reason}", credit
            continue
        yield made.row, _parsed(made, importer.task), credit


def _parsed(made: Made, task: str) -> records.Record | str:
    try:
        record = records.parse(task, made.record, split=made.split)
    except RecordError as error:
        if error.kind == "empty":
            return "skipped by the importer: an empty text"
        raise InputError(f"{made.row.file}, line {made.row.line}: {error.message}") from None
    return record if record.id else record.with_id(record.content_id())


def _own(row: Row) -> tuple[Row, records.Record, _Credit]:
    try:
        record = records.parse(records.task_told_by(row.values) or "verify", row.values)
    except RecordError as error:
        raise InputError(
            f"{row.file}, line {row.line}: {error.message}",
            "a record has question, gold and the fields of its task: fare data schema pairwise (step, verify, score)",
        ) from None
    return row, record if record.id else record.with_id(record.content_id()), credit_of(row)


def credit_of(row: Row) -> dict[str, str]:
    """Where a row says it comes from, by which licence; else the name of its file, and that no licence is stated."""
    return {
        "source": _said(row.values, "source") or Path(row.file).name.split(".")[0],
        "licence": _said(row.values, "licence") or NO_LICENCE,
    }


def _said(extra: Mapping[str, Any], field: str) -> str | None:
    value = extra.get(field)
    return value if isinstance(value, str) and value else None


def _unfit(record: records.Record) -> str | None:
    """Why a sound record teaches nothing: it has no label, or one that a judge cannot give."""
    if record.gold is None:
        return "no gold label"
    if record.gold == "tie":
        return "a tie: the judge names one answer"
    if record.task == "score" and record.gold != int(record.gold):
        return "a fractional score: the judge names a whole one"
    if record.task == "score" and vars(record)["criteria"] is not None:
        return "several criteria: the score of none is known"
    return None
