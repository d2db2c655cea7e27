"""Judges of steps: ProcessBench's F1 by hand, the histogram, and a simulated judge recovered."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hmean

from fare_cli.meta.bootstrap import bootstrap
from fare_cli.meta.steps import f1, measure_steps
from tests.simulating import STEPS, judged, solutions

LABELS = st.integers(-1, 5)


def test_hand_counted_rows() -> None:
    gold = [2, 2, 2, 0, 3, -1, -1, -1]
    said = [2, 3, 0, -1, 3, -1, 1, -1]
    found = measure_steps(said, gold)
    assert (found.on_erroneous.cases, found.on_erroneous.of) == (2, 5)
    assert (found.on_correct.cases, found.on_correct.of) == (2, 3)
    assert found.f1 is not None
    assert found.f1.value == pytest.approx(2 * 0.4 * (2 / 3) / (0.4 + 2 / 3))
    assert (found.detection.cases, found.detection.of) == (6, 8)
    assert found.off_by == {-2: 1, 0: 2, 1: 1}
    assert (found.said_none, found.said_one) == (1, 1)


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40))
def test_every_record_is_counted_once_and_f1_is_the_harmonic_mean(rows: list[tuple[int, int]]) -> None:
    said, gold = [one for one, _ in rows], [other for _, other in rows]
    found = measure_steps(said, gold)
    assert sum(found.off_by.values()) + found.said_none == found.on_erroneous.of
    assert found.off_by.get(0, 0) == found.on_erroneous.cases
    assert found.said_one == found.on_correct.of - found.on_correct.cases
    first, second = found.on_erroneous.share, found.on_correct.share
    if first is None or second is None:
        assert found.f1 is None
    else:
        assert found.f1 is not None
        assert found.f1.value == pytest.approx(hmean([first, second]) if first and second else 0.0)


def test_nothing_and_certainty_have_no_interval() -> None:
    assert measure_steps([], []).f1 is None
    perfect = measure_steps([1, -1] * 20, [1, -1] * 20)
    assert perfect.f1 is not None
    assert perfect.f1 == (1.0, None)
    assert perfect.on_erroneous.interval.low < 0.85


def test_accuracy_is_recovered() -> None:
    accuracy, records = 0.65, solutions(1600)
    verdicts = judged("step", records, accuracy=accuracy, seed=3)
    found = measure_steps([int(verdict.step or 0) for verdict in verdicts], [record["gold"] for record in records])
    assert found.on_erroneous.interval.low < accuracy < found.on_erroneous.interval.high
    assert found.on_correct.interval.low < accuracy < found.on_correct.interval.high
    assert found.f1 is not None
    assert found.f1.interval is not None
    assert found.f1.interval.low < accuracy < found.f1.interval.high
    # A wrong label of an erroneous solution is one of the other steps, or none.
    lost = (1 - accuracy) / STEPS
    assert found.said_none / found.on_erroneous.of == pytest.approx(lost, abs=0.02)
    detected = ((1 - lost) + accuracy) / 2
    assert found.detection.interval.low < detected < found.detection.interval.high
    # A wrong label is each of the four others equally often, and three steps of four have one behind them.
    assert found.off_by[1] / found.on_erroneous.of == pytest.approx((1 - accuracy) * 3 / 16, abs=0.02)


def test_the_interval_of_f1_holds_about_95_times_in_100() -> None:
    """200 studies of 30 questions with 4 solutions, right or wrong alike in half of the questions."""
    draw = random.Random(5)
    held = 0
    for _ in range(200):
        said, gold, clusters = [], [], []
        for question in range(30):
            alike, common = draw.random() < 0.5, draw.random()
            for _ in range(4):
                truth = draw.choice([-1, 0, 1])
                right = (common if alike else draw.random()) < 0.6
                gold.append(truth)
                said.append(truth if right else 9 if truth == -1 else truth + 1)
                clusters.append(question)
        found = bootstrap(f1(said, gold), len(gold), clusters)
        assert found is not None
        assert found.interval is not None
        held += found.interval.low <= 0.6 <= found.interval.high
    assert 0.91 <= held / 200 <= 0.99
