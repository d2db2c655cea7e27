"""A report as one HTML file: no script, nothing from elsewhere, readable in light and dark, on paper and by ear."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from fare_cli.report.model import Bar, Forest, Plot, Report, Series, Table, Value
from fare_cli.report.text import fact_in_words, value_in_words

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 700, 16, 264
_MOST_TICKS = 8
_ROW, _FOREST_LEFT = 24, 230


class _Mark(NamedTuple):
    """A point in pixels; `low` and `high` are the ends of its interval, `words` what a reader is told of it."""

    x: float
    y: float
    low: float | None
    high: float | None
    label: str
    words: str


class _Drawn(NamedTuple):
    name: str
    style: str
    colour: int
    marks: list[_Mark]
    path: str


class _Drawing(NamedTuple):
    plot: Plot
    series: list[_Drawn]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    diagonal: tuple[float, float, float, float] | None
    zero: float
    bar_width: float


class _Row(NamedTuple):
    """A row of a forest in pixels; `low` and `high` are the ends of its interval."""

    label: str
    words: str
    y: float
    at: float
    low: float | None
    high: float | None


class _Rows(NamedTuple):
    rows: list[_Row]
    ticks: list[tuple[float, str]]
    line: float | None
    left: int
    bottom: int


class _Axis(NamedTuple):
    """A scale from values to pixels that begins and ends at round numbers."""

    ticks: list[float]
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return round(self.start + share * (self.end - self.start), 1)

    def labelled(self) -> list[tuple[float, str]]:
        step = self.ticks[1] - self.ticks[0]
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        return [(self.at(tick), f"{tick:.{digits}f}") for tick in self.ticks]


def page(report: Report) -> str:
    """The whole page. What came from files is escaped."""
    return _environment().get_template("page.html.jinja").render(report=report, **_drawn_parts(report.parts))


def parts_html(parts: Sequence[Table | Plot | Forest]) -> Markup:
    """The parts as HTML to be put into another page: a section each, escaped, without a `style` attribute."""
    return Markup(_environment().get_template("parts.html.jinja").render(**_drawn_parts(parts)))


def _environment() -> Environment:
    folder = resources.files("fare_cli.report")
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"words": value_in_words, "fact": fact_in_words, "shade": _shade}
    return environment


def _drawn_parts(parts: Sequence[Table | Plot | Forest]) -> dict[str, Any]:
    """What the template of parts needs."""
    drawings: dict[str, _Drawing | _Rows] = {}
    for part in parts:
        if isinstance(part, Forest) and part.bars:
            drawings[part.name] = _rows(part)
        elif isinstance(part, Plot) and any(one.points for one in part.series):
            drawings[part.name] = _drawing(part)
    frame = {"width": _WIDTH, "height": _HEIGHT, "left": _LEFT, "right": _RIGHT, "top": _TOP, "bottom": _BOTTOM}
    return {"parts": parts, "drawings": drawings, "frame": frame}


def _shade(value: Value, row: tuple[Value, ...]) -> int:
    """How dark a count is, 0 to 9, by how much of its row it is."""
    total = sum(other for other in row if isinstance(other, int))
    return math.ceil(9 * value / total) if isinstance(value, int) and total else 0


def _drawing(plot: Plot) -> _Drawing:
    points = [point for one in plot.series for point in one.points]
    heights = [height for point in points for height in (point.y, point.low, point.high) if height is not None]
    bars = any(one.style == "bars" for one in plot.series)
    places = [point.x for point in points]
    gaps = sorted(set(places))
    gap = min((after - before for before, after in itertools.pairwise(gaps)), default=1.0)
    least = 1.0 if all(float(place).is_integer() for place in places) else 0.0
    across = _axis(places, _LEFT, _RIGHT, pad=gap / 2 if bars else 0.0, least=least)
    up = _axis([*heights, 0.0] if bars else heights, _BOTTOM, _TOP)
    diagonal = None
    if plot.diagonal:
        low, high = max(across.ticks[0], up.ticks[0]), min(across.ticks[-1], up.ticks[-1])
        diagonal = (across.at(low), up.at(low), across.at(high), up.at(high))
    return _Drawing(
        plot=plot,
        series=[_drawn(one, number, across, up) for number, one in enumerate(plot.series)],
        x_ticks=across.labelled(),
        y_ticks=up.labelled(),
        diagonal=diagonal,
        zero=up.at(max(up.ticks[0], min(0.0, up.ticks[-1]))),
        bar_width=round(0.7 * abs(across.at(across.ticks[0] + gap) - across.at(across.ticks[0])), 1),
    )


def _rows(plot: Forest) -> _Rows:
    ends = [end for bar in plot.bars for end in (bar.value, bar.low, bar.high) if end is not None]
    across = _axis([*ends, *([] if plot.line is None else [plot.line])], _FOREST_LEFT, _RIGHT)

    def row(number: int, bar: Bar) -> _Row:
        low, high = (None if end is None else across.at(end) for end in (bar.low, bar.high))
        words = _in_words(bar.label, bar.value, bar.low, bar.high)
        return _Row(bar.label, words, _TOP + _ROW * (number + 0.5), across.at(bar.value), low, high)

    return _Rows(
        rows=[row(number, bar) for number, bar in enumerate(plot.bars)],
        ticks=across.labelled(),
        line=None if plot.line is None else across.at(plot.line),
        left=_FOREST_LEFT,
        bottom=_TOP + _ROW * len(plot.bars),
    )


def _in_words(label: str, value: float, low: float | None, high: float | None) -> str:
    return f"{label}: {value:.3g}" + ("" if low is None or high is None else f" ({low:.3g} to {high:.3g})")


def _drawn(series: Series, number: int, across: _Axis, up: _Axis) -> _Drawn:
    marks = [
        _Mark(
            across.at(point.x),
            up.at(point.y),
            None if point.low is None else up.at(point.low),
            None if point.high is None else up.at(point.high),
            point.label,
            _in_words(point.label or f"{point.x:g}", point.y, point.low, point.high),
        )
        for point in series.points
    ]
    path = " ".join(f"{'L' if index else 'M'}{mark.x},{mark.y}" for index, mark in enumerate(marks))
    return _Drawn(series.name, series.style, number % 4, marks, path)


def _axis(values: list[float], start: float, end: float, pad: float = 0.0, least: float = 0.0) -> _Axis:
    """Ticks at round numbers around all values, no less than `least` apart: there is no half an iteration."""
    low, high = min(values) - pad, max(values) + pad
    if low == high:
        low, high = low - 0.5, high + 0.5
    rough = max((high - low) / _MOST_TICKS, least)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return _Axis([number * step for number in range(first, last + 1)], start, end)
