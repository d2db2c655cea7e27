"""`inject` as a verb: records with gold, balanced sides, a manifest with the baselines, and nothing lost by a kill."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from fare_cli import records
from tests.training.curation.test_curate import kill_in_the_middle
from tests.training.running import verb

FIXTURES = Path(__file__).parent.parent / "fixtures"
ALL = [
    "--maths", str(FIXTURES / "gsm8k.jsonl"), "--code", str(FIXTURES / "humaneval.jsonl"),
    "--tool", str(FIXTURES / "bfcl.jsonl"), "--answers", str(FIXTURES / "bfcl_answers.jsonl"),
]  # fmt: skip


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inject") / "out.jsonl"
    assert verb("inject", *ALL, "-o", str(path)) == 0
    return path


@pytest.fixture(scope="module")
def rows(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def _task(row: dict[str, Any]) -> str:
    return "pairwise" if "answer_a" in row else "step" if "steps" in row else "verify"


def test_every_line_is_a_record_with_gold_that_says_where_it_is_from(rows: list[dict[str, Any]]) -> None:
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        record = records.parse(_task(row), row)
        assert record.gold is not None
        assert record.group
        assert record.extra["source"]
        assert record.extra["licence"] in {"MIT", "Apache-2.0"}
        assert record.extra["critique"]
        if row["injected"]["kind"] != "none":
            assert {"kind", "from", "to"} <= set(row["injected"])


def test_labels_and_sides_are_balanced_in_every_kind(rows: list[dict[str, Any]]) -> None:
    sides: defaultdict[str, Counter[str]] = defaultdict(Counter)
    labels = Counter((_task(row), row["gold"] if _task(row) == "verify" else row["gold"] == -1) for row in rows)
    for row in rows:
        if _task(row) == "pairwise":
            sides[row["source"] + row["category"]][row["gold"]] += 1
    assert labels["verify", "yes"] == labels["verify", "no"] > 0
    assert labels["step", True] == labels["step", False] > 0
    assert all(abs(count["A"] - count["B"]) <= 1 for count in sides.values())


def test_a_critique_of_a_pair_names_the_sides_as_they_are(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if _task(row) == "pairwise":
            wrong = "B" if row["gold"] == "A" else "A"
            assert row["critique"].startswith(f"Answer {wrong} is wrong. ")
            assert f" Answer {row['gold']} is right. " in row["critique"]


def test_solutions_are_verified_against_their_end_too(rows: list[dict[str, Any]]) -> None:
    against = [row for row in rows if "reference" in row]
    assert {row["source"] for row in against} == {"openai/grade-school-math"}
    assert Counter(row["gold"] for row in against) == Counter(row["gold"] for row in rows if row["id"].endswith(
        ("-right", "-wrong")) and row["source"] == "openai/grade-school-math")  # fmt: skip
    for row in against:
        end = row["answer"].rpartition(" ")[2].removesuffix(".")
        assert (end == row["reference"]) == (row["gold"] == "yes")
        assert f"comes to {end}" in row["critique"]
        assert row["critique"].endswith("so does the reference." if row["gold"] == "yes" else f"{row['reference']}.")


def test_the_manifest_tells_how_far_form_gives_the_label_away(output: Path) -> None:
    manifest = json.loads((output.parent / "out.jsonl.manifest.json").read_text())
    told = manifest["counts"]["sources"]["maths"]["told_by_form"]
    assert {"all", "result", "dropped + doubled", "swapped"} <= set(told)
    assert set(told["all"]) == {"length", "bag_of_words", "number_repeat"}
    assert told["all"]["length"]["of"] == manifest["counts"]["sources"]["maths"]["errors"]["result"] + sum(
        count for kind, count in manifest["counts"]["sources"]["maths"]["errors"].items() if kind != "result"
    )
    assert manifest["counts"]["sources"]["code"]["left_out"]["mutants: proven wrong"] > 0
    assert [path.name for path in output.parent.iterdir() if "pieces" in path.name] == []


def test_the_report_is_printed_for_a_finished_file_too(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("inject", *ALL, "-o", str(output), "--report") == 0
    said = capsys.readouterr()
    assert "finished already" in said.err
    assert "maths: all" in said.out
    assert "bag of words" in said.out


def test_a_kill_loses_at_most_the_piece_in_work(tmp_path: Path, output: Path) -> None:
    broken = tmp_path / "out.jsonl"
    pieces = tmp_path / "out.jsonl.pieces.jsonl"
    some_code = lambda: pieces.exists() and pieces.read_bytes().count(b'"code/') >= 2  # noqa: E731
    assert kill_in_the_middle(["inject", *ALL, "-o", str(broken)], some_code)
    assert not broken.exists()
    kept = [line for line in pieces.read_bytes().splitlines() if b'"code/' in line]
    assert len(kept) >= 2
    assert verb("inject", *ALL, "-o", str(broken)) == 0
    assert broken.read_bytes() == output.read_bytes()
    assert not pieces.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to put errors into"),
        (["--tool", str(FIXTURES / "bfcl.jsonl")], "--tool and --answers go together"),
        (
            ["--tool", str(FIXTURES / "bfcl.jsonl"), "--answers", str(FIXTURES / "gsm8k.jsonl")],
            "line 1: `id` is missing",
        ),
        (["--maths", "none.jsonl"], "none.jsonl does not exist"),
        (["--maths", str(FIXTURES / "humaneval.jsonl")], "line 1: `question` is missing"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert verb("inject", *arguments, "-o", str(tmp_path / "out.jsonl")) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_rows_in_which_no_function_fits_alone_give_no_pair_in_which_no_call_is_always_right(tmp_path: Path) -> None:
    lines = (FIXTURES / "bfcl.jsonl").read_text().splitlines(keepends=True)
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows.write_text("".join(line for line in lines if '"id": "irrelevance' in line))
    answers = str(FIXTURES / "bfcl_answers.jsonl")
    assert verb("inject", "--tool", str(rows), "--answers", answers, "-o", str(out)) == 0
    assert {json.loads(line)["category"] for line in out.read_text().splitlines()} == {"syntax"}


def test_rows_none_of_which_can_be_used_end_the_run_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"question": "How many?", "answer": "It is 3."}) + "\n")
    assert verb("inject", "--maths", str(rows), "-o", str(tmp_path / "out.jsonl")) == 3
    error = capsys.readouterr().err
    assert "no error could be put into any row (" in error
    assert "no line with ####" in error
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("module", ["sklearn", "scipy"])
def test_a_package_that_is_missing_is_named_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert verb("inject", *ALL, "-o", str(tmp_path / "out.jsonl")) == 5
    error = capsys.readouterr().err
    assert f"packages that are not installed: {module}" in error
    assert "pip install -e '.[train]'" in error
    assert list(tmp_path.iterdir()) == []
