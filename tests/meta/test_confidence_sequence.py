"""Confidence sequences: the authors' own numbers, and that looking all the time is no more often wrong than it says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.meta.agreement import wilson
from fare_cli.meta.confidence_sequence import ConfidenceSequence

_GOLDEN_RATIO = 0.6180339887498949
_LONG = [number * _GOLDEN_RATIO % 1 for number in range(1, 301)]
_WINS = [float(share < 0.7) for share in _LONG]
_HALVES = [int(3 * share) / 2 for share in _LONG]
_SHARES = [share**3 for share in _LONG]

# What confseq 0.0.11 (MIT), the package of the method's authors, gives after 10, 60 and 300 observations:
# betting_cs(x, alpha=1 - confidence, running_intersection=True), its grid of 0.001.
_AUTHORS = [
    ("wins", _WINS, 0.95, [(0.266, 1.0), (0.514, 0.859), (0.603, 0.788)]),
    ("wins", _WINS, 0.9, [(0.305, 0.976), (0.531, 0.847), (0.611, 0.782)]),
    ("halves", _HALVES, 0.95, [(0.147, 0.801), (0.337, 0.642), (0.414, 0.575)]),
    ("halves", _HALVES, 0.9, [(0.176, 0.77), (0.35, 0.628), (0.421, 0.569)]),
    ("shares", _SHARES, 0.95, [(0.049, 0.621), (0.154, 0.366), (0.197, 0.302)]),
    ("shares", _SHARES, 0.9, [(0.07, 0.576), (0.162, 0.351), (0.201, 0.297)]),
    ("ones", [1.0] * 300, 0.95, [(0.528, 1.0), (0.887, 1.0), (0.975, 1.0)]),
    ("ones", [1.0] * 300, 0.9, [(0.588, 1.0), (0.907, 1.0), (0.98, 1.0)]),
]


@pytest.mark.parametrize(("name", "values", "confidence", "expected"), _AUTHORS)
def test_the_intervals_are_those_of_the_methods_authors(
    name: str, values: list[float], confidence: float, expected: list[tuple[float, float]]
) -> None:
    sequence = ConfidenceSequence(confidence)
    found = [sequence.add(value) for value in values]
    assert [found[time - 1] for time in (10, 60, 300)] == [pytest.approx(interval, abs=1e-9) for interval in expected]


def test_a_threshold_off_the_grid_is_decided_at_itself() -> None:
    sequence = ConfidenceSequence(thresholds=[0.6031])
    for value in _WINS:
        sequence.add(value)
    # On the grid the bound is 0.603, the last of its points that is excluded.
    assert sequence.interval.low == 0.6031


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=40))
def test_intervals_only_narrow_and_the_mean_is_that_of_the_records(rows: list[tuple[float, float]]) -> None:
    sequence = ConfidenceSequence()
    before = sequence.interval
    for value, weight in rows:
        now = sequence.add(value, weight)
        assert before.low <= now.low < now.high <= before.high
        before = now
    total = sum(weight for _, weight in rows)
    assert sequence.mean == pytest.approx(sum(value * weight for value, weight in rows) / total)


@pytest.mark.parametrize(("value", "weight"), [(1.1, 1), (-0.1, 1), (0.5, 0), (0.5, 1.5), (float("nan"), 1)])
def test_what_is_not_between_0_and_1_is_refused(value: float, weight: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ConfidenceSequence().add(value, weight)


def test_looking_all_the_time_is_wrong_no_more_often_than_it_says() -> None:
    """200 sequences of 200 fair coins: how often 1/2 is excluded at any time, and by an ordinary interval."""
    draw = random.Random(5)
    wrong = peeked = 0
    for _ in range(200):
        sequence, heads, looked = ConfidenceSequence(0.9), 0.0, False
        for time in range(1, 201):
            value = float(draw.random() < 0.5)
            heads += value
            sequence.add(value)
            interval = wilson(heads / time, time, 0.9)
            looked |= not interval.low <= 0.5 <= interval.high
        wrong += sequence.interval.low >= 0.5 or sequence.interval.high <= 0.5
        peeked += looked
    assert wrong <= 0.1 * 200
    # What the confidence sequence is for.
    assert peeked > 0.3 * 200


def test_clusters_of_different_sizes_are_weighted_by_their_records() -> None:
    """Large clusters are always right and small ones never: 1 in 9 clusters, half of the records.

    The mean over records is 1/2 and lies inside; that over clusters, 0.11, does not.
    """
    draw = random.Random(3)
    inside = 0
    for _ in range(60):
        sequence = ConfidenceSequence()
        for _ in range(1500):
            large = draw.random() < 1 / 9
            sequence.add(float(large), 1.0 if large else 1 / 8)
        inside += sequence.interval.low < 0.5 < sequence.interval.high
        assert sequence.interval.low > 0.2
    assert inside >= 57
