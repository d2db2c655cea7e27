"""One story in three protocols: by hand, by chance, and from simulated judges of known accuracy."""

from __future__ import annotations

import random
from typing import Any

import pytest

from fare_cli.asks import Ask
from fare_cli.meta.consistency import measure_consistency
from tests.run.making import pair, right_label
from tests.simulating import judged


def test_hand_counted_rows() -> None:
    found = measure_consistency(
        {
            "pairwise": [1, 1, -1, 0, 1, None, 1],
            "score": [2, -1, -3, 0, 0, 1, None],
            "verify": [0.9, 0.5, -0.2, 0, 1, 1, 1],
        }
    )
    first = found.between[0]
    assert (first.one, first.other) == ("pairwise", "score")
    assert (first.agree.cases, first.contradict.cases, first.one_neither.cases, first.agree.of) == (3, 1, 1, 5)
    # Shares of A, neither, B: 0.6, 0.2, 0.2 and 0.2, 0.4, 0.4.
    assert first.kappa is not None
    assert first.kappa.value == pytest.approx((0.6 - 0.28) / (1 - 0.28))
    assert [(one.one, one.other) for one in found.between[1:]] == [("pairwise", "verify"), ("score", "verify")]
    assert (found.one_story.cases, found.one_story.of) == (3, 5)
    assert (found.no_contradiction.cases, found.no_contradiction.of) == (4, 5)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two protocols"):
        measure_consistency({"score": [1]})
    with pytest.raises(ValueError, match="the same pairs"):
        measure_consistency({"score": [1], "verify": [1, 2]})
    nothing = measure_consistency({"score": [None], "verify": [1]})
    assert nothing.one_story.share is None
    assert nothing.between[0].kappa is None


def test_stories_told_by_chance_have_a_kappa_of_0() -> None:
    draw = random.Random(2)
    found = measure_consistency({name: [draw.choice([-1, 0, 1]) for _ in range(900)] for name in ("a", "b")})
    kappa = found.between[0].kappa
    assert kappa is not None
    assert kappa.interval is not None
    assert kappa.interval.low < 0 < kappa.interval.high
    assert found.one_story.interval.low < 1 / 3 < found.one_story.interval.high


def test_copies_in_a_cluster_do_not_narrow_the_interval() -> None:
    draw = random.Random(3)
    one = {name: [draw.choice([-1, 1]) for _ in range(50)] for name in ("a", "b")}
    single = measure_consistency(one)
    copied = measure_consistency({name: side * 5 for name, side in one.items()}, list(range(50)) * 5)
    assert copied.one_story.interval == pytest.approx(single.one_story.interval)
    assert copied.between[0].agree.interval == pytest.approx(single.between[0].agree.interval)


def good_or_bad(good: str, bad: str) -> Any:
    """The right label of a record of one answer."""

    def right(ask: Ask) -> str:
        return good if "RIGHT" in ask.messages[-1].text else bad

    return right


def test_known_judges_tell_one_story_as_often_as_they_must() -> None:
    """Pairs judged rightly with 0.9; each answer by itself with 0.8: both right, or both wrong, or the same of both."""
    pairs = [pair(number) for number in range(1200)]
    single = [
        {"question": record["question"], "answer": record[side]}
        for record in pairs
        for side in ("answer_a", "answer_b")
    ]
    chosen = judged("pairwise", pairs, right=right_label, accuracy=0.9, seed=1)
    verified = judged("verify", single, right=good_or_bad(" yes", " no"), accuracy=0.8, seed=2)
    truth = [1 if verdict.verdict == "yes" else 0 for verdict in verified]
    found = measure_consistency(
        {
            "pairwise": [1 if verdict.verdict == "A" else -1 for verdict in chosen],
            "verify": [one - other for one, other in zip(truth[::2], truth[1::2], strict=True)],
        }
    ).between[0]
    assert found.agree.interval.low < 0.9 * 0.64 + 0.1 * 0.04 < found.agree.interval.high
    assert found.contradict.interval.low < 0.1 * 0.64 + 0.9 * 0.04 < found.contradict.interval.high
    assert found.one_neither.interval.low < 0.32 < found.one_neither.interval.high
