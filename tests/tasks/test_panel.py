"""How the verdicts of a panel's members become one."""

from __future__ import annotations

from typing import Any

import pytest

from fare_cli.errors import RecordError
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import load_task_prompt
from fare_cli.records import Verdict, invalid_verdict, parse
from fare_cli.tasks import make_task
from fare_cli.tasks.panel import PanelRule, panel_verdict
from tests.tasks.making import reply

RECORDS: dict[str, dict[str, Any]] = {
    "pairwise": {"question": "Q", "answer_a": "one", "answer_b": "two", "gold": "A"},
    "step": {"question": "Q", "steps": ["a", "b"], "gold": 1},
    "verify": {"question": "Q", "answer": "one", "gold": True},
    "score": {"question": "Q", "answer": "one", "rubric": "r", "scale": [1, 3], "gold": 2},
}
SEVERAL = {"question": "Q", "answer": "one", "criteria": {"x": "a", "y": "b"}, "scale": [1, 2]}
BROKEN = invalid_verdict("verify", RecordError("too_long", "m"), record=parse("verify", RECORDS["verify"]))


def member(task: str, *shares: list[float], tie: bool = False) -> Verdict:
    """A verdict by these probabilities of the labels; of a pair for order ab, and for ba as it means for the record."""
    name, values = ("score", SEVERAL) if task == "criteria" else (task, RECORDS[task])
    made = make_task(load_task_prompt(name), JudgingOptions(mode="direct", tie=tie))
    record = parse(name, values)
    asks = made.step(record, {})
    assert isinstance(asks, list)
    replies = {}
    for ask, said in zip(asks, shares if len(shares) == len(asks) else shares * len(asks), strict=True):
        labels = ask.script.labels  # type: ignore[union-attr]
        meant = said[::-1] if ask.id.startswith("ba/") else said
        replies[ask.id] = reply(dict(zip(labels, meant, strict=True)), prompt_tokens=10)
    verdict = made.step(record, replies)
    assert isinstance(verdict, Verdict)
    return verdict


def panel(rule: PanelRule, *members: Verdict) -> Verdict:
    return panel_verdict([f"m{number}" for number in range(len(members))], members, rule)


def test_the_majority_and_the_mean_may_differ() -> None:
    timid, sure = member("verify", [0.4, 0.6]), member("verify", [0.99, 0.01])
    by_majority = panel("majority", timid, timid, sure)
    assert (by_majority.verdict, by_majority.correct, by_majority.rule) == ("no", False, "panel_majority")
    assert by_majority.confidence == pytest.approx((0.6 + 0.6 + 0.01) / 3)
    by_mean = panel("mean", timid, timid, sure)
    assert (by_mean.verdict, by_mean.correct, by_mean.rule) == ("yes", True, "panel_mean")
    assert by_mean.probabilities == pytest.approx(by_majority.probabilities)
    assert by_mean.usage.prompt_tokens == 30
    assert by_majority.panel is not None
    assert by_mean.panel is not None
    assert (by_majority.panel.agreeing, by_mean.panel.agreeing) == (2, 1)


def test_of_equally_many_the_surer_ones_win() -> None:
    assert panel("majority", member("verify", [0.4, 0.6]), member("verify", [0.7, 0.3])).verdict == "yes"
    assert panel("majority", member("verify", [0.1, 0.9]), member("verify", [0.7, 0.3])).verdict == "no"


def test_a_member_whose_orders_differ_has_no_vote() -> None:
    torn, timid = member("pairwise", [0.99, 0.01], [0.01, 0.99]), member("pairwise", [0.4, 0.6])
    assert torn.verdict is None
    found = panel("majority", torn, torn, timid)
    assert found.verdict == "B"
    assert found.consistent is None
    assert found.panel is not None
    assert [one.verdict for one in found.panel.members] == [None, None, "B"]
    assert [one.consistent for one in found.panel.members] == [False, False, True]
    nobody = panel("majority", torn, torn)
    assert (nobody.verdict, nobody.confidence, nobody.correct) == (None, None, False)
    assert panel("mean", torn, torn, timid).verdict == "B"


def test_a_tie_is_a_label_like_others() -> None:
    torn = member("pairwise", [0.99, 0.01], [0.01, 0.99], tie=True)
    found = panel("majority", torn, torn, member("pairwise", [0.9, 0.1], tie=True))
    assert found.verdict == "tie"
    assert sum((found.probabilities or {}).values()) == pytest.approx(1)


@pytest.mark.parametrize(("task", "verdict"), [("step", "1"), ("score", "2")])
def test_numbers_of_other_tasks_follow_the_verdict(task: str, verdict: str) -> None:
    shares = [0.1, 0.1, 0.8] if task == "step" else [0.1, 0.8, 0.1]
    other = [0.5, 0.3, 0.2]
    found = panel("majority", member(task, other), member(task, shares), member(task, shares))
    assert found.verdict == verdict
    assert found.correct is True
    assert found.step == (1 if task == "step" else None)
    if task == "score":
        assert found.score == 2
        assert found.expected_score == pytest.approx((1.7 + 2 + 2) / 3)


def test_each_criterion_is_combined_by_itself() -> None:
    low, high = member("criteria", [0.9, 0.1], [0.4, 0.6]), member("criteria", [0.2, 0.8], [0.3, 0.7])
    found = panel("mean", low, high)
    assert found.verdict is None
    assert found.criteria is not None
    assert {name: one.score for name, one in found.criteria.items()} == {"x": 1, "y": 2}
    assert found.criteria["x"].probabilities == pytest.approx({"1": 0.55, "2": 0.45})
    assert found.expected_score == pytest.approx((1.1 + 1.6 + 1.8 + 1.7) / 4)


def test_a_member_that_cannot_judge_is_left_out_and_none_is_invalid() -> None:
    found = panel("majority", BROKEN, member("verify", [0.8, 0.2]))
    assert (found.status, found.verdict) == ("ok", "yes")
    assert found.probabilities == pytest.approx({"yes": 0.8, "no": 0.2})
    assert found.panel is not None
    assert [one.status for one in found.panel.members] == ["invalid", "ok"]
    nobody = panel("mean", BROKEN, BROKEN)
    assert (nobody.status, nobody.verdict, nobody.error and nobody.error.kind) == ("invalid", None, "too_long")


@pytest.mark.parametrize("rule", ["majority", "mean"])
@pytest.mark.parametrize("task", RECORDS)
def test_alike_members_say_what_each_of_them_says(task: str, rule: PanelRule) -> None:
    shares = [0.7, 0.2, 0.1] if task in ("step", "score") else [0.7, 0.3]
    alone = member(task, shares)
    found = panel(rule, alone, alone)
    kept = ("verdict", "step", "score", "correct", "gold", "record", "status")
    assert {name: getattr(found, name) for name in kept} == {name: getattr(alone, name) for name in kept}
    assert found.confidence == pytest.approx(alone.confidence)
    assert Verdict.from_line(found.to_line()).panel is not None
