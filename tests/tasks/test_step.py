from __future__ import annotations

import pytest

from fare_cli.asks import Direct
from fare_cli.identity import JudgingOptions
from tests.tasks.making import first_asks, judged, make_task, reply

STEPS = {"question": "Q", "steps": ["a", "b", "c"]}
SHARES = {" -1": 0.1, " 0": 0.2, " 1": 0.6, " 2": 0.1}


def test_the_labels_are_the_steps_and_minus_one() -> None:
    (ask,) = first_asks(make_task("step"), STEPS)
    assert ask.id == "single/0"
    assert ask.script == Direct("Verdict:", (" -1", " 0", " 1", " 2"))


@pytest.mark.parametrize(("gold", "correct"), [(None, None), (1, True), (-1, False)])
def test_the_verdict_is_the_most_probable_step(gold: int | None, correct: bool | None) -> None:
    verdict = judged(make_task("step"), {**STEPS, "gold": gold}, {"single/0": reply(SHARES)})
    assert (verdict.verdict, verdict.step, verdict.score, verdict.correct) == ("1", 1, None, correct)
    assert verdict.probabilities == pytest.approx({"-1": 0.1, "0": 0.2, "1": 0.6, "2": 0.1})
    assert verdict.confidence == pytest.approx(0.6)
    assert (verdict.contract, verdict.rule, verdict.consistent) == ("fare", "single", None)
    assert (verdict.judgments[0].label, verdict.judgments[0].means, verdict.judgments[0].order) == ("1", "1", None)


def test_no_wrong_step_is_minus_one() -> None:
    verdict = judged(make_task("step"), {**STEPS, "gold": -1}, {"single/0": reply({**SHARES, " -1": 0.9})})
    assert (verdict.verdict, verdict.step, verdict.correct) == ("-1", -1, True)


def test_votes_count_by_their_probabilities_not_by_their_labels() -> None:
    task = make_task("step", JudgingOptions(votes=3, temperature=0.5))
    unsure = {" -1": 0.4, " 0": 0.35, " 1": 0.15, " 2": 0.1}
    sure = {" -1": 0.01, " 0": 0.97, " 1": 0.01, " 2": 0.01}
    verdict = judged(task, STEPS, {"single/0": reply(unsure), "single/1": reply(unsure), "single/2": reply(sure)})
    assert verdict.step == 0
    assert [entry.label for entry in verdict.judgments] == ["-1", "-1", "0"]


def test_a_context_leaves_fares_layout() -> None:
    assert judged(make_task("step"), {**STEPS, "context": "x"}, {"single/0": reply(SHARES)}).contract == "own"
