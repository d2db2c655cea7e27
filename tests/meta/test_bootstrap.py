"""Resampled intervals hold what is known of simulated judges, and say so where they cannot tell."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from fare_cli.meta.agreement import proportion
from fare_cli.meta.bootstrap import bootstrap, kappa_estimate, kappa_of, mean, paired_difference


def test_the_difference_is_that_of_the_shares() -> None:
    found = paired_difference([True, True, False, False] * 2, [True, False, False, False] * 2)
    assert found is not None
    assert found.value == -0.25
    assert found.interval is not None
    assert -1 <= found.interval.low <= -0.25 <= found.interval.high <= 0.25
    assert paired_difference([], []) is None


def test_the_interval_holds_a_set_difference_about_95_times_in_100() -> None:
    """300 studies of 100 records: right with 0.8 before, and 15% of the right ones lost, 10% of the wrong ones won."""
    draw = random.Random(11)
    true_difference = 0.2 * 0.1 - 0.8 * 0.15
    held = 0
    for _ in range(300):
        before = [draw.random() < 0.8 for _ in range(100)]
        after = [draw.random() >= 0.15 if right else draw.random() < 0.1 for right in before]
        found = paired_difference(before, after)
        assert found is not None
        assert found.interval is not None
        held += found.interval.low <= true_difference <= found.interval.high
    # 300 draws of 95% scatter by 1.3 points.
    assert 0.91 <= held / 300 <= 0.99


def test_pairs_count_and_not_only_shares() -> None:
    """The same two shares: known well where few records changed, hardly where many did in both directions."""
    right = [True] * 50 + [False] * 50
    few = paired_difference(right, [False] * 2 + right[2:])
    many = paired_difference(right, [False] * 26 + [True] * 48 + [False] * 26)
    assert few is not None
    assert many is not None
    assert few.value == many.value == -0.02
    assert few.interval is not None
    assert many.interval is not None
    assert few.interval.high - few.interval.low < 0.1 < many.interval.high - many.interval.low


def test_no_change_at_all_leaves_open_what_so_few_records_can_hide() -> None:
    found = paired_difference([True] * 20, [True] * 20)
    assert found is not None
    assert found.interval == pytest.approx((-0.1611, 0.1611), abs=1e-4)
    one = paired_difference([False], [True])
    assert one is not None
    assert one.interval is not None
    assert one.interval.low < 0.3 < one.interval.high == 1.0


def test_kappa_has_an_interval_around_a_known_value() -> None:
    draw = random.Random(5)
    before = [draw.choice("AB") for _ in range(300)]
    after = [label if draw.random() < 0.8 else ("B" if label == "A" else "A") for label in before]
    found = kappa_estimate(before, after)
    assert found is not None
    assert found.interval is not None
    assert found.interval.low < 0.6 < found.interval.high
    assert found.interval.high - found.interval.low == pytest.approx(0.18, abs=0.04)  # 2 x 1.96 x sqrt(0.64 / 300)
    assert kappa_estimate(before, after) == found


def test_kappa_without_an_interval_where_resamples_hold_one_label() -> None:
    found = kappa_estimate(["A"] * 19 + ["B"], ["A"] * 19 + ["B"])
    assert found is not None
    assert found.value == 1.0
    assert found.interval is None
    assert kappa_estimate(["A"] * 5, ["A"] * 5) is None


def test_copies_of_every_record_in_its_cluster_tell_nothing_new() -> None:
    draw = random.Random(3)
    values = [draw.gauss(0, 1) for _ in range(40)]
    copied, clusters = [value for value in values for _ in range(5)], [number for number in range(40) for _ in range(5)]
    one, found, naive = mean(values), mean(copied, clusters), mean(copied)
    assert one is not None
    assert one.interval is not None
    assert found is not None
    assert found.interval == pytest.approx(one.interval)
    assert naive is not None
    assert naive.interval is not None
    assert naive.interval.high - naive.interval.low < 0.6 * (one.interval.high - one.interval.low)


@pytest.mark.parametrize(("questions", "each"), [(6, 5), (12, 8), (50, 2)])
def test_the_interval_of_a_mean_holds_about_95_times_in_100(questions: int, each: int) -> None:
    """300 studies with answers that are alike by half within a question; also with few questions."""
    draw = np.random.default_rng(questions)
    held = 0
    clusters = np.repeat(np.arange(questions), each).tolist()
    for _ in range(300):
        values = draw.normal(2, 1, (questions, 1)) + draw.normal(0, 1, (questions, each))
        found = mean(values.ravel(), clusters)
        assert found is not None
        assert found.interval is not None
        held += found.interval.low <= 2 <= found.interval.high
    assert 0.91 <= held / 300 <= 0.99


def test_differences_respect_clusters_even_where_nothing_differs() -> None:
    clusters = [number // 4 for number in range(80)]
    found = paired_difference([True] * 80, [True] * 80, clusters)
    assert found is not None
    assert found.interval is not None
    assert found.interval.high == pytest.approx(proportion(0, 20).interval.high)


def test_what_resampling_cannot_tell_has_no_interval() -> None:
    assert mean([]) is None
    assert mean([0.5]) == (0.5, None)
    assert mean([1.0, 3.0], ["q", "q"]) == (2.0, None)
    assert mean([1.0] * 30) == (1.0, None)
    values = [0.1, 0.9, 0.2, 0.7, 0.4]
    assert mean(values * 20, list("abcde") * 20) == (pytest.approx(0.46), None)
    six = mean([*values, 0.5] * 20, list("abcdef") * 20)
    assert six is not None
    assert six.interval is not None
    assert six.interval.low < 0.3 < 0.6 < six.interval.high
    assert bootstrap(lambda drawn: float("nan"), 30) is None
    # Some resamples lack the one record that counts.
    assert bootstrap(lambda drawn: 1.0 + drawn[1] if drawn[0] else float("nan"), 30) == (2.0, None)


def test_the_same_records_have_the_same_interval_every_time() -> None:
    draw = random.Random(9)
    values = [draw.random() for _ in range(50)]
    assert mean(values) == mean(values)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=50))
def test_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    one, other = [first for first, _ in pairs], [second for _, second in pairs]
    if len({*one, *other}) == 1:
        return
    found = kappa_of(one, other)(np.ones(len(pairs), np.intp))
    assert found == pytest.approx(cohen_kappa_score(one, other, labels=[0, 1, 2, 3]), abs=1e-9)
