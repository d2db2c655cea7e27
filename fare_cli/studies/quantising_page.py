"""The report of a check as one HTML file: no script, nothing from elsewhere, readable in light and dark."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined

from fare_cli.report.words import share_in_words
from fare_cli.studies.quantising import Quantised, QuantisingReport

_LEFT, _RIGHT, _TOP, _ROW = 150, 620, 16, 34
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)


class _Bar(NamedTuple):
    """A type in the plot, in pixels: the share of flips and its interval, across."""

    label: str
    size: str
    words: str
    y: int
    at: float
    low: float
    high: float


class _Plot(NamedTuple):
    bars: list[_Bar]
    ticks: list[tuple[float, str]]
    tolerated: float
    left: int
    right: int
    bottom: int


def page(report: QuantisingReport) -> str:
    """The whole page. What came from files is escaped."""
    source = resources.files("fare_cli.studies").joinpath("quantising.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["share"] = lambda found: "" if found is None else share_in_words(found)
    environment.filters["percent"] = lambda value: "" if value is None else f"{value:.1%}"
    return environment.from_string(source).render(report=report, plot=_plot(report))


def _plot(report: QuantisingReport) -> _Plot:
    """One row a type, the largest file on top; the scale ends at the next round share above all intervals."""
    rows = sorted(report.quantised, key=lambda row: -row.standing.bytes)
    most = max([row.comparison.flips.interval.high for row in rows] + [report.tolerated_flips])
    step = next((step for step in _STEPS if most / step <= 6), _STEPS[-1])
    ticks = [number * step for number in range(int(most / step + 1 - 1e-9) + 1)]

    def across(share: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * share / ticks[-1], 1)

    return _Plot(
        bars=[_bar(row, _TOP + _ROW * number, across) for number, row in enumerate(rows)],
        ticks=[(across(tick), f"{tick:.0%}") for tick in ticks],
        tolerated=across(report.tolerated_flips),
        left=_LEFT,
        right=_RIGHT,
        bottom=_TOP + _ROW * len(rows),
    )


def _bar(row: Quantised, y: int, across: Callable[[float], float]) -> _Bar:
    found = row.comparison.flips
    return _Bar(
        label=row.standing.type,
        size=f"{row.standing.bytes / 1e9:.2f} GB",
        words=share_in_words(found),
        y=y + _ROW // 2,
        at=across(found.share or 0.0),
        low=across(found.interval.low),
        high=across(found.interval.high),
    )
