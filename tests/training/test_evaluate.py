"""`evaluate`: the figures of `fare eval` on held-out records of mixed tasks, for one judge or for all of a loop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.cli.main import run as fare
from tests.engine.tiny_models import write_qwen3
from tests.simulating import answers, pairs, scored, solutions
from tests.training.making import write_records
from tests.training.running import verb
from training.manifest import file_facts, read_manifest
from training.stages import Stage, read_stages, write_stages

TASKS = ("pairwise", "step", "verify", "score")
STAGES = ("start", "cold start", "iteration 1")


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODE": "direct", "THREADS": "1", "CTX": "2048"}.items():
        monkeypatch.setenv(f"FARE_{name}", value)


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    """Eight records of each task, one after the other as a training set has them."""
    of_each = zip(pairs(8), solutions(8), answers(8), scored(8), strict=True)
    return write_records(tmp_path / "held-out.jsonl", [record for four in of_each for record in four])


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """As many models as there are stages, of different weights."""
    folder = tmp_path_factory.mktemp("judges")
    return [write_qwen3(folder / f"policy-{seed}.gguf", seed) for seed in range(len(STAGES))]


@pytest.fixture
def loop_folder(tmp_path: Path, judges: list[Path]) -> Path:
    """What a loop leaves behind."""
    folder = tmp_path / "loop"
    folder.mkdir()
    write_stages(folder, [Stage(name, path) for name, path in zip(STAGES, judges, strict=True)])
    return folder


def rows(report: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(report.read_text())["tables"][table]["rows"]
    return found


def test_one_judge_is_measured_as_fare_eval_does_it(
    held_out: Path, judges: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "measured"
    assert verb("evaluate", str(held_out), "-o", str(folder), "--model", str(judges[0])) == 0
    said = capsys.readouterr()
    assert "policy-0: how good on 4 sets" in said.out
    own = json.loads((folder / "report.json").read_text())
    assert [row["task"] for row in own["tables"]["sets"]["rows"]] == list(TASKS)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")

    files = [str(folder / "records" / task / "held-out.jsonl") for task in TASKS]
    assert fare(["eval", *files, "--model", str(judges[0]), "--json"]) == 0
    theirs = json.loads(capsys.readouterr().out)
    assert own["tables"].keys() == theirs["tables"].keys()
    for name, table in theirs["tables"].items():
        if not name.endswith("cost"):  # how long it took
            assert own["tables"][name] == table, name

    manifest = read_manifest(folder / "report.json")
    assert manifest is not None
    assert manifest.inputs == [file_facts(held_out), file_facts(judges[0])]
    assert {Path(output.file).name for output in manifest.outputs} == {
        "report.json",
        "report.html",
        *(f"held-out.{task}.policy-0.jsonl" for task in TASKS),
    }


def test_what_is_judged_stays_and_what_was_interrupted_goes_on(
    held_out: Path, judges: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "measured"
    command = ("evaluate", str(held_out), "-o", str(folder), "--deterministic", "--model", str(judges[0]))
    assert verb(*command) == 0
    first = capsys.readouterr()
    assert first.err.count("judging with policy-0") == 4
    assert verb(*command) == 0
    assert capsys.readouterr() == (first.out, ""), "the same report, and no judge was asked"

    kept = folder / "held-out.verify.policy-0.jsonl"
    whole = kept.read_bytes()
    journal = kept.with_name(kept.name + ".journal.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    kept.unlink()
    (folder / "report.json").unlink()
    assert verb(*command) == 0
    assert kept.read_bytes() == whole
    asking = json.loads(kept.with_name(kept.name + ".manifest.json").read_text())["asking"]
    assert (asking["reused"], asking["asked"]) == (3, 5)

    other = (*command[:-1], str(judges[1]))
    assert verb(*other) == 2
    assert "was made by something else" in capsys.readouterr().err
    assert verb(*other, "--force") == 0
    assert read_manifest(folder / "report.json").inputs[1] == file_facts(judges[1])  # type: ignore[union-attr]


def test_the_judges_of_a_loop_make_a_curve(
    held_out: Path, loop_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "curve"
    command = ("evaluate", str(held_out), "-o", str(folder), "--loop", str(loop_folder))
    assert verb(*command) == 0
    assert "3 judges of a loop on held-out records" in capsys.readouterr().out

    found = rows(folder / "curve.json", "curve")
    assert [(row["task"], row["stage"]) for row in found] == [(task, stage) for task in TASKS for stage in STAGES]
    figures = {(row["task"], row["stage"]): row["value"] for row in found}
    for stage in STAGES:
        own = rows(folder / stage.replace(" ", "-") / "report.json", "sets")
        assert [row["value"] for row in own] == [figures[task, stage] for task in TASKS]
    for row in found:
        first = figures[row["task"], "start"]
        if row["stage"] == "start":
            assert row["change"] is None
        elif first is not None and row["value"] is not None:
            by_hand = _number(row["value"]) - _number(first)
            assert row["change"]["value"] == pytest.approx(by_hand)
            low, high = row["change"]["interval"] or (by_hand, by_hand)
            assert low <= by_hand <= high

    plot = json.loads((folder / "curve.json").read_text())["plots"]["by_iteration"]
    assert plot["x"] == "iteration (-1: start, 0: cold start)"
    verify = next(one for one in plot["series"] if "verify" in one["name"])
    assert [(point["x"], point["y"]) for point in verify["points"]] == [
        (place, figures["verify", stage]["share"]) for place, stage in zip((-1, 0, 1), STAGES, strict=True)
    ]
    assert [[point["low"], point["high"]] for point in verify["points"]] == [
        figures["verify", stage]["interval"] for stage in STAGES
    ]
    assert "<svg" in (folder / "curve.html").read_text()
    manifest = read_manifest(folder / "curve.json")
    assert manifest is not None
    assert [one.sha256 for one in manifest.inputs] == [
        file_facts(folder / stage.replace(" ", "-") / "report.json").sha256 for stage in STAGES
    ]


def _number(value: dict[str, Any]) -> float:
    return float(value["share"] if "share" in value else value["value"])


def test_a_curve_grows_by_the_judges_that_are_new(
    held_out: Path, loop_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "curve"
    command = ("evaluate", str(held_out), "-o", str(folder), "--loop", str(loop_folder), "--limit", "6")
    stages = read_stages(loop_folder)
    for reached, new in ((1, ["policy-0"]), (3, ["policy-1", "policy-2"]), (3, [])):
        write_stages(loop_folder, stages[:reached])
        assert verb(*command) == 0
        said = capsys.readouterr()
        assert [judge for judge in ("policy-0", "policy-1", "policy-2") if f"judging with {judge}" in said.err] == new
        assert len(rows(folder / "curve.json", "curve")) == 4 * reached
    assert said.out.count("the verdicts are not those of all records") == 1


def test_what_cannot_be_measured_is_said(
    held_out: Path, loop_folder: Path, judges: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: str | Path, code: int = 2) -> str:
        assert verb("evaluate", *map(str, arguments), "-o", str(tmp_path / "out")) == code
        return capsys.readouterr().err

    model = ("--model", judges[0])
    assert "--loop says which models" in refused(held_out, "--loop", loop_folder, *model)
    assert "is no folder of a loop" in refused(held_out, "--loop", tmp_path)
    other = tmp_path / "other" / "held-out.jsonl"
    other.parent.mkdir()
    write_records(other, pairs(2))
    assert "two held-out files have one name" in refused(held_out, other, *model)
    without = write_records(tmp_path / "without.jsonl", [{"question": "?", "answer": "!"}])
    assert "no record has gold" in refused(without, *model)
    assert "holds no records" in refused(write_records(tmp_path / "empty.jsonl", []), *model)
    bad = write_records(tmp_path / "bad.jsonl", [{"question": "?", "answer": "!", "gold": "perhaps"}])
    assert "bad.jsonl, line 1" in refused(bad, *model, code=3)
    (loop_folder / "iterations.jsonl").write_text('{"stage": "start"}\n')
    assert "policy: Field required" in refused(held_out, "--loop", loop_folder)
