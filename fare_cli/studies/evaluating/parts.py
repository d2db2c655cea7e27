"""What a report of measures is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from fare_cli.meta.agreement import Proportion
from fare_cli.report.model import Column, Forest, Plot, Table, Value

Part: TypeAlias = Table | Plot | Forest

_MEASURES = (Column("measure", "measure"), Column("value", "value (95% interval)"))


def measures_table(name: str, title: str, rows: Sequence[tuple[str, Value]], note: str) -> Table:
    """A table with a measure in each row; those that nothing could be counted for are left out."""
    return Table(name, title, _MEASURES, tuple(row for row in rows if not _is_nothing(row[1])), note)


def _is_nothing(value: Value) -> bool:
    return value is None or (isinstance(value, Proportion) and not value.of)
