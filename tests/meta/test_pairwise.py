"""Judges of pairs: hand-counted rows, and a simulated judge whose accuracy, bias and noise are recovered."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy.integrate import quad
from scipy.stats import norm

from fare_cli.identity import JudgingOptions
from fare_cli.meta.agreement import Interval, Proportion
from fare_cli.meta.bootstrap import Estimate
from fare_cli.meta.pairwise import Pair, PairwiseMeasures, measure_pairs, position_bias_in_nats
from fare_cli.verdicts import Verdict
from tests.run.making import pair, right_label
from tests.simulating import judged

ROWS = [
    Pair("A", "A", "A", "A"),
    Pair("B", "B", "B", "B"),
    Pair("A", "B", "B", "B"),
    Pair("A", None, "A", "B"),  # the first shown, twice
    Pair("B", None, "A", "B"),
    Pair("B", None, "B", "A"),  # the second shown, twice
    Pair("tie", "A", "A", "A"),
    Pair(None, None, "A", "B"),
    Pair("A", "A", "A", None),  # one order only
]


def counts(found: Proportion) -> tuple[int, int]:
    return found.cases, found.of


def test_hand_counted_rows() -> None:
    found = measure_pairs(ROWS)
    assert counts(found.accuracy) == (3, 7)  # no verdict is wrong; the tie and the unknown are left out
    assert counts(found.accuracy_decided) == (3, 4)
    assert counts(found.both_orders_right) == (2, 6)
    assert counts(found.accuracy_ab) == (5, 7)
    assert counts(found.accuracy_ba) == (3, 6)
    assert counts(found.consistent) == (4, 8)
    assert counts(found.always_first) == (3, 8)
    assert counts(found.always_second) == (1, 8)
    assert counts(found.undecided) == (4, 9)
    assert found.ties_left_out == 1
    assert found.position_bias is not None
    # Of 16 judgments in both orders 4 + 2 x 3 chose the first shown.
    assert found.position_bias.value == pytest.approx(10 / 16 - 1 / 2)


def test_a_judge_that_can_say_tie_is_right_to_say_it_of_a_tie() -> None:
    rows = [
        Pair("tie", "tie", "A", "B"),
        Pair("tie", "A", "A", "A"),
        Pair("A", "tie", "A", "B"),
        Pair("A", "A", "A", "A"),
    ]
    found = measure_pairs(rows, says_tie=True)
    assert counts(found.accuracy) == counts(found.accuracy_decided) == (2, 4)
    assert counts(found.both_orders_right) == (1, 2)  # no single order can say tie
    assert found.ties_left_out == 0
    assert counts(measure_pairs(rows).accuracy) == (1, 2)


def test_one_order_says_nothing_of_consistency_and_place() -> None:
    found = measure_pairs([Pair("A", "A", "A"), Pair("B", "A", "A")])
    assert counts(found.accuracy) == counts(found.accuracy_ab) == (1, 2)
    for measure in (found.both_orders_right, found.accuracy_ba, found.consistent, found.always_first):
        assert measure == Proportion(0, 0, Interval(0.0, 1.0))
    assert found.position_bias is None


def test_no_pairs_and_no_inconsistent_pair() -> None:
    assert measure_pairs([]).accuracy.share is None
    found = measure_pairs([Pair("A", "A", "A", "A")] * 20).position_bias
    assert found is not None
    assert found.value == 0
    assert found.interval == pytest.approx((-0.0806, 0.0806), abs=1e-4)  # half of Wilson's bound for 0 of 20


def test_copies_in_a_cluster_do_not_narrow_any_interval() -> None:
    rows = [row for row in ROWS[:6] for _ in range(10)]
    one = measure_pairs(rows)
    copied = measure_pairs(rows * 5, list(range(len(rows))) * 5)
    for name in ("accuracy", "both_orders_right", "consistent", "always_first"):
        assert getattr(copied, name).interval == pytest.approx(getattr(one, name).interval)
    assert one.position_bias is not None
    assert copied.position_bias is not None
    assert copied.position_bias.interval == pytest.approx(one.position_bias.interval)


def rows_of(verdicts: list[Verdict]) -> list[Pair]:
    """The rows of verdicts of one vote an order."""
    rows = []
    for verdict in verdicts:
        said = {judgment.order: judgment.means for judgment in verdict.judgments}
        rows.append(Pair(str(verdict.gold), verdict.verdict, said.get("ab"), said.get("ba")))
    return rows


def log_odds(verdicts: list[Verdict], order: str) -> list[float]:
    """Of answer A against answer B, as one order gave them."""
    found = []
    for verdict in verdicts:
        (judgment,) = (one for one in verdict.judgments if one.order == order)
        first = math.log(judgment.probabilities["A"] / judgment.probabilities["B"])
        found.append(first if order == "ab" else -first)
    return found


def measured(count: int = 1500, combine: Any = "agree", **settings: Any) -> PairwiseMeasures:
    verdicts = judged(
        "pairwise",
        [pair(number) for number in range(count)],
        JudgingOptions("direct", combine=combine),
        right=right_label,
        seed=7,
        **settings,
    )
    return measure_pairs(rows_of(verdicts))


def holds(found: Proportion | Estimate | None, true: float) -> bool:
    assert found is not None
    assert found.interval is not None
    return found.interval.low <= true <= found.interval.high


@pytest.mark.parametrize("accuracy", [0.55, 0.8, 0.95])
def test_accuracy_is_recovered(accuracy: float) -> None:
    found = measured(accuracy=accuracy)
    for measure in (found.accuracy, found.both_orders_right, found.accuracy_ab, found.accuracy_ba):
        assert holds(measure, accuracy)
    assert found.consistent.share == 1  # nothing but the opinion
    assert found.undecided.cases == 0


@pytest.mark.parametrize("bias", [1.5, 2.5, -2.0])
def test_position_bias_is_recovered(bias: float) -> None:
    """Certainties are uniform from 1 to 3 nats: those below the bias go by place."""
    by_place = (abs(bias) - 1) / 2
    found = measured(accuracy=0.8, position_bias=bias)
    assert holds(found.consistent, 1 - by_place)
    assert holds(found.undecided, by_place)
    assert holds(found.both_orders_right, 0.8 * (1 - by_place))
    assert holds(found.accuracy_decided, 0.8)
    assert holds(found.always_first if bias > 0 else found.always_second, by_place)
    assert (found.always_second if bias > 0 else found.always_first).cases == 0
    assert holds(found.position_bias, math.copysign(by_place / 2, bias))


def test_noise_is_recovered() -> None:
    """Two orders that differ by noise alone agree where both noises leave the opinion, or both turn it."""
    noise = 1.5
    one_stays = quad(lambda nats: norm.cdf(nats / noise) / 2, 1, 3)[0]
    both_stay = quad(lambda nats: norm.cdf(nats / noise) ** 2 / 2, 1, 3)[0]
    agree = 1 - 2 * one_stays + 2 * both_stay
    found = measured(accuracy=0.9, noise=noise)
    assert holds(found.consistent, agree)
    assert holds(found.always_first, (1 - agree) / 2)
    assert holds(found.position_bias, 0.0)
    assert holds(found.accuracy_ab, 0.9 * one_stays + 0.1 * (1 - one_stays))
    assert holds(found.both_orders_right, 0.9 * both_stay + 0.1 * (1 - 2 * one_stays + both_stay))


def test_a_bias_too_weak_to_turn_a_verdict_shows_in_nats() -> None:
    verdicts = judged(
        "pairwise",
        [pair(number) for number in range(400)],
        right=right_label,
        accuracy=0.7,
        position_bias=0.4,
        noise=0.3,
        seed=2,
    )
    assert measure_pairs(rows_of(verdicts)).always_first.share == pytest.approx(0, abs=0.01)
    found = position_bias_in_nats(log_odds(verdicts, "ab"), log_odds(verdicts, "ba"))
    assert holds(found, 0.4)
    assert found is not None
    assert found.interval is not None
    assert found.interval.high - found.interval.low < 0.06
    assert position_bias_in_nats([], []) is None
