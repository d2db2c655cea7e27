"""Calibration by hand and against scikit-learn, and simulated judges that are calibrated, too sure and too unsure."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta
from sklearn.metrics import brier_score_loss, log_loss

from fare_cli.meta.calibration import Calibration, calibration, score_probabilities
from tests.simulating import SCALE, answers, judged, scored

SURE = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_bins_of_equal_width_by_hand() -> None:
    """Guo et al. 2017: |0.9 - 2/3| of three records, |0.55 - 1| of one."""
    found = calibration([0.88, 0.9, 0.92, 0.55], [True, True, False, True], binning="equal width")
    assert found is not None
    assert found.binning == "equal width"
    assert [(one.low, one.high, one.accuracy.cases, one.accuracy.of) for one in found.bins] == [
        (0.55, 0.55, 1, 1),
        (0.88, 0.92, 2, 3),
    ]
    assert found.bins[1].mean_confidence == pytest.approx(0.9)
    assert found.ece.value == pytest.approx(3 / 4 * (0.9 - 2 / 3) + 1 / 4 * 0.45)
    assert found.overconfidence.value == pytest.approx(0.8125 - 0.75)


def test_bins_of_equal_mass_hold_as_many_each_and_keep_equal_confidences_together() -> None:
    sure = [number / 200 for number in range(100, 200)]
    found = calibration(sure, [True] * 100)
    assert found is not None
    assert [one.accuracy.of for one in found.bins] == [10] * 10
    assert [one.low for one in found.bins] == sorted(one.low for one in found.bins)
    crowded = calibration([0.6] * 50 + [0.99] * 50, [True, False] * 50)
    assert crowded is not None
    assert [(one.low, one.accuracy.of) for one in crowded.bins] == [(0.6, 50), (0.99, 50)]
    few = calibration([0.5, 0.6, 0.7], [True, True, False])
    assert few is not None
    assert [one.accuracy.of for one in few.bins] == [3]


@settings(max_examples=40)
@given(SURE, st.sampled_from(["equal mass", "equal width"]))
def test_every_record_is_in_one_bin(rows: list[tuple[float, bool]], binning: str) -> None:
    sure, right = [one for one, _ in rows], [other for _, other in rows]
    found = calibration(sure, right, binning=binning)  # type: ignore[arg-type]
    assert found is not None
    assert sum(one.accuracy.of for one in found.bins) == len(rows)
    assert sum(one.accuracy.cases for one in found.bins) == sum(right)
    gaps = [one.accuracy.of * abs(one.mean_confidence - (one.accuracy.share or 0)) for one in found.bins]
    assert found.ece.value == pytest.approx(math.fsum(gaps) / len(rows))
    assert abs(found.overconfidence.value) <= found.ece.value + 1e-12
    assert found.brier.value == pytest.approx(brier_score_loss(right, sure, labels=[False, True]))


def test_proper_scores_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(2)
    shares = draw.dirichlet([1, 1, 1], 60)
    gold = draw.choice(["A", "B", "tie"], 60).tolist()
    found = score_probabilities([dict(zip(("A", "B", "tie"), row.tolist(), strict=True)) for row in shares], gold)
    assert found is not None
    assert found.log_loss.value == pytest.approx(log_loss(gold, shares, labels=["A", "B", "tie"]))
    assert found.brier.value == pytest.approx(
        brier_score_loss(gold, shares, labels=["A", "B", "tie"], scale_by_half=False)
    )


def test_a_label_without_probability_is_a_finite_loss() -> None:
    found = score_probabilities([{"A": 1.0, "B": 0.0}, {"A": 1.0}], ["B", "B"])
    assert found is not None
    assert found.brier.value == pytest.approx(2)
    assert found.log_loss.value == pytest.approx(-math.log(5e-7))
    assert score_probabilities([], []) is None
    assert calibration([], []) is None


def measured(factor: float, count: int = 2000, seed: int = 3) -> Calibration:
    verdicts = judged("verify", answers(count), accuracy=0.75, calibration=factor, seed=seed)
    found = calibration([float(one.confidence or 0) for one in verdicts], [bool(one.correct) for one in verdicts])
    assert found is not None
    return found


# Chances are 0.5 + 0.5 x beta with mean 0.5, concentration 4.
CHANCE = beta(2, 2, loc=0.5, scale=0.5)


def said(chance: float, factor: float) -> float:
    return chance**factor / (chance**factor + (1 - chance) ** factor)


def expected_over_chances(of: object) -> float:
    return float(quad(lambda chance: of(chance) * CHANCE.pdf(chance), 0.5, 1)[0])  # type: ignore[operator]


def test_a_calibrated_judge_is_found_calibrated() -> None:
    found = measured(1)
    assert found.ece.value < found.ece_if_calibrated.high
    assert found.ece.interval is not None
    assert found.ece.interval.low == 0
    assert found.overconfidence.interval is not None
    assert found.overconfidence.interval.low < 0 < found.overconfidence.interval.high
    assert found.brier.interval is not None
    assert found.brier.interval.low < expected_over_chances(lambda c: c * (1 - c)) < found.brier.interval.high
    # Nine bins of ten hold it is what 95% of each leads one to expect of ten.
    inside = [one.accuracy.interval.low <= one.mean_confidence <= one.accuracy.interval.high for one in found.bins]
    assert sum(inside) >= 9


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_by_how_much_a_judge_is_too_sure_is_recovered(factor: float) -> None:
    found = measured(factor)
    too_sure = expected_over_chances(lambda chance: said(chance, factor) - chance)
    assert found.ece.value > found.ece_if_calibrated.high
    assert found.overconfidence.interval is not None
    assert found.overconfidence.interval.low < too_sure < found.overconfidence.interval.high
    assert found.ece.interval is not None
    assert found.ece.interval.low < abs(too_sure) < found.ece.interval.high


def test_a_judge_whose_certainty_says_nothing_is_not_calibrated() -> None:
    verdicts = judged("verify", answers(1000), accuracy=0.75)
    found = calibration([float(one.confidence or 0) for one in verdicts], [bool(one.correct) for one in verdicts])
    assert found is not None
    assert found.ece.value > found.ece_if_calibrated.high


def test_proper_scores_of_a_calibrated_judge_of_five_scores_are_recovered() -> None:
    """With chance c for its score and the rest shared: the Brier score is 1 - the sum of squares, on average."""
    accuracy = 0.6
    verdicts = judged("score", scored(2000), accuracy=accuracy, calibration=1)
    found = score_probabilities([one.probabilities or {} for one in verdicts], [str(one.gold) for one in verdicts])
    above = (accuracy - 1 / SCALE) / (1 - 1 / SCALE)
    chances = beta(4 * above, 4 * (1 - above), loc=1 / SCALE, scale=1 - 1 / SCALE)

    def over_chances(of: object) -> float:
        return float(quad(lambda chance: of(chance) * chances.pdf(chance), 1 / SCALE, 1)[0])  # type: ignore[operator]

    others = SCALE - 1
    brier = over_chances(lambda c: 1 - c**2 - (1 - c) ** 2 / others)
    entropy = over_chances(lambda c: -c * math.log(c) - (1 - c) * math.log((1 - c) / others) if c < 1 else 0.0)
    assert found is not None
    assert found.brier.interval is not None
    assert found.brier.interval.low < brier < found.brier.interval.high
    assert found.log_loss.interval is not None
    assert found.log_loss.interval.low < entropy < found.log_loss.interval.high


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.0])
def test_the_interval_of_the_error_holds_about_95_times_in_100(factor: float) -> None:
    """100 studies of 300 records each: judges that are calibrated, a little too sure, and twice as sure as they should
    be. Bins, and what falls into them, vary from study to study."""
    draw = random.Random(1)
    true = abs(expected_over_chances(lambda chance: said(chance, factor) - chance))
    held = 0
    for _ in range(100):
        chances = [0.5 + 0.5 * draw.betavariate(2, 2) for _ in range(300)]
        found = calibration([said(c, factor) for c in chances], [draw.random() < c for c in chances])
        assert found is not None
        assert found.ece.interval is not None
        held += found.ece.interval.low <= true <= found.ece.interval.high
    assert held / 100 >= 0.9
