"""What verdicts are worth as rewards, and that a broken judge is never a bad answer."""

from __future__ import annotations

from typing import Any

import pytest

from fare_cli.errors import RecordError, UsageError
from fare_cli.rewards.reward import Reward, reward_of
from fare_cli.verdicts import Verdict, invalid_verdict
from tests.simulating import judge, judged


def verify(**changes: Any) -> Verdict:
    (verdict,) = judged("verify", [{"question": "?", "answer": "RIGHT"}])
    return verdict.model_copy(update=changes)


def score(points: int, **fields: Any) -> Verdict:
    record = {"question": "?", "answer": f"points: {points}", "rubric": "points", "scale": [1, 5], **fields}
    (verdict,) = judged("score", [record])
    return verdict


def test_verify_is_worth_the_probability_of_yes() -> None:
    verdict = verify()
    assert verdict.probabilities is not None
    assert reward_of(verdict) == Reward(verdict.probabilities["yes"])
    assert 0.5 < verdict.probabilities["yes"] < 1
    assert reward_of(verdict, graded=False) == Reward(1.0)
    assert reward_of(verify(verdict="no"), graded=False) == Reward(0.0)


def test_a_score_is_worth_its_place_on_the_scale() -> None:
    verdict = score(4)
    assert verdict.expected_score is not None
    assert reward_of(verdict) == Reward((verdict.expected_score - 1) / 4)
    assert reward_of(verdict, graded=False) == Reward(0.75)
    assert reward_of(score(1), graded=False) == Reward(0.0)


def test_several_criteria_are_worth_their_mean() -> None:
    verdict = score(4, rubric=None, criteria={"clear": "a", "deep": "b"})
    assert verdict.expected_score is not None
    assert reward_of(verdict) == Reward((verdict.expected_score - 1) / 4)
    assert reward_of(verdict, graded=False).value is None


def test_what_is_no_verdict_is_no_reward() -> None:
    reward = reward_of(invalid_verdict("verify", RecordError("too_long", "too many tokens")))
    assert reward == Reward(None, "too many tokens (too_long)")
    assert reward_of(verify(probabilities=None)).value is None
    assert reward_of(verify(probabilities=None), graded=False) == Reward(1.0)


def test_verdicts_on_pairs_are_no_rewards() -> None:
    (verdict,) = judge().verdicts("pairwise", [{"question": "?", "answer_a": "RIGHT", "answer_b": "WRONG"}])
    with pytest.raises(UsageError, match="pairwise are no rewards"):
        reward_of(verdict)
