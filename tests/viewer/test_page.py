"""`fare report`: what the file holds, whatever the verdicts are. test_page_in_chromium.py says what it does."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fare_cli.report.model import Table
from fare_cli.run.reader import InputPlan
from fare_cli.studies.evaluating.headline import HEADLINES
from fare_cli.studies.evaluating.kept import read_kept
from fare_cli.studies.evaluating.running import Keeping, judge_source
from fare_cli.studies.evaluating.sources import Source
from fare_cli.studies.evaluating.verdict_set import Protocol
from fare_cli.viewer.overview import overview
from fare_cli.viewer.page import write_page
from tests.cli.conftest import Fare, fare
from tests.simulating import judge
from tests.viewer.verdict_files import (
    HOSTILE,
    TASKS,
    data_of,
    hostile_pair,
    verdicts_of,
    with_critiques,
    write_verdicts,
)

__all__ = ["fare"]


class _Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("task", TASKS)
def test_every_record_is_in_the_page_as_it_stands_in_the_file(task: str, tmp_path: Path) -> None:
    verdicts = verdicts_of(task)
    written = write_page([write_verdicts(tmp_path / "v.jsonl", verdicts)], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    about, *chunks, index = data_of(page)
    assert written.records == len(verdicts)
    assert [one["id"] for chunk in chunks for one in chunk] == [one.id for one in verdicts]
    assert [one["record"] for chunk in chunks for one in chunk] == [one.record for one in verdicts]
    assert index["columns"]["verdict"] == [one.verdict for one in verdicts]
    assert about["sets"][0]["task"] == task


def test_the_page_without_its_records_is_small(tmp_path: Path) -> None:
    path = write_verdicts(tmp_path / "v.jsonl", verdicts_of("pairwise"))
    write_page([path], tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < path.stat().st_size + 200_000


def test_texts_of_records_are_only_text(tmp_path: Path) -> None:
    verdicts = with_critiques([hostile_pair(), *TASKS["pairwise"]])
    assert all(HOSTILE in (one.critique or "") for one in verdicts[0].judgments)
    write_page([write_verdicts(tmp_path / f"{'<b>x'}.jsonl", verdicts)], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    elements = _Elements(page).found
    assert [attributes.get("type") for tag, attributes in elements if tag == "script"].count("module") == 1
    assert not any(name.startswith("on") or name == "style" for _, attributes in elements for name in attributes)
    assert {tag for tag, _ in elements} & {"img", "iframe", "link", "object", "form", "b"} == set()
    assert data_of(page)[1][0]["record"]["question"] == HOSTILE


def test_the_policy_allows_this_script_and_style_and_nothing_else(tmp_path: Path) -> None:
    write_page([write_verdicts(tmp_path / "v.jsonl", verdicts_of("verify"))], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    (script,), (style,) = (
        re.findall(rf"<{tag}>(.*?)</{tag.split(' ')[0]}>", page, re.DOTALL) for tag in ('script type="module"', "style")
    )
    for name, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(name) == f"'sha256-{digest}'"
    assert rules == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
    assert not re.search(r"https?://", page)


def test_every_measure_has_its_plain_sentence(tmp_path: Path) -> None:
    # A measure without a sentence is a KeyError.
    for task in TASKS:
        path = write_verdicts(tmp_path / f"{task}.jsonl", with_critiques(TASKS[task], task))
        shown = overview([read_kept(path)])
        tables = [part for part in shown.parts if isinstance(part, Table) and part.columns[0].name == "measure"]
        assert tables
        for table in tables:
            assert table.columns[-1].name == "meaning"
            assert all(str(row[-1]).endswith(".") for row in table.rows)


def test_the_overview_has_a_plot_of_each_kind(tmp_path: Path) -> None:
    shown = overview([read_kept(write_verdicts(tmp_path / "v.jsonl", verdicts_of("pairwise")))])
    names = {part.name for part in shown.parts}
    assert names >= {
        "win-rate-of-answer-B-plot", "accuracy-plot", "agreement", "orders", "confidence-plot", "reliability-plot",
        "people",
    }  # fmt: skip


def test_counts_of_the_agreement_table_are_those_of_the_file(tmp_path: Path) -> None:
    right = [one for one in verdicts_of("pairwise") if one.correct]
    of_a = [one for one in right if one.gold == "A"][:7]
    of_b = [one for one in right if one.gold == "B"][:5]
    said = ["B", "B", None, *["A"] * 4, "A", *["B"] * 4]
    changed = [one.model_copy(update={"verdict": label}) for one, label in zip([*of_a, *of_b], said, strict=True)]
    shown = overview([read_kept(write_verdicts(tmp_path / "v.jsonl", changed))])
    (table,) = (part for part in shown.parts if part.name == "agreement")
    assert isinstance(table, Table)
    assert [column.heading for column in table.columns[1:]] == ["said A", "said B", "said no verdict"]
    assert table.rows == (("A", 4, 2, 1), ("B", 1, 4, 0))


def test_verdicts_without_records_and_without_gold_are_said_to_be_so(tmp_path: Path) -> None:
    without_gold = [one.model_copy(update={"gold": None, "correct": None}) for one in verdicts_of("step")]
    path = write_verdicts(tmp_path / "v.jsonl", without_gold, records=False)
    written = write_page([path], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "--no-record" in " ".join(written.warnings)
    assert "Nobody said which verdicts would be right" in page
    assert "no manifest" in page
    assert set(data_of(page)[-1]["columns"]["content"]) == {None}


def test_labels_too_few_to_measure_are_no_empty_table(tmp_path: Path) -> None:
    labelled, *others = (
        one.model_copy(update={"record": {k: v for k, v in (one.record or {}).items() if k != "annotations"}})
        for one in verdicts_of("pairwise")
    )
    labelled = labelled.model_copy(
        update={
            "record": {**(labelled.record or {}), "annotations": {"ann": "A", "bo": "A"}},
            **dict.fromkeys(("verdict", "confidence")),
            "consistent": False,
        }
    )
    write_page([write_verdicts(tmp_path / "v.jsonl", [labelled, *others])], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "greement with people (" not in page
    assert "<tbody>\n</tbody>" not in page


def test_several_files_are_one_page(tmp_path: Path, fare: Fare) -> None:
    paths = [write_verdicts(tmp_path / f"{task}.jsonl", verdicts_of(task)) for task in TASKS]
    done = fare("report", *paths, "-o", "all.html")
    assert done.returncode == 0, done.stderr
    assert "all.html: 129 records" in done.stderr
    about, *_, index = data_of((tmp_path / "all.html").read_text(encoding="utf-8"))
    assert [one["task"] for one in about["sets"]] == list(TASKS)
    assert len(index["columns"]["set"]) == 129


def test_an_incomplete_run_is_said_to_be_one(tmp_path: Path) -> None:
    plan = InputPlan("pairwise", (), records=tuple(TASKS["pairwise"]))
    cut = Source("records", plan, Protocol(HEADLINES["pairwise"]), limit=5)
    judge_source(judge(), cut, keeping=Keeping(tmp_path))
    written = write_page([tmp_path / "records.pairwise.replay.jsonl"], tmp_path / "page.html")
    assert "The verdicts are not those of all records: the run was ended by limit" in written.warnings
    assert "ended by limit" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_only_invalid_records_make_a_page_too(tmp_path: Path) -> None:
    broken = with_critiques([{"question": "", "answer_a": "x", "answer_b": "y"}])
    assert broken[0].status == "invalid"
    write_page([write_verdicts(tmp_path / "v.jsonl", broken)], tmp_path / "page.html")
    assert "1 more could not be judged" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content", "output", "told"),
    [
        ("missing.jsonl", None, "x.html", "does not exist"),
        ("records.jsonl", '{"question": "?"}\n', "x.html", "records.jsonl, line 1"),
        ("empty.jsonl", "", "x.html", "holds no verdicts"),
        ("v.jsonl", "{}\n", "x.pdf", "must end in .html"),
        ("v.html", "{}\n", "v.html", "is one of the inputs"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    name: str, content: str | None, output: str, told: str, tmp_path: Path, fare: Fare
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    done = fare("report", name, "-o", output)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "x.html").exists()
