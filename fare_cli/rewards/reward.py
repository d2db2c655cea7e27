"""What a verdict is worth as a reward: a number from 0 to 1, or the reason why it is none."""

from __future__ import annotations

from typing import Literal, NamedTuple

from fare_cli.errors import UsageError
from fare_cli.verdicts import Verdict

RewardTask = Literal["verify", "score"]
REWARD_TASKS: tuple[RewardTask, ...] = ("verify", "score")


class Reward(NamedTuple):
    """A reward from 0 to 1; None where there is none, and then `reason` says why."""

    value: float | None
    reason: str | None = None


def check_reward_task(task: str) -> None:
    """Raises UsageError for a task whose verdicts are no rewards."""
    if task not in REWARD_TASKS:
        raise UsageError(
            f"verdicts of {task} are no rewards", "an answer by itself is rewarded: take verify, or score with a rubric"
        )


def reward_of(verdict: Verdict, *, graded: bool = True) -> Reward:
    """The reward for the answer that was judged.

    Verify: the probability of `yes`; score: the expected score, its scale moved to 0 to 1 (the mean of several
    criteria). Not `graded`: 1 or 0 for the label `yes` or `no`, or the score that is most probable. An invalid verdict,
    and one without the probabilities or the single score that this needs, give no reward: a broken judge must not look
    like a bad answer. Raises UsageError for a task without rewards.
    """
    check_reward_task(verdict.task)
    if verdict.status != "ok":
        error = verdict.error
        return Reward(None, "the verdict is invalid" if error is None else f"{error.message} ({error.kind})")
    value = _of_verify(verdict, graded) if verdict.task == "verify" else _of_score(verdict, graded)
    return Reward(value) if isinstance(value, float) else Reward(None, value)


def _of_verify(verdict: Verdict, graded: bool) -> float | str:
    if not graded:
        return float(verdict.verdict == "yes")
    if verdict.probabilities is None:
        return "the judge gives no probabilities, which a graded reward is made of"
    return verdict.probabilities["yes"]


def _of_score(verdict: Verdict, graded: bool) -> float | str:
    score: float | None = verdict.expected_score if graded else verdict.score
    if score is None:
        return (
            "the judge gives no probabilities, which a graded reward is made of"
            if graded
            else "several criteria have no common score; their mean is the graded reward"
        )
    if verdict.record is None:
        return "the verdict was kept without its record, and so without its scale"
    low, high = verdict.record["scale"]
    return float((score - low) / (high - low))
