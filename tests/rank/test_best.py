"""Who is chosen: the highest of those that could be judged, in a tournament the one who wins it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fare_cli import records
from fare_cli.rank.answers import Question, read_material
from fare_cli.rank.best import Standing, choose, standing_of, tournaments
from fare_cli.records import PairwiseRecord
from fare_cli.run.reader import InputPlan
from fare_cli.verdicts import Verdict
from tests.rank.making import judge_of_quality
from tests.rank.test_answers import write


def questions(tmp_path: Path, texts: Sequence[Sequence[str]]) -> list[Question]:
    values = [
        {"id": f"q{n}", "question": f"Q{n}?", "reference": "r", "answers": list(each)} for n, each in enumerate(texts)
    ]
    plan = InputPlan("score", (str(write(tmp_path / "in.jsonl", values)),))
    return list(read_material(plan, "verify", systems=False).questions.values())


def stand(*values: float | None) -> list[Standing | None]:
    return [None if value is None else Standing(0, value) for value in values]


def test_the_highest_is_chosen_of_equals_the_first_and_the_next_best_text_is_named(tmp_path: Path) -> None:
    (question,) = questions(tmp_path, [["a", "b", "b", "c"]])
    chosen = choose(question, stand(0.2, 0.9, 0.9, 0.5))
    assert (chosen.answer.record.id, chosen.status) == ("q0/2", "ok")
    assert chosen.runner_up is not None
    assert chosen.runner_up.text == "c", "another copy of the same text is no runner-up"


def test_what_could_not_be_judged_is_chosen_only_where_nothing_else_is_left(tmp_path: Path) -> None:
    (question,) = questions(tmp_path, [["a", "b"]])
    assert choose(question, stand(None, 0.01)).answer.text == "b"
    none = choose(question, stand(None, None))
    assert (none.answer.text, none.status, none.standing) == ("a", "invalid", None)
    line = none.to_json("verify")
    assert (line["status"], line["probability"], line["runner_up"]) == ("invalid", None, None)


def test_a_line_is_a_record_for_the_next_tool(tmp_path: Path) -> None:
    (question,) = questions(tmp_path, [["a", "b"]])
    line = choose(question, stand(0.25, 0.75)).to_json("verify")
    assert line == {
        "id": "q0/2",
        "group": "q0",
        "question": "Q0?",
        "reference": "r",
        "answer": "b",
        "status": "ok",
        "by": "verify",
        "probability": 0.75,
        "n": 2,
        "runner_up": {"id": "q0/1", "system": None, "answer": "a", "probability": 0.25},
    }
    assert records.parse("verify", line).id == "q0/2"
    assert choose(question, stand(3.5, 4.25)).to_json("score")["expected_score"] == 4.25


def test_standings_of_verdicts() -> None:
    yes: dict[str, Any] = {"id": "v", "task": "verify", "status": "ok", "verdict": "no"}
    assert standing_of(Verdict(**yes, probabilities={"yes": 0.3, "no": 0.7})) == Standing(0, 0.3)
    assert standing_of(Verdict(id="v", task="score", status="ok", expected_score=3.5)) == Standing(0, 3.5)
    assert standing_of(Verdict(id="v", task="verify", status="invalid")) is None


class Asked:
    def __init__(self, broken: str | None = None, **faults: float) -> None:
        self.counts: list[int] = []
        self._judge = judge_of_quality(**faults)
        self._broken = broken

    def __call__(self, pairs: Sequence[PairwiseRecord]) -> list[Verdict]:
        self.counts.append(len(pairs))
        found = list(self._judge.verdicts("pairwise", pairs))
        return [
            Verdict(id=verdict.id, task="pairwise", status="invalid")
            if self._broken in (pair.answer_a, pair.answer_b)
            else verdict
            for pair, verdict in zip(pairs, found, strict=True)
        ]


@pytest.mark.parametrize(
    ("answers", "matches"), [(2, [1]), (5, [10]), (6, [3, 1, 1]), (7, [3, 2, 1]), (16, [8, 4, 2, 1])]
)
def test_a_perfect_judge_finds_the_best_with_few_matches(tmp_path: Path, answers: int, matches: list[int]) -> None:
    draw = random.Random(answers)
    texts = [[f"quality {value}" for value in draw.sample(range(100), answers)] for _ in range(8)]
    ask = Asked()
    material = questions(tmp_path, texts)
    standings = tournaments(material, ask, seed=3)
    assert ask.counts == [8 * count for count in matches]
    for question, found, given in zip(material, standings, texts, strict=True):
        ranked = sorted(given, key=lambda text: -int(text.split()[1]))
        chosen = choose(question, found)
        assert chosen.answer.text == ranked[0]
        if answers <= 5:
            assert chosen.runner_up is not None
            assert chosen.runner_up.text == ranked[1]


@pytest.mark.parametrize("answers", [4, 9])
def test_an_answer_that_breaks_the_judge_wins_no_tournament(tmp_path: Path, answers: int) -> None:
    texts = [[f"quality {value}" for value in range(answers)]]
    best = f"quality {answers - 1}"
    for seed in range(5):
        (question,) = questions(tmp_path, texts)
        (found,) = tournaments([question], Asked(broken=best), seed=seed)
        assert choose(question, found).answer.text != best
        assert choose(question, found).status == "ok"


def test_one_text_needs_no_match(tmp_path: Path) -> None:
    (question,) = questions(tmp_path, [["quality 1", "quality 1"]])
    ask = Asked()
    (found,) = tournaments([question], ask)
    assert ask.counts == []
    line = choose(question, found).to_json("pairwise")
    assert (line["status"], line["probability"], line["runner_up"]) == ("ok", None, None)
