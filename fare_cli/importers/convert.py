"""Published files as lines of canonical records, with the counts of what was made of them."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import IO

from fare_cli import records
from fare_cli.errors import InputError, InvalidRecordsError, RecordError
from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.reading import read_rows
from fare_cli.importers.row import Row
from fare_cli.records import Record
from fare_cli.run.files import OutputFile
from fare_cli.run.ids import RecordIds

_HELD_BYTES = 32 * 1024 * 1024


class Conversion:
    """The records of `files`, and, once all of them are taken, the counts: `rows` read, `records` made, what was
    `skipped` by reason (a row, or one of its answers), `gold` labels as text (none without one), and how many ids were
    `renamed` because they came twice.

    `limit` ends it after so many records.
    """

    def __init__(self, importer: Importer, files: Sequence[str], *, limit: int | None = None) -> None:
        self.importer = importer
        self.files = files
        self.limit = limit
        self.rows = 0
        self.records = 0
        self.skipped: Counter[str] = Counter()
        self.gold: Counter[str] = Counter()
        self.renamed = 0
        self._ids = RecordIds()

    def lines(self) -> Iterator[str]:
        """Every record as a line of JSON without its end, in the order of the rows. Raises InputError with file, line
        and field for a row that is not the data set's, InvalidRecordsError where there was no record at all."""
        for made in itertools.islice(self._made(), self.limit):
            self.records += 1
            self.gold[str(made.gold) if made.gold is not None else "none"] += 1
            yield json.dumps(made.to_json(), ensure_ascii=False)
        if not self.records:
            reasons = "; ".join(f"{reason}: {count}" for reason, count in self.skipped.most_common())
            raise InvalidRecordsError(f"no record was made of {self.rows} rows" + (f" ({reasons})" if reasons else ""))

    def _made(self) -> Iterator[Record]:
        for made in self.importer.records(self._counted(read_rows(self.files))):
            if isinstance(made, Skipped):
                self.skipped[made.reason] += 1
            elif (record := self._record(made)) is not None:
                yield record

    def _counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.rows += 1
            yield row

    def _record(self, made: Made) -> Record | None:
        """The record with an id of its own; None where a text that a judge needs is empty, which sets do publish."""
        row = made.row
        try:
            record = records.parse(self.importer.task, made.record, split=made.split)
        except RecordError as error:
            if error.kind == "empty":
                self.skipped[error.message] += 1
                return None
            raise InputError(f"{row.file}, line {row.line}: {error.message}") from None
        wanted = record.id or self._name(row)
        unique = self._ids.derive(wanted, row.line)
        self.renamed += bool(record.id) and unique != wanted
        return record.with_id(unique)

    def _name(self, row: Row) -> str:
        """`NAME-LINE`, with the file's name between where there are several."""
        if len(self.files) == 1:
            return f"{self.importer.name}-{row.line}"
        return f"{self.importer.name}-{PurePath(row.file).name.split('.')[0]}-{row.line}"


def write_records(conversion: Conversion, path: Path, *, force: bool = False) -> None:
    """Puts all records at `path` in one step: where a row is refused, nothing appears there.

    Raises InputError where `path` is an input, or is there already and `force` is not given.
    """
    path = path.resolve()
    if path.exists():
        if any(name != "-" and path.samefile(name) for name in conversion.files if Path(name).exists()):
            raise InputError(f"{path} is an input of the same conversion", "choose another name with -o")
        if not force:
            raise InputError(f"{path} exists", "choose another name with -o, or replace it with --force")
    with OutputFile(path) as file:
        for line in conversion.lines():
            file.write(line)
        file.publish()


def stream_records(conversion: Conversion, out: IO[str]) -> None:
    """Gives all records to a stream once the last row was found right: a pipe never sees half of a wrong file."""
    with tempfile.SpooledTemporaryFile(_HELD_BYTES, mode="w+", encoding="utf-8") as held:
        for line in conversion.lines():
            held.write(line + "\n")
        held.seek(0)
        for line in held:
            out.write(line)
