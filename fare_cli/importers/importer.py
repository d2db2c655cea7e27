"""What an importer is: how one published data set becomes records, and what its labels mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from fare_cli.importers.row import Row
from fare_cli.records import Split, TaskName

IndexBase = Literal[0, 1]


class Made(NamedTuple):
    """A record as JSON values, not yet checked, and the row it was made of; `split` cuts its `answer` into steps."""

    row: Row
    record: Mapping[str, Any]
    split: Split | None = None


class Skipped(NamedTuple):
    """A row of which no record can be made by the data set's own rules (not judged, marked improper); `reason` is
    short and the same for all such rows, so that they can be counted."""

    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class Importer:
    """A published data set. `records` turns the rows of all files given, in order, into records or skips; it raises
    InputError, through `Row`, for a file that is not this data set's.

    `gold`, `ties` and `nulls` say in words where the label stands and what becomes of ties and of rows without one.
    `index_base` is that of the published step labels (records are always 0-based), None where none is published.
    `sides` says for pairs how the two answers come to be A and B. `files` names what the data set publishes.
    """

    name: str
    task: TaskName
    source: str
    licence: str
    files: str
    gold: str
    records: Callable[[Iterable[Row]], Iterator[Made | Skipped]]
    ties: str = "none"
    nulls: str = "none"
    index_base: IndexBase | None = None
    sides: str | None = None
