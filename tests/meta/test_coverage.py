"""Accuracy against coverage by hand, and of simulated judges whose certainty says something or nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from fare_cli.meta.coverage import Coverage, area, coverage_curve
from tests.simulating import answers, judged


def test_a_curve_by_hand() -> None:
    found = coverage_curve([0.9, 0.6, 0.8, 0.7], [True, False, True, False])
    assert found is not None
    assert [(one.threshold, one.coverage, one.accuracy.cases) for one in found.points] == [
        (0.9, 0.25, 1),
        (0.8, 0.5, 2),
        (0.7, 0.75, 2),
        (0.6, 1.0, 2),
    ]
    assert found.aurc.value == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)
    assert found.error == 0.5


def test_equal_confidences_are_given_together_in_no_order() -> None:
    found = coverage_curve([0.8] * 4, [True, False, False, False])
    assert found is not None
    assert [(one.coverage, one.accuracy.cases) for one in found.points] == [(1.0, 1)]
    assert found.aurc.value == pytest.approx(0.75)


def test_a_record_without_a_verdict_is_never_covered() -> None:
    found = coverage_curve([0.9, None, 0.7, None], [True, False, False, False])
    assert found is not None
    assert found.points[-1].coverage == 0.5
    assert found.points[-1].accuracy.of == 2
    assert found.aurc.value == pytest.approx(0.25)
    assert coverage_curve([None], [False]) is None
    assert coverage_curve([], []) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=7))
def test_the_area_is_the_mean_over_orders_of_equal_confidence(rows: list[tuple[int, bool]]) -> None:
    """Against curves drawn out for many orders: every order of equal ones is as likely."""
    draw = random.Random(0)
    sure, wrong = [one for one, _ in rows], [other for _, other in rows]
    areas = []
    for _ in range(400):
        order = sorted(range(len(rows)), key=lambda record: (-sure[record], draw.random()))
        risks = np.cumsum([wrong[record] for record in order]) / np.arange(1, len(rows) + 1)
        areas.append(risks.mean())
    found = area(sure, wrong)(np.ones(len(rows), np.intp))
    assert found == pytest.approx(np.mean(areas), abs=0.1)
    twice = area(sure * 2, wrong * 2)(np.ones(2 * len(rows), np.intp))
    with np.errstate(invalid="ignore"):
        assert area(sure, wrong)(np.full(len(rows), 2)) == pytest.approx(twice)


def measured(accuracy: float, calibration: float | None) -> Coverage:
    verdicts = judged("verify", answers(1500), accuracy=accuracy, calibration=calibration, seed=8)
    found = coverage_curve([one.confidence for one in verdicts], [bool(one.correct) for one in verdicts])
    assert found is not None
    return found


def test_a_calibrated_judge_is_righter_where_it_is_surer_by_as_much_as_was_set() -> None:
    found = measured(0.75, 1)
    chances = beta(2, 2, loc=0.5, scale=0.5)
    held = 0
    for point in found.points:
        surest = chances.expect(lambda chance: chance, lb=chances.isf(point.coverage), ub=1, conditional=True)
        held += point.accuracy.interval.low <= surest <= point.accuracy.interval.high
    assert held >= 18
    assert found.points[0].coverage == pytest.approx(0.05)
    assert found.aurc.interval is not None
    assert found.aurc.interval.high < found.error


def test_a_judge_whose_certainty_says_nothing_gains_nothing() -> None:
    found = measured(0.75, None)
    held = sum(one.accuracy.interval.low <= 0.75 <= one.accuracy.interval.high for one in found.points)
    assert held >= 18
    assert found.aurc.interval is not None
    assert found.aurc.interval.low < 0.25 < found.aurc.interval.high
