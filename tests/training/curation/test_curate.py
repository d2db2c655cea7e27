"""`curate` as a whole: what goes in, what comes out, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.running import verb

ROOT = Path(__file__).resolve().parents[3]


def _records(count: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for n in range(count):
        question = {"question": f"What is {n} and {n * 7 + 1}, and why would anybody ask for {n * n + 3}?"}
        for gold in ("yes", "no"):
            answer = {"answer": f"{n} {gold}", "gold": gold, "source": "sums", "licence": "MIT"}
            made += [question | answer, question | answer | {"reference": str(n)}]
        for gold in (-1, 0):
            made.append(question | {"steps": [f"{n}", f"{gold}"], "gold": gold})
        made.append(question | {"answer_a": f"{n}", "answer_b": f"{n + 1}", "gold": "A"})
        made.append(question | {"answer": f"{n}", "rubric": "good?", "gold": n % 5 + 1})
    return made


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return _write(tmp_path / "own.jsonl", _records(60))


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_set_is_made_with_everything_said_about_it(tmp_path: Path, source: Path) -> None:
    test = _write(tmp_path / "test.jsonl", [_records(1)[0]])
    out = tmp_path / "set"
    assert verb("curate", str(source), "-o", str(out), "--held-out", "0.2", "--against", str(test)) == 0
    train, held_out, dropped = (_read(out / f"{name}.jsonl") for name in ("train", "held-out", "dropped"))
    assert {row["question"] for row in train}.isdisjoint({row["question"] for row in held_out})
    assert len(train) > len(held_out) > 0
    assert len(train) + len(held_out) + len(dropped) == len(_read(source))
    assert {row["reason"] for row in dropped} >= {"contaminated by test.jsonl", "more than the mix takes of its task"}
    assert {row["source"] for row in train} == {"sums", "own"}
    manifest = json.loads((out / "train.jsonl.manifest.json").read_text())
    assert manifest["counts"]["train"]["records"] == len(train)
    assert {Path(facts["file"]).name for facts in manifest["outputs"]} == {
        "train.jsonl", "held-out.jsonl", "dropped.jsonl", "card.md",
    }  # fmt: skip
    card = (out / "card.md").read_text()
    for said in ("| sums | MIT |", "| own | not stated |", "contaminated by test.jsonl", "seed: 0", "datasketch 2"):
        assert said in card, said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bigbench-mistake=FILE"], "bigbench-mistake, which must not be trained on"),
        (["evouna=FILE"], "evouna, which must not be trained on"),
        (["FOLDER/bigbench_mistake_word_sorting.jsonl"], "bigbench-mistake, which must not be trained on"),
        (["FILE", "--never", "sums"], "line 1: the record is of sums, which must not be trained on"),
        (["hh-rlfh=FILE"], "no importer 'hh-rlfh'"),
        (["FILE", "--mix", "chat=1"], "--mix chat=1"),
        (["FILE", "--mix", "verify=0"], "no task has a part"),
        (["FOLDER/none.jsonl"], "does not exist"),
        (["FILE", "--held-out", "1"], "--held-out 1"),
    ],
)
def test_what_must_not_be_trained_on_and_what_cannot_be_meant_is_refused(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    named = [argument.replace("FILE", str(source)).replace("FOLDER", str(tmp_path)) for argument in arguments]
    assert verb("curate", *named, "-o", str(tmp_path / "set")) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "set" / "train.jsonl").exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question": "?", "gold": "yes"}, "`answer` is missing"),
        ({"question": "?", "answer": "x", "gold": "perhaps"}, "`gold`"),
        ({"question": "?", "answer": "x", "refrence": "y"}, "did you mean `reference`?"),
    ],
)
def test_a_bad_record_is_named_by_file_line_and_field(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str], row: dict[str, Any], said: str
) -> None:
    _write(source, [*_records(1)[:2], row])
    assert verb("curate", str(source), "-o", str(tmp_path / "set")) == 2
    error = capsys.readouterr().err
    assert f"{source}, line 3: " in error
    assert said in error


def test_records_that_came_with_one_id_have_ids_of_their_own(tmp_path: Path) -> None:
    words = ("one apple of the tree", "all rivers in a far country")
    sums = [{"id": "sum", "question": f"What of {one}?", "answer": f"{one}, so", "gold": "yes"} for one in words]
    sums += [{**one, "id": f"no-{number}", "answer": "8", "gold": "no"} for number, one in enumerate(sums)]
    sums = [one | {"source": "s"} for one in sums]
    files = [_write(tmp_path / f"{name}.jsonl", rows) for name, rows in {"one": sums[1:], "two": sums[:1]}.items()]
    ids = []
    for order in (files, files[::-1]):
        out = tmp_path / order[0].stem
        assert verb("curate", *map(str, order), "-o", str(out), "--mix", "all", "--held-out", "0") == 0
        ids.append({(row["id"], row["answer"]) for row in _read(out / "train.jsonl")})
    assert ids[0] == ids[1]
    assert len({id for id, _ in ids[0]}) == 4
    assert {id for id, answer in ids[0] if answer == "8"} == {"no-0", "no-1"}
    assert all(id.startswith("sum-") for id, answer in ids[0] if answer != "8")


def test_records_without_a_label_that_a_judge_can_give_are_counted(tmp_path: Path, source: Path) -> None:
    pair = {"question": "?", "answer_a": "x", "answer_b": "y", "gold": "tie"}
    score = {"question": "?", "answer": "x", "rubric": "good?", "gold": 2.5}
    _write(source, [*_records(20), pair, score, {"question": "?", "answer": "x"}])
    out = tmp_path / "set"
    assert verb("curate", str(source), "-o", str(out), "--mix", "all", "--held-out", "0") == 0
    dropped = json.loads((out / "train.jsonl.manifest.json").read_text())["counts"]["dropped"]
    assert [dropped[name] for name in dropped if name.startswith(("a tie", "a fractional", "no gold"))] == [1, 1, 1]
    rows = {row["place"].rpartition(":")[2]: row for row in _read(out / "dropped.jsonl")}
    assert [rows[str(line)]["reason"].partition(":")[0] for line in (161, 162, 163)] == [
        "a tie", "a fractional score", "no gold label",
    ]  # fmt: skip
    assert (rows["161"]["task"], rows["161"]["source"], bool(rows["161"]["id"])) == ("pairwise", "own", True)


def test_rows_that_an_importer_skips_are_listed_too(tmp_path: Path) -> None:
    said = "\n\nHuman: hi\n\nAssistant: "
    rows = [
        {"chosen": said + "hello", "rejected": said + "go away"},
        {"chosen": said + "yes", "rejected": said + "yes"},
    ]
    file, out = _write(tmp_path / "test.jsonl", rows), tmp_path / "set"
    assert verb("curate", f"hh-rlhf={file}", "-o", str(out), "--mix", "all", "--held-out", "0") == 0
    (row,) = _read(out / "dropped.jsonl")
    assert (row["id"], row["source"], row["place"]) == (None, "hh-rlhf", f"{file}:2")
    assert row["reason"].startswith("skipped by the importer: ")


def test_the_same_records_are_kept_whatever_the_order_of_files(tmp_path: Path) -> None:
    rows = _records(30)
    again = [row | {"id": f"again-{number}"} for number, row in enumerate(rows)]
    near = "Why do the seven old grey cats sleep so long under the wooden cart when it rains on the hill, {}"
    for number, end in enumerate(("and then?", "and now?", "or so?")):
        rows.append({"id": f"near-{number}", "question": near.format(end), "answer": "So.", "gold": "yes"})
        again.append({"question": near.format(end), "answer": f"No {number}.", "gold": "no"})
    files = [_write(tmp_path / name, made) for name, made in (("one.jsonl", rows), ("two.jsonl", again))]
    kept = []
    for order in (files, files[::-1]):
        out = tmp_path / f"first-{order[0].stem}"
        assert verb("curate", *map(str, order), "-o", str(out), "--held-out", "0.3") == 0
        kept.append([(out / f"{side}.jsonl").read_bytes() for side in ("train", "held-out")])
    assert kept[0] == kept[1]


def test_a_task_of_which_nothing_is_held_out_is_said_and_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in _records(60) if "rubric" not in row]
    score = {"question": "What is one?", "answer": "1", "rubric": "good?", "gold": 1}
    source = _write(tmp_path / "own.jsonl", [*rows, score, score | {"question": "And two?", "answer": "2", "gold": 2}])
    out = tmp_path / "set"
    assert (
        verb("curate", str(source), "-o", str(out), "--held-out", "0.1", "--mix", "pairwise=1,score=1", "--seed", "3")
        == 0
    )
    assert "no record of score is held out; a larger --held-out may hold some" in capsys.readouterr().err
    assert {("answer_a" in row) for row in _read(out / "held-out.jsonl")} == {True}


def test_a_package_that_is_missing_is_named(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    assert verb("curate", str(source), "-o", str(tmp_path / "set")) == 5
    assert "packages that are not installed: datasketch" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_finished_set_is_left_alone_and_another_one_is_not_written_over_it(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    command = ["curate", str(source), "-o", str(out)]
    assert verb(*command) == 0
    before = (out / "train.jsonl").stat().st_mtime_ns
    assert verb(*command) == 0
    assert "finished already" in capsys.readouterr().err
    assert (out / "train.jsonl").stat().st_mtime_ns == before
    assert verb(*command, "--seed", "1") == 2
    assert verb(*command, "--seed", "1", "--force") == 0


def kill_in_the_middle(arguments: list[str], until: Any, *, limit_s: float = 60.0) -> bool:
    """Starts a verb, kills it (SIGKILL) once `until` is true; False where it ended before."""
    child = subprocess.Popen(
        [sys.executable, "-m", "training", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started = time.monotonic()
    while child.poll() is None and not until() and time.monotonic() - started < limit_s:
        time.sleep(0.005)
    killed = child.poll() is None
    if killed:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    return killed


def test_a_kill_in_the_middle_costs_nothing_but_time(tmp_path: Path) -> None:
    source = _write(tmp_path / "own.jsonl", _records(400))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert verb("curate", str(source), "-o", str(whole)) == 0
    begun = broken / "train.jsonl.unfinished"
    assert kill_in_the_middle(["curate", str(source), "-o", str(broken)], begun.exists)
    assert not (broken / "train.jsonl").exists()
    assert verb("curate", str(source), "-o", str(broken)) == 0
    for name in ("train.jsonl", "held-out.jsonl", "dropped.jsonl"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert not begun.exists()
