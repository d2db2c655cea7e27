"""Temperatures and rising lines found again, against scikit-learn and by hand; folds that keep clusters whole."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from fare_cli.meta.recalibration import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    fit_isotonic,
    fit_temperature,
    folds,
)

SHARES = st.lists(st.floats(0.01, 1), min_size=2, max_size=5)
ROWS = st.lists(st.tuples(SHARES, st.integers(0, 1)), min_size=3, max_size=40)


def loss(temperature: float, rows: list[dict[str, float]], gold: list[str]) -> float:
    total = 0.0
    for shares, label in zip(rows, gold, strict=True):
        weights = {name: share ** (1 / temperature) for name, share in shares.items()}
        total -= math.log(weights[label] / sum(weights.values()))
    return total


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_no_other_temperature_has_less_loss(rows: list[tuple[list[float], int]]) -> None:
    shares = [{str(at): one / sum(values) for at, one in enumerate(values)} for values, _ in rows]
    gold = [str(label) for _, label in rows]
    found = fit_temperature(shares, gold)
    assert LEAST_TEMPERATURE <= found <= MOST_TEMPERATURE
    best = minimize_scalar(
        lambda inverse: loss(1 / inverse, shares, gold),
        bounds=(1 / MOST_TEMPERATURE, 1 / LEAST_TEMPERATURE),
        method="bounded",
    )
    assert loss(found, shares, gold) <= best.fun + 1e-4 * (1 + abs(best.fun))


def test_a_temperature_is_found_again() -> None:
    draw = np.random.default_rng(4)
    logits = draw.normal(0, 2, (4000, 3))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gold = [str(draw.choice(3, p=row)) for row in true]
    said = np.exp(logits * 2.5) / np.exp(logits * 2.5).sum(1, keepdims=True)
    rows = [{str(at): float(one) for at, one in enumerate(row)} for row in said]
    assert fit_temperature(rows, gold) == pytest.approx(2.5, rel=0.06)


def test_a_judge_that_knows_nothing_and_one_without_a_mistake_are_at_the_ends() -> None:
    sure = {"A": 0.9, "B": 0.1}
    assert fit_temperature([sure, sure], ["A", "B"]) == MOST_TEMPERATURE
    assert fit_temperature([sure] * 5, ["A"] * 5) == LEAST_TEMPERATURE
    with pytest.raises(ValueError, match="records"):
        fit_temperature([], [])


def test_a_label_that_was_rounded_to_nothing_is_a_finite_loss() -> None:
    assert fit_temperature([{"A": 1.0, "B": 0.0}] * 3 + [{"A": 1.0, "B": 0.0}], ["A"] * 3 + ["B"]) == pytest.approx(
        math.log(1 / 5e-7) / math.log(3), rel=1e-5
    )


def test_a_line_by_hand() -> None:
    """Pool adjacent violators: 0.6 and 0.7 are wrong after a right 0.5, so the three make one block of a third."""
    line = fit_isotonic([0.5, 0.6, 0.7, 0.9, 0.95], [True, False, False, True, True])
    assert line.said == (0.5, 0.7, 0.9, 0.95)
    # Laplace: five records show no more certainty than 6 of 7.
    assert line.right == pytest.approx((1 / 3, 1 / 3, 6 / 7, 6 / 7))
    with pytest.raises(ValueError, match="records"):
        fit_isotonic([], [])


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_a_line_rises_and_claims_no_certainty(rows: list[tuple[float, bool]]) -> None:
    line = fit_isotonic([one for one, _ in rows], [right for _, right in rows])
    assert list(line.said) == sorted(set(line.said))
    assert list(line.right) == sorted(line.right)
    assert 0 < line.right[0] <= line.right[-1] < 1


@settings(max_examples=50)
@given(st.lists(st.integers(0, 15), min_size=2, max_size=80))
def test_folds_keep_clusters_whole_and_test_every_record_once(clusters: list[int]) -> None:
    if len(set(clusters)) < 2:
        with pytest.raises(ValueError, match="one cluster"):
            folds(len(clusters), clusters)
        return
    found = folds(len(clusters), clusters)
    assert len(found) == min(10, len(set(clusters)))
    assert sorted(record for fold in found for record in fold.test) == list(range(len(clusters)))
    for fold in found:
        assert not {clusters[record] for record in fold.fit} & {clusters[record] for record in fold.test}
        assert sorted([*fold.fit, *fold.test]) == list(range(len(clusters)))


def test_folds_are_the_same_every_time() -> None:
    draw = random.Random(1)
    clusters = [draw.randrange(30) for _ in range(100)]
    first, second = folds(100, clusters), folds(100, clusters)
    assert all(np.array_equal(one.test, other.test) for one, other in zip(first, second, strict=True))
