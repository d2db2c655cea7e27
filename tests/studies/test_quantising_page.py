"""The page: whole, closed in itself, true to the figures, and safe whatever the files are called."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fare_cli.meta.agreement import Interval, Shift
from fare_cli.meta.bootstrap import Estimate
from fare_cli.studies.quantising import Quantised, QuantisingReport
from fare_cli.studies.quantising_page import page
from tests.studies.test_quantising import row

_VOID = {"meta", "br", "line", "circle"}


class Reader(HTMLParser):
    """Collects tags and text, and sees that every tag that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def report(*rows: Quantised, **changes: object) -> QuantisingReport:
    source = row("F16", 0, 0, 16_000_000_000).standing
    made = QuantisingReport(
        made="2026-01-01T00:00:00+00:00",
        task="pairwise",
        options={"mode": "direct"},
        prompts="fare's own",
        records=({"file": "records.jsonl", "sha256": "00"},),
        judged=400,
        machine={"threads": 2},
        tolerated_flips=0.05,
        source=replace(source, name="fare-8b"),
        quantised=rows,
        chance=None,
        advice="Take it.",
    )
    return replace(made, **changes)


ROWS = (row("Q4_K_M", 8, 400, 5_030_000_000, 31.4), row("Q8_0", 1, 400, 8_710_000_000))


def test_the_page_holds_the_figures_and_needs_nothing_from_elsewhere() -> None:
    reader = read(page(report(*ROWS)))
    text = " ".join(" ".join(reader.text).split())
    for figure in ("8 of 400 (2.0%; 1.0% to 3.9%)", "5.03", "31", "not timed", "fare-8b, quantised", "Take it."):
        assert figure in text
    assert not [value for name, value in reader.attributes if name in ("src", "href") and value]
    assert "<script" not in page(report(*ROWS))
    assert "http" not in page(report(*ROWS))


def test_estimates_are_shown_with_their_intervals() -> None:
    right = Estimate(-0.02, Interval(-0.05, 0.01))
    changes = {"kappa": Estimate(0.9, None), "shift": Shift(-0.0123, 0.0456), "right_change": right}
    full = replace(ROWS[0].comparison, **changes)
    text = page(report(replace(ROWS[0], comparison=full)))
    for figure in ("<td>0.900</td>", "0.046", "-0.012", "-0.020 (-0.050 to 0.010)"):
        assert figure in text


def test_the_plot_has_a_bar_a_type_in_the_right_place_and_says_it_in_words() -> None:
    text = page(report(*ROWS))
    svg = re.search(r"<svg.*?</svg>", text, re.DOTALL)
    assert svg is not None
    drawn = ElementTree.fromstring(svg[0])
    assert drawn.get("role") == "img"
    described = drawn.find("desc")
    assert described is not None
    assert described.text is not None
    assert "Q4_K_M, 5.03 GB: 8 of 400" in described.text
    marks = {float(str(mark.get("cy"))): float(str(mark.get("cx"))) for mark in drawn.iter("circle")}
    ticks = {str(text.text): float(str(text.get("x"))) for text in drawn.iter("text") if str(text.text).endswith("%")}
    # The larger file is on top; 2% lies at the tick of 2%, and 5%, the dashed line, at that of 5%.
    (_, q8), (_, q4) = sorted(marks.items())
    assert q8 < q4
    assert q4 == pytest.approx(ticks["2%"])
    dashed = next(line for line in drawn.iter("line") if line.get("stroke-dasharray"))
    assert float(str(dashed.get("x1"))) == pytest.approx(ticks["5%"])
    bars = [line for line in drawn.iter("line") if line.get("stroke-linecap")]
    for bar in bars:
        low, high = float(str(bar.get("x1"))), float(str(bar.get("x2")))
        assert ticks["0%"] <= low < high <= max(ticks.values())
        assert low <= marks[float(str(bar.get("y1")))] <= high


def test_a_plot_without_flips_or_records_and_one_of_nothing_but_flips() -> None:
    for rows in ((row("Q8_0", 0, 1000, 1),), (row("Q8_0", 0, 0, 1),), (row("Q2_K", 9, 9, 1),)):
        read(page(report(*rows)))


def test_names_from_files_are_text() -> None:
    hostile = '<script>alert("x")</script>'
    made = report(*ROWS, records=({"file": hostile, "sha256": "00"},), prompts=hostile)
    made = replace(made, source=replace(made.source, name=hostile))
    text = page(made)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_judge_no_better_than_chance_is_called_so_in_the_title() -> None:
    made = report(*ROWS, chance="31 of 60 decided verdicts are right")
    assert made.title.endswith("(a judge not shown to be better than chance)")
    assert "31 of 60 decided" in page(made)
    assert "<title>fare-8b, quantised: what became of its verdicts (a judge not shown to be better" in page(made)


def test_the_report_is_json_with_names() -> None:
    values = json.loads(json.dumps(report(*ROWS).to_json(), allow_nan=False))
    flips = values["quantised"][0]["comparison"]["flips"]
    assert (flips["cases"], flips["of"], flips["share"]) == (8, 400, 0.02)
    assert set(flips["interval"]) == {"low", "high"}
    assert values["title"].startswith("fare-8b")
