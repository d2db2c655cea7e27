"""Two judges on the same records: the exact test by hand, and known differences recovered for several measures."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.meta import steps
from fare_cli.meta.bootstrap import mean, paired_difference
from fare_cli.meta.clusters import clustered_interval, clustered_proportion
from fare_cli.meta.paired import Noise, compare_right, difference, mcnemar, noisy_difference
from fare_cli.meta.verify import auroc
from tests.simulating import answers, judged, solutions


def test_mcnemars_test_by_hand() -> None:
    before = [True] * 10 + [False] * 3 + [True] * 20
    after = [False] * 10 + [True] * 3 + [True] * 20
    found = mcnemar(before, after)
    assert (found.only_before, found.only_after) == (10, 3)
    # Both tails of 13 coins: twice (1 + 13 + 78 + 286) / 2^13.
    assert found.p_value == pytest.approx(2 * 378 / 8192)
    assert mcnemar([True, False], [True, False]) == (0, 0, 1.0)
    assert compare_right([], []) is None


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40))
def test_the_p_value_is_that_of_as_many_coins(rows: list[tuple[bool, bool]]) -> None:
    found = mcnemar([one for one, _ in rows], [other for _, other in rows])
    coins, least = found.only_before + found.only_after, min(found.only_before, found.only_after)
    tail = sum(math.comb(coins, heads) for heads in range(least + 1)) / 2**coins
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))


def test_two_equal_judges_are_told_apart_once_in_20_times_at_most() -> None:
    draw = random.Random(6)
    told_apart = 0
    for _ in range(400):
        before, after = ([draw.random() < 0.7 for _ in range(60)] for _ in range(2))
        told_apart += mcnemar(before, after).p_value < 0.05
    assert told_apart / 400 < 0.07


def test_a_set_difference_of_simulated_judges_is_recovered() -> None:
    """The same seed draws the same chance for both, so that the better one is right wherever the other is."""
    records = answers(600)
    right = [[bool(one.correct) for one in judged("verify", records, accuracy=accuracy)] for accuracy in (0.7, 0.78)]
    found = compare_right(*right)
    assert found is not None
    assert found.difference.interval is not None
    assert found.difference.interval.low < 0.08 < found.difference.interval.high
    assert found.difference.interval.high - found.difference.interval.low < 0.06
    assert found.test.only_before == 0
    assert found.test.p_value < 1e-6


def test_any_measure_can_be_compared() -> None:
    records = solutions(800)
    gold = [record["gold"] for record in records]
    said = [[int(one.step or 0) for one in judged("step", records, accuracy=accuracy)] for accuracy in (0.6, 0.75)]
    found = difference(*(steps.f1(side, gold) for side in said), len(gold))
    assert found is not None
    assert found.interval is not None
    assert found.interval.low < 0.15 < found.interval.high


def test_copies_in_a_cluster_do_not_narrow_the_interval() -> None:
    draw = random.Random(4)
    gold = [draw.random() < 0.5 for _ in range(60)]
    sides = [[draw.gauss(label, spread) for label in gold] for spread in (1.5, 0.8)]
    one = difference(*(auroc(side, gold) for side in sides), 60)
    copied = difference(*(auroc(side * 5, gold * 5) for side in sides), 300, list(range(60)) * 5)
    assert one is not None
    assert one.interval is not None
    assert copied is not None
    assert copied.interval == pytest.approx(one.interval)
    of_right = [[(value > 0.5) == label for value, label in zip(side, gold, strict=True)] for side in sides]
    single, clustered = compare_right(*of_right), compare_right(*(side * 5 for side in of_right), list(range(60)) * 5)
    assert single is not None
    assert clustered is not None
    assert clustered.difference.interval == pytest.approx(single.difference.interval)


def test_a_measure_that_one_side_lacks_has_no_difference() -> None:
    assert difference(steps.f1([1], [1]), steps.f1([1], [1]), 1) is None


def test_what_the_judge_was_shown_twice_has_not_changed() -> None:
    before, after = [1.0] * 40, [0.0] * 20 + [1.0] * 20
    untouched = noisy_difference(before, after, [False] * 40, Noise(0.0))
    assert untouched is not None
    assert untouched.value == 0
    half = noisy_difference(before, after, [True] * 10 + [False] * 30, Noise(0.0))
    assert half is not None
    assert half.value == -0.25


def test_a_noise_of_nothing_leaves_the_paired_difference() -> None:
    before, after = [1.0, 0.0] * 20, [1.0, 1.0, 0.0, 0.0] * 10
    assert noisy_difference(before, after, [True] * 40, Noise(0.0)) == paired_difference(before, after)


def test_a_change_that_the_judges_flips_explain_is_none() -> None:
    """Twelve of 200 verdicts for the worse, none for the better: sure, unless the judge flips one in five by itself."""
    before, after = [1.0] * 200, [0.0] * 12 + [1.0] * 188
    quiet = noisy_difference(before, after, [True] * 200, Noise(0.0))
    noisy = noisy_difference(before, after, [True] * 200, Noise(0.2))
    assert quiet is not None
    assert noisy is not None
    assert quiet.value == noisy.value == pytest.approx(-0.06)
    assert quiet.interval is not None
    assert noisy.interval is not None
    assert quiet.interval.high < 0 < noisy.interval.high
    # By hand: sqrt(0.2 / 200) x 1.96 = 0.062, in squares with what sampling leaves open.
    reach = math.hypot(0.062, quiet.interval.high + 0.06)
    assert noisy.interval.high == pytest.approx(-0.06 + reach, abs=1e-3)


def test_flips_of_one_cluster_go_together_and_small_ones_count_less() -> None:
    before, after = [1.0] * 60, [float(number % 7 > 2) for number in range(60)]
    clusters = [number // 6 for number in range(60)]

    def width(noise: Noise, clusters: list[int] | None = None) -> float:
        found = noisy_difference(before, after, [True] * 60, noise, clusters)
        assert found is not None
        assert found.interval is not None
        return found.interval.high - found.interval.low

    assert width(Noise(0.1), clusters) > width(Noise(0.1)) > width(Noise(0.1, size=0.25)) > width(Noise(0.0))


def test_a_lower_confidence_gives_a_narrower_interval_everywhere() -> None:
    values = [0.0, 0.5, 1.0, 1.0] * 10
    clusters = [number // 2 for number in range(40)]
    for interval_at in (
        lambda confidence: clustered_interval(values, clusters, confidence=confidence),
        lambda confidence: mean(values, clusters, confidence=confidence).interval,
        lambda confidence: paired_difference([0.5] * 40, values, clusters, confidence=confidence).interval,
        lambda confidence: clustered_proportion([True, False] * 20, clusters, confidence=confidence).interval,
    ):
        wide, narrow = interval_at(0.99), interval_at(0.8)
        assert wide.low < narrow.low < narrow.high < wide.high


def test_half_wins_are_taken_to_scatter_as_a_share_does() -> None:
    halves, wins = clustered_interval([0.5] * 40), clustered_interval([True, False] * 20)
    assert halves == wins
