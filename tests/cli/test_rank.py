"""`fare rank` as a shell sees it, on a model with random weights and on kept verdicts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from fare_cli import records
from fare_cli.cli.main import run
from tests.cli.conftest import Fare
from tests.rank.making import judge_of_quality, judge_of_right, lines
from tests.rank.test_answers import write

Rank = Callable[..., "subprocess.CompletedProcess[str]"]

TRUE = {"strong": 2.0, "middling": 0.5, "weak": -1.0}


@pytest.fixture
def rank(fare: Fare, tiny_model: Path, tmp_path: Path) -> Rank:
    def call(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        env = {
            "FARE_HOME": str(tmp_path / "home"),
            "FARE_MODEL": str(tiny_model),
            "FARE_THREADS": "1",
            "FARE_CTX": "2048",
            "FARE_MODE": "direct",
            "FARE_COMBINE": "mean",
        }
        return fare("rank", *arguments, env=env, stdin=stdin)

    return call


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    return write(tmp_path / "answers.jsonl", lines(TRUE, 8))


def kept_pairs(path: Path, questions: int, **faults: Any) -> Path:
    """Verdicts of a simulated judge on all pairs of the three systems."""
    pairs = [
        {"question": line["question"], "answer_a": one["answer"], "answer_b": other["answer"],
         "system_a": one["system"], "system_b": other["system"]}
        for line in lines(TRUE, questions)
        for one, other in ((line["answers"][a], line["answers"][b]) for a, b in ((0, 1), (2, 0), (1, 2)))
    ]  # fmt: skip
    return keep(path, judge_of_quality(**faults).verdicts("pairwise", pairs))


def kept_answers(path: Path, questions: int, right: dict[str, int], **faults: Any) -> Path:
    """Verdicts of a simulated judge on answers of which each system has `right` of 10 right."""
    values = [
        {"id": f"{n}/{name}", "question": f"Q{n}?", "system": name, "gold": n % 10 < share,
         "answer": f"{'RIGHT' if n % 10 < share else 'not so'} says {name}\nA: {7 if n % 10 < share else len(name)}"}
        for n in range(questions)
        for name, share in right.items()
    ]  # fmt: skip
    return keep(path, judge_of_right(**faults).verdicts("verify", values))


def keep(path: Path, verdicts: Iterable[Any]) -> Path:
    path.write_text("".join(verdict.to_line() + "\n" for verdict in verdicts), encoding="utf-8")
    return path


def test_systems_are_ranked_and_the_same_command_asks_nothing_again(rank: Rank, answers: Path, tmp_path: Path) -> None:
    done = rank(answers, "--report", tmp_path / "report.html", "--max-pairs", "20")
    assert done.returncode == 0, done.stderr
    assert "not shown to be better than chance" in done.stdout.splitlines()[0], "weights are random"
    assert "round 1: 16 of 24 pairs asked" in done.stderr
    assert "pairs: 20 of 24 asked in 2 rounds; --max-pairs was reached" in done.stdout
    assert "stable under copies: a copy of" in done.stdout
    assert "<svg" in (tmp_path / "report.html").read_text()
    again = rank(answers, "--max-pairs", "20", "--json")
    report = json.loads(again.stdout)
    assert report["facts"]["replies"] == "0 asked, 40 kept from earlier"
    rows = report["tables"]["ranking"]["rows"]
    assert {row["system"] for row in rows} == set(TRUE)
    assert sum(row["comparisons"] for row in rows) == 40
    assert [row["elo"]["value"] for row in rows] == sorted((row["elo"]["value"] for row in rows), reverse=True)
    anew = rank(answers, "--json", "--again", "--max-pairs", "20")
    assert json.loads(anew.stdout)["facts"]["replies"] == "40 asked, 0 kept from earlier"
    kept = rank(answers, "--json", "--max-pairs", "20")
    assert json.loads(kept.stdout)["facts"]["replies"] == "0 asked, 40 kept from earlier"
    assert json.loads(kept.stdout)["tables"] == report["tables"]


def test_kept_verdicts_are_ranked_without_a_model(fare: Fare, tmp_path: Path) -> None:
    kept = kept_pairs(tmp_path / "verdicts.jsonl", 60, accuracy=0.95, position_bias=0.4)
    done = fare("rank", "--verdicts", kept, "--json", env={"FARE_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    rows = report["tables"]["ranking"]["rows"]
    assert [(row["place"], row["system"]) for row in rows] == [("1", "strong"), ("2", "middling"), ("3", "weak")]
    assert "chance" not in report["title"]
    assert report["facts"]["pairs"].startswith("180 of 180 asked")
    assert "Elo for the answer that is shown first" in report["facts"]["first position"]
    assert rows[0]["won"] > rows[0]["lost"]


def test_groups_that_never_met_are_ranked_apart_and_that_is_said(fare: Fare, tmp_path: Path) -> None:
    kept = kept_pairs(tmp_path / "verdicts.jsonl", 20)
    other = [
        {**json.loads(line), "id": f"o{n}"}
        for n, line in enumerate(kept.read_text().replace('"strong"', '"s2"').replace('"weak"', '"w2"').splitlines())
        if '"middling"' not in line
    ]
    kept.write_text(kept.read_text() + "".join(json.dumps(line) + "\n" for line in other))
    done = fare("rank", "--verdicts", kept)
    assert done.returncode == 0, done.stderr
    assert "2 groups of systems were never compared with each other" in " ".join(done.stdout.split())
    assert done.stdout.count("Systems by strength") == 2


def test_verify_verdicts_give_means_abilities_and_difficulties(fare: Fare, tmp_path: Path) -> None:
    kept = kept_answers(tmp_path / "v.jsonl", 40, {"good": 9, "fair": 5, "poor": 1}, accuracy=0.95)
    done = fare("rank", "--verdicts", kept, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    rows = report["tables"]["ranking"]["rows"]
    assert [(row["place"], row["system"]) for row in rows] == [("1", "good"), ("2", "fair"), ("3", "poor")]
    assert rows[0]["gold"]["share"] == 0.9
    assert rows[0]["elo"]["value"] > rows[1]["elo"]["value"] > rows[2]["elo"]["value"]
    listed = report["tables"]["difficulty"]["rows"]
    assert len(listed) == 10
    assert listed[0]["elo"]["value"] > listed[-1]["elo"]["value"]
    assert (listed[0]["right"], listed[-1]["right"]) == ("0 of 3", "3 of 3")


def test_the_best_of_n_is_chosen_and_the_curve_stands_between_any_and_the_oracle(fare: Fare, tmp_path: Path) -> None:
    kept = kept_answers(tmp_path / "v.jsonl", 50, {"good": 8, "fair": 5, "poor": 2}, accuracy=0.9)
    chosen = tmp_path / "chosen.jsonl"
    done = fare("rank", "--verdicts", kept, "--best", "-o", chosen, "--json")
    assert done.returncode == 0, done.stderr
    values = [json.loads(line) for line in chosen.read_text().splitlines()]
    assert [value["question"] for value in values] == [f"Q{n}?" for n in range(50)], "in the order of the input"
    assert all(records.parse("verify", value).id == value["id"] for value in values)
    assert {value["n"] for value in values} == {3}
    rows = json.loads(done.stdout)["tables"]["best_of_n"]["rows"]
    assert [row["n"] for row in rows] == [1, 2, 3]
    assert rows[2]["random"]["value"] < rows[2]["judge"]["value"] < rows[2]["oracle"]["value"]
    right = sum(value["gold"] == "yes" for value in values) / 50
    assert rows[2]["judge"]["value"] == pytest.approx(right)
    streamed = fare("rank", "--verdicts", kept, "--best")
    assert streamed.stdout == chosen.read_text()
    assert "Best of n" in streamed.stderr


@pytest.mark.parametrize("by", ["verify", "pairwise"])
def test_best_with_a_model_takes_texts_alone(rank: Rank, tmp_path: Path, by: str) -> None:
    values = [{"question": f"Q{n}?", "answers": [f"a{n}", f"b{n}", f"c{n}"]} for n in range(3)]
    text = "".join(json.dumps(value) + "\n" for value in values)
    done = rank("-", "--best", "--by", by, "-q", stdin=text)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["group"] for one in found] == ["Q0?", "Q1?", "Q2?"]
    assert all(0 <= one["runner_up"]["probability"] <= one["probability"] <= 1 for one in found)
    assert {one["by"] for one in found} == {by}
    assert done.stderr == ""


def test_scores_rank_systems_and_choose(rank: Rank, tmp_path: Path) -> None:
    values = [{"question": f"Q{n}?", "rubric": "good", "answers": {"x": f"x{n}", "y": f"y{n}"}} for n in range(6)]
    file = write(tmp_path / "s.jsonl", values)
    done = rank(file, "--by", "score", "--json")
    assert done.returncode == 0, done.stderr
    assert all(1 <= row["score"]["value"] <= 5 for row in json.loads(done.stdout)["tables"]["ranking"]["rows"])
    best = rank(file, "--by", "score", "--best", "-q")
    assert [1 <= json.loads(line)["expected_score"] <= 5 for line in best.stdout.splitlines()] == [True] * 6


def test_too_many_lines_that_cannot_be_used_are_an_error_after_the_report(
    fare: Fare, rank: Rank, tmp_path: Path
) -> None:
    values = [*lines(TRUE, 4), {"question": "q", "answer": "no system"}]
    done = rank(write(tmp_path / "in.jsonl", values), "--max-pairs", "16")
    assert done.returncode == 3
    assert "Systems by strength" in done.stdout
    assert "in.jsonl, line 5: `system` is missing" in done.stderr
    fine = rank(tmp_path / "in.jsonl", "--max-pairs", "16", "--max-invalid", "50%")
    assert fine.returncode == 0
    none = rank(write(tmp_path / "none.jsonl", values[-1:]))
    assert none.returncode == 3
    assert "none.jsonl, line 1: `system` is missing" in none.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give either an input or --verdicts"),
        (["{answers}", "--verdicts", "{answers}"], "give either an input or --verdicts"),
        (["{answers}", "-o", "x.jsonl"], "-o is for the answers that --best chooses"),
        (["{answers}", "--best", "--json"], "would both go to stdout"),
        (["{answers}", "--best", "--max-pairs", "3"], "--max-pairs is for systems ranked by pairs"),
        (["{answers}", "--max-pairs", "0"], "must be 1 or more"),
        (["{answers}", "--report", "x.txt"], "must end in .html or .json"),
        (["missing.jsonl"], "missing.jsonl"),
        (["--verdicts", "missing.jsonl"], "missing.jsonl"),
        (["--verdicts", "{answers}"], "answers.jsonl, line 1: "),
        (["--verdicts", "{answers}", "--by", "score"], "--verdicts says by itself how was judged"),
        (["{pairs}", "--by", "verify"], "the input holds pairs"),
        (["{pairs}", "--best"], "the input holds pairs"),
    ],
)
def test_what_cannot_be_is_refused(
    tiny_model: Path,
    answers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    """In this process: a shell would take two seconds for each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FARE_MODEL", str(tiny_model))
    pair = {"question": "q", "answer_a": "1", "answer_b": "2", "system_a": "x", "system_b": "y"}
    files = {"answers": answers, "pairs": write(tmp_path / "pairs.jsonl", [pair])}
    assert run(["rank", *(argument.format(**files) for argument in arguments)]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_verdicts_without_their_records_are_refused(fare: Fare, tmp_path: Path) -> None:
    kept = kept_pairs(tmp_path / "verdicts.jsonl", 2)
    kept.write_text(
        "".join(json.dumps({**json.loads(line), "record": None}) + "\n" for line in kept.read_text().splitlines())
    )
    done = fare("rank", "--verdicts", kept)
    assert done.returncode == 2
    assert "verdicts.jsonl, line 1: the verdict came without its `record`" in done.stderr
    assert "without --no-record" in done.stderr


def test_systems_without_a_question_in_common_are_not_ordered(rank: Rank, tmp_path: Path) -> None:
    values = [{"question": f"of {name}", "answer": "1", "system": name} for name in ("x", "y")]
    done = rank(write(tmp_path / "in.jsonl", values))
    assert done.returncode == 0, done.stderr
    assert "never compared with each other, and nothing is said across them: x; y" in " ".join(done.stdout.split())
    assert "Systems by strength" not in done.stdout


def test_one_system_is_nothing_to_rank(rank: Rank, tmp_path: Path) -> None:
    done = rank(write(tmp_path / "in.jsonl", [{"question": "q", "answers": {"x": "1"}}]))
    assert done.returncode == 2
    assert "there is nothing to rank: x" in done.stderr
