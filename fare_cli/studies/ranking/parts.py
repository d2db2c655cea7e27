"""What the reports of rankings share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fare_cli.meta.bootstrap import Estimate
from fare_cli.report.model import Column, Plot, Point, Series, Table, Value

PLACES_NOTE = "A place is a range where 95% intervals of the differences do not tell systems apart."


class Facts(NamedTuple):
    """What the caller knows of the judge: its name for the title, and facts for the report."""

    judge: str
    facts: Mapping[str, Any]


def title(text: str, chance: str | None) -> str:
    return text if chance is None else f"{text} (a judge not shown to be better than chance)"


def chance_warning(chance: str | None) -> tuple[str, ...]:
    """The warning that belongs to a title which says so."""
    return () if chance is None else (f"the judge was not shown to do better than chance: {chance}",)


def table(
    name: str, title: str, heads: Sequence[tuple[str, str]], rows: Sequence[tuple[Value, ...]], note: str
) -> Table:
    return Table(name, title, tuple(Column(*head) for head in heads), tuple(rows), note)


def standing_plot(name: str, title: str, y: str, names: Sequence[str], values: Sequence[Estimate]) -> Plot:
    points = tuple(
        point(number, value, label) for number, (label, value) in enumerate(zip(names, values, strict=True), start=1)
    )
    return Plot(name, title, "place", y, (Series("systems", points),))


def point(x: float, found: Estimate, label: str = "") -> Point:
    low, high = found.interval or (None, None)
    return Point(x, found.value, low, high, label)
