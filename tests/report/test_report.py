"""One report, written as text, as JSON and as a page."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.meta.agreement import Interval, proportion
from fare_cli.meta.bootstrap import Estimate
from fare_cli.report.model import Bar, Column, Forest, Plot, Point, Report, Series, Table
from fare_cli.report.page import page
from fare_cli.report.text import text_lines
from fare_cli.report.words import number_in_words

TABLE = Table(
    "accuracy",
    "How often it is right",
    (Column("measure", "measure"), Column("value", "value (95%)"), Column("records", "records")),
    (
        ("accuracy", proportion(5, 10), 10),
        ("kappa <script>", Estimate(0.1, Interval(0.05, 0.2)), 1234),
        ("AUROC", Estimate(0.5, None), 3),
        ("MCC", None, 0),
    ),
    note="Undecided counts as wrong.",
)
PLOT = Plot(
    "reliability",
    "How sure, how right",
    "confidence",
    "share right",
    (
        Series("bins", (Point(0.6, 0.5, 0.4, 0.6), Point(0.9, 0.7, 0.5, 0.8, label="most"))),
        Series("all", (Point(0.5, 0.6), Point(1.0, 0.6)), "line"),
    ),
    diagonal=True,
)
REPORT = Report(
    "A judge & its measures", {"judge": "tiny", "records": {"file": "a.jsonl"}}, (TABLE, PLOT), ("near chance",)
)


class _Balanced(HTMLParser):
    """Fails on a tag that is closed out of turn, and collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> str:
    parser = _Balanced()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return " ".join("".join(parser.text).split())


def test_text_shows_every_figure_with_its_interval_and_warns_first() -> None:
    lines = list(text_lines(REPORT))
    assert lines[:4] == ["A judge & its measures", "warning: near chance", "judge: tiny", "records: file a.jsonl"]
    table = lines[lines.index("How often it is right") :]
    assert table[1].split() == ["measure", "value", "(95%)", "records"]
    assert "5 of 10 (50.0%; 23.7% to 76.3%)" in table[2]
    assert "0.100 (0.050 to 0.200)" in table[3]
    assert table[3].endswith("1,234")
    assert table[5].split() == ["MCC", "-", "0"]
    assert table[6].strip() == "Undecided counts as wrong."


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.5, "0.500"), (2.1e-7, "2.1e-07"), (-0.0004, "-4.0e-04"), (55.71, "55.71"), (1520.25, "1,520.2")],
)
def test_numbers_have_the_decimals_that_say_something(value: float, words: str) -> None:
    assert number_in_words(value) == words


def test_json_has_tables_and_plots_by_name() -> None:
    values = json.loads(json.dumps(REPORT.to_json(), allow_nan=False))
    assert values["warnings"] == ["near chance"]
    first, second, third, _ = values["tables"]["accuracy"]["rows"]
    assert first["value"]["share"] == 0.5
    assert first["value"]["of"] == 10
    assert second == {"measure": "kappa <script>", "value": {"value": 0.1, "interval": [0.05, 0.2]}, "records": 1234}
    assert third["value"]["interval"] is None
    assert values["plots"]["reliability"]["series"][0]["points"][0]["low"] == 0.4


def test_the_page_is_whole_escaped_and_says_what_its_plots_show() -> None:
    text = page(REPORT)
    assert "kappa &lt;script&gt;" in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=", text), "a page loads nothing"
    shown = read(text)
    assert "near chance" in shown
    assert "0.6: 0.5 (0.4 to 0.6), most: 0.7 (0.5 to 0.8)" in shown
    assert "stroke-dasharray" in text


def test_a_heading_stands_over_its_column() -> None:
    table = Table(
        "limits", "t", (Column("limit", "l"), Column("outcome", "o"), Column("count", "n")), (("a", "ok", 3),)
    )
    text = page(Report("r", {}, (table,)))
    assert '<th scope="col" class="text">o</th>' in text
    assert '<td class="text">ok</td>' in text
    assert '<th scope="col">n</th>' in text


def test_a_row_that_does_not_fit_and_a_name_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="2 values under 1 columns"):
        Table("t", "t", (Column("a", "a"),), (("x", 1),))
    with pytest.raises(ValueError, match="one name"):
        Report("r", {}, (TABLE, TABLE))


def test_a_forest_names_its_rows_and_the_line_to_compare_with() -> None:
    bars = (Bar("padding <b>", 0.2, 0.1, 0.3), Bar("injection", 0.5))
    forest = Forest("flips", "Flips", "share flipped", bars, line=0.1, line_name="the noise floor")
    report = Report("r", {}, (forest,))
    shown = read(page(report))
    assert "padding <b>: 0.2 (0.1 to 0.3), injection: 0.5." in shown
    assert "dashed: the noise floor" in shown
    values = json.loads(json.dumps(report.to_json()))["plots"]["flips"]
    assert values["bars"][1] == {"label": "injection", "value": 0.5, "low": None, "high": None}
    assert values["line"] == {"name": "the noise floor", "value": 0.1}
    at = [float(value) for value in re.findall(r'<circle cx="([^"]+)"', page(report))]
    assert at == sorted(at), "0.2 lies left of 0.5"
    assert "(nothing to draw)" in read(page(Report("r", {}, (Forest("f", "f", "x", ()),))))


finite = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=12), st.sampled_from(["bars", "line", "points"]))
def test_every_plot_stays_inside_its_frame(points: list[tuple[float, float]], style: str) -> None:
    series = Series("s", tuple(Point(x, y) for x, y in points), style)  # type: ignore[arg-type]
    text = page(Report("r", {}, (Plot("p", "p", "x", "y", (series,)),)))
    read(text)
    assert "nan" not in text
    for name, limit in (("cx", 720), ("cy", 320)):
        for value in re.findall(rf'{name}="([^"]+)"', text):
            assert 0 <= float(value) <= limit
            assert math.isfinite(float(value))


@pytest.mark.parametrize(("places", "ticks"), [((-1, 0, 2), ["-1", "0", "1", "2"]), ((0, 0.5), ["0.0", "0.1"])])
def test_what_comes_in_whole_steps_has_no_half_ones_on_its_axis(places: tuple[float, ...], ticks: list[str]) -> None:
    plot = Plot("p", "p", "iteration", "y", (Series("s", tuple(Point(place, 5.5) for place in places), "line"),))
    axis = re.findall(r'text-anchor="middle">(-?[\d.]+)</text>', page(Report("r", {}, (plot,))))
    assert axis[: len(ticks)] == ticks


def test_nothing_to_draw_and_nothing_to_list_are_said() -> None:
    empty = Report("r", {}, (Table("t", "t", (Column("a", "a"),), ()), Plot("p", "p", "x", "y", (Series("s", ()),))))
    assert "(nothing)" in "\n".join(text_lines(empty))
    assert "(nothing to draw)" in read(page(empty))
