from __future__ import annotations

from typing import Any

import pytest

from fare_cli.asks import Direct, Reply, ReplyError
from fare_cli.identity import JudgingOptions
from tests.tasks.making import first_asks, judged, make_task, reply

SCORE: dict[str, Any] = {"question": "Q", "answer": "one", "rubric": "Is it?", "scale": [1, 3]}
CRITERIA: dict[str, Any] = {"question": "Q", "answer": "one", "criteria": {"x/y": "first", "single": "second"}}
LOW = {" 1": 0.6, " 2": 0.3, " 3": 0.1}


def test_the_labels_are_the_scale() -> None:
    (ask,) = first_asks(make_task("score"), SCORE)
    assert (ask.id, ask.script) == ("single/0", Direct("Verdict:", (" 1", " 2", " 3")))
    (negative,) = first_asks(make_task("score"), {**SCORE, "scale": [-1, 1]})
    assert negative.script == Direct("Verdict:", (" -1", " 0", " 1"))


@pytest.mark.parametrize(("gold", "correct"), [(None, None), (1, True), (1.0, True), (2, False), (1.5, None)])
def test_the_score_is_the_most_probable_and_the_expected_one_is_weighted(gold: Any, correct: bool | None) -> None:
    verdict = judged(make_task("score"), {**SCORE, "gold": gold}, {"single/0": reply(LOW)})
    assert (verdict.verdict, verdict.score, verdict.correct, verdict.step) == ("1", 1, correct, None)
    assert verdict.expected_score == pytest.approx(0.6 * 1 + 0.3 * 2 + 0.1 * 3)
    assert verdict.probabilities == pytest.approx({"1": 0.6, "2": 0.3, "3": 0.1})
    assert verdict.confidence == pytest.approx(0.6)
    assert (verdict.criteria, verdict.contract, verdict.rule) == (None, "own", "single")


def test_every_criterion_is_an_ask_and_a_score_of_its_own() -> None:
    task = make_task("score", JudgingOptions(mode="direct"))
    asks = first_asks(task, CRITERIA)
    assert [ask.id for ask in asks] == ["x/y/0", "single/0"]
    even = dict.fromkeys((" 1", " 2", " 3", " 4", " 5"), 0.2)
    replies = {"x/y/0": reply({**even, " 5": 0.9}), "single/0": reply(even)}
    verdict = judged(task, {**CRITERIA, "gold": 4}, replies)
    assert verdict.criteria is not None
    assert list(verdict.criteria) == ["x/y", "single"]
    assert verdict.criteria["x/y"].score == 5
    assert verdict.criteria["single"].expected_score == pytest.approx(3)
    mean = sum(criterion.expected_score for criterion in verdict.criteria.values()) / 2
    assert verdict.expected_score == pytest.approx(mean)
    assert (verdict.verdict, verdict.score, verdict.probabilities, verdict.confidence) == (None, None, None, None)
    assert (verdict.correct, verdict.rule) == (None, "mean_of_criteria")
    assert [entry.criterion for entry in verdict.judgments] == ["x/y", "single"]


def test_one_criterion_is_the_score_of_the_record_too() -> None:
    values = {"question": "Q", "answer": "one", "criteria": {"only": "first"}, "scale": [1, 3], "gold": 1}
    verdict = judged(make_task("score"), values, {"only/0": reply(LOW)})
    assert (verdict.score, verdict.correct, verdict.rule) == (1, True, "single")
    assert verdict.criteria is not None
    assert verdict.criteria["only"].probabilities == verdict.probabilities


def test_one_criterion_without_an_answer_makes_the_whole_invalid() -> None:
    replies = {
        "x/y/0": reply(dict.fromkeys((" 1", " 2", " 3", " 4", " 5"), 0.2)),
        "single/0": Reply(error=ReplyError("nan", "m")),
    }
    verdict = judged(make_task("score"), CRITERIA, replies)
    assert (verdict.status, verdict.criteria) == ("invalid", None)
