"""What a report is: facts, tables and plots, each readable by itself. `to_json` is the form for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate

Value: TypeAlias = str | int | float | Proportion | Estimate | None
"""What a cell may hold. A share or an estimate brings its 95% interval; None is shown as a dash."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in JSON, and its heading for people."""

    name: str
    heading: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values under columns. `name` is unique in the report; `note` says by which protocol or rule.

    `shaded` is for counts: a page shows how much of its row each one is.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""
    shaded: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name}: a row of {len(row)} values under {len(self.columns)} columns")

    def to_json(self) -> dict[str, Any]:
        """The table as JSON values; each row is an object by column."""
        names = [column.name for column in self.columns]
        rows = [dict(zip(names, map(_plain, row), strict=True)) for row in self.rows]
        return {"title": self.title, "note": self.note, "rows": rows}


@dataclass(frozen=True, slots=True)
class Point:
    """A value at x, and where the true one lies; `label` stands beside it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together, drawn as bars from zero, as points, or joined by a line."""

    name: str
    points: tuple[Point, ...]
    style: Literal["bars", "line", "points"] = "points"


@dataclass(frozen=True, slots=True)
class Plot:
    """Series over common axes. `diagonal` draws y = x, where a perfect instrument would lie."""

    name: str
    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    diagonal: bool = False
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The plot as JSON values."""
        series = [
            {
                "name": one.name,
                "points": [{name: getattr(point, name) for name in Point.__slots__} for point in one.points],
            }
            for one in self.series
        ]
        return {"title": self.title, "note": self.note, "x": self.x, "y": self.y, "series": series}


@dataclass(frozen=True, slots=True)
class Bar:
    """A named value, and where the true one lies."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Forest:
    """A plot with a row for each bar: named things and their intervals along one axis. `line` is a value to compare
    with, `line_name` what it is."""

    name: str
    title: str
    x: str
    bars: tuple[Bar, ...]
    line: float | None = None
    line_name: str = ""
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The plot as JSON values."""
        bars = [{name: getattr(bar, name) for name in Bar.__slots__} for bar in self.bars]
        line = None if self.line is None else {"name": self.line_name, "value": self.line}
        return {"title": self.title, "note": self.note, "x": self.x, "bars": bars, "line": line}


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a study. `facts` say what was measured and how (judge, records, engine), for people and machines;
    `warnings` are read before any figure."""

    title: str
    facts: Mapping[str, Any]
    parts: tuple[Table | Plot | Forest, ...]
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise ValueError(f"two parts of the report have one name: {names}")

    @property
    def tables(self) -> Sequence[Table]:
        return [part for part in self.parts if isinstance(part, Table)]

    @property
    def plots(self) -> Sequence[Plot | Forest]:
        return [part for part in self.parts if isinstance(part, Plot | Forest)]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values: tables and plots by name; a share or an estimate is an object with `interval`,
        [low, high] at 95%."""
        return {
            "title": self.title,
            "warnings": list(self.warnings),
            "facts": dict(self.facts),
            "tables": {table.name: table.to_json() for table in self.tables},
            "plots": {plot.name: plot.to_json() for plot in self.plots},
        }


def _plain(value: Value) -> Any:
    if isinstance(value, Proportion):
        return {"share": value.share, "cases": value.cases, "of": value.of, "interval": list(value.interval)}
    if isinstance(value, Estimate):
        return {"value": value.value, "interval": None if value.interval is None else list(value.interval)}
    return value
