"""Resampled intervals hold what is known of simulated judges, and say so where they cannot tell."""

from __future__ import annotations

import random

import pytest

from fare_cli.meta.bootstrap import kappa_estimate, paired_difference


def test_the_difference_is_that_of_the_shares() -> None:
    found = paired_difference([True, True, False, False], [True, False, False, False])
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
