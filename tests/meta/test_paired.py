"""Two judges on the same records: the exact test by hand, and known differences recovered for several measures."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.meta import steps
from fare_cli.meta.paired import compare_right, difference, mcnemar
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
