"""Judges that give scores against scipy and scikit-learn, and a simulated judge recovered."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score, mean_absolute_error, root_mean_squared_error

from fare_cli.meta.bootstrap import Statistic, bootstrap
from fare_cli.meta.score import bias, kendall, mae, measure_scores, pearson, quadratic_kappa, rmse, spearman
from tests.simulating import SCALE, judged, scored

SCORES = st.one_of(st.integers(1, 5), st.sampled_from([1.5, 2.25, 3.5, 4.75]))


def value(statistic: Statistic, records: int) -> float:
    with np.errstate(invalid="ignore"):
        return statistic(np.ones(records, np.intp))


@given(st.lists(st.tuples(SCORES, SCORES), min_size=3, max_size=40))
def test_all_measures_are_those_of_scipy_and_scikit_learn(rows: list[tuple[float, float]]) -> None:
    said, gold = [one for one, _ in rows], [other for _, other in rows]
    count = len(rows)
    assert value(mae(said, gold), count) == pytest.approx(mean_absolute_error(gold, said))
    assert value(rmse(said, gold), count) == pytest.approx(root_mean_squared_error(gold, said))
    assert value(bias(said, gold), count) == pytest.approx(np.mean(said) - np.mean(gold))
    if len({*said}) == 1 or len({*gold}) == 1:
        assert all(math.isnan(value(of(said, gold), count)) for of in (pearson, spearman, kendall))
    else:
        assert value(pearson(said, gold), count) == pytest.approx(pearsonr(said, gold).statistic, abs=1e-9)
        assert value(spearman(said, gold), count) == pytest.approx(spearmanr(said, gold).statistic, abs=1e-9)
        assert value(kendall(said, gold), count) == pytest.approx(kendalltau(said, gold).statistic, abs=1e-9)
    whole = [[math.floor(score + 0.5) for score in side] for side in (said, gold)]
    found = value(quadratic_kappa(said, gold), count)
    if len({*whole[0], *whole[1]}) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(cohen_kappa_score(*whole, weights="quadratic", labels=[1, 2, 3, 4, 5]))


@given(st.lists(st.tuples(SCORES, SCORES, st.integers(0, 3)), min_size=3, max_size=20))
def test_a_record_drawn_twice_counts_twice(rows: list[tuple[float, float, int]]) -> None:
    said, gold = [row[0] for row in rows], [row[1] for row in rows]
    drawn = np.array([row[2] for row in rows], np.intp)
    written_out = [
        [score for score, times in zip(side, drawn, strict=True) for _ in range(times)] for side in (said, gold)
    ]
    for of in (pearson, spearman, kendall, mae, rmse, bias, quadratic_kappa):
        with np.errstate(invalid="ignore", divide="ignore"):
            if drawn.sum() > 1:
                expected = of(*written_out)(np.ones(int(drawn.sum()), np.intp))
                assert of(said, gold)(drawn) == pytest.approx(expected, nan_ok=True, abs=1e-9)


def test_the_measures_go_by_their_names() -> None:
    said, gold = [1, 2, 3, 4, 5, 5] * 5, [2, 1, 3, 3, 5, 4] * 5
    found = measure_scores(said, gold)
    for of in (pearson, spearman, kendall, mae, rmse, bias, quadratic_kappa):
        estimate = getattr(found, of.__name__)
        assert estimate.value == pytest.approx(value(of(said, gold), 30))
    assert found.pearson is not None
    assert found.pearson.interval is not None
    assert found.pearson.interval.low < found.pearson.value < found.pearson.interval.high


def test_scores_all_the_same_have_no_correlation() -> None:
    found = measure_scores([3, 3, 3], [3, 3, 3])
    assert (found.pearson, found.spearman, found.kendall, found.quadratic_kappa) == (None, None, None, None)
    assert found.mae == (0.0, None)


def test_no_scores_have_no_measure() -> None:
    assert set(measure_scores([], [])) == {None}
    with pytest.raises(ValueError, match="1 scores for 2 gold scores"):
        measure_scores([1], [1, 2])


def test_numbers_far_from_zero_lose_nothing() -> None:
    said, gold = [1e9 + value for value in (1, 2, 3, 4, 6)], [1e9 + value for value in (2, 1, 4, 3, 7)]
    found = measure_scores([value - 1e9 for value in said], [value - 1e9 for value in gold])
    far = measure_scores(said, gold)
    assert found.pearson is not None
    assert far.pearson is not None
    assert far.pearson.value == pytest.approx(found.pearson.value)


def test_copies_in_a_cluster_do_not_narrow_any_interval() -> None:
    draw = random.Random(8)
    gold = [draw.randint(1, 5) for _ in range(50)]
    said = [min(5, max(1, score + draw.choice([-1, 0, 0, 1]))) for score in gold]
    one = measure_scores(said, gold)
    copied, naive = measure_scores(said * 5, gold * 5, list(range(50)) * 5), measure_scores(said * 5, gold * 5)
    for name in one._fields:
        interval, of_copies, of_naive = (getattr(side, name).interval for side in (one, copied, naive))
        assert of_copies == pytest.approx(interval)
        assert of_naive.high - of_naive.low < 0.6 * (interval.high - interval.low)


def test_accuracy_is_recovered_by_every_measure() -> None:
    """A judge right with 0.7 and else at any other score: as if it copied gold with 0.625 and else drew one of five."""
    accuracy, records = 0.7, scored(2000)
    verdicts = judged("score", records, accuracy=accuracy, seed=1)
    found = measure_scores([int(verdict.score or 0) for verdict in verdicts], [record["gold"] for record in records])
    copied = accuracy - (1 - accuracy) / (SCALE - 1)
    # Two of a pair copied, or one: then the other side is as good as the rank of that one.
    tau = copied**2 + 2 * copied * (1 - copied) * (SCALE + 1) / (3 * SCALE)
    expected = {
        "pearson": copied,
        "spearman": copied,
        "quadratic_kappa": copied,
        "kendall": tau,
        "mae": (1 - accuracy) * (SCALE + 1) / 3,
        "rmse": math.sqrt((1 - accuracy) * SCALE * (SCALE + 1) / 6),
        "bias": 0.0,
    }
    for name, true in expected.items():
        interval = getattr(found, name).interval
        assert interval.low < true < interval.high, name


def test_the_expected_score_of_a_calibrated_judge_is_closer_than_its_label() -> None:
    records = scored(1000)
    verdicts = judged("score", records, accuracy=0.6, calibration=1, seed=3)
    gold = [record["gold"] for record in records]
    label = measure_scores([int(verdict.score or 0) for verdict in verdicts], gold)
    expected = measure_scores([float(verdict.expected_score or 0) for verdict in verdicts], gold)
    assert label.rmse is not None
    assert label.rmse.interval is not None
    assert expected.rmse is not None
    assert expected.rmse.interval is not None
    assert expected.rmse.interval.high < label.rmse.interval.low


def test_the_interval_of_a_correlation_holds_about_95_times_in_100() -> None:
    """200 studies of 40 questions with 3 answers, the answers of a question judged alike in part."""
    draw = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        of_question = draw.normal(size=(40, 1, 2)) @ np.array([[1, 0.6], [0, 0.8]])
        rows = (of_question + draw.normal(size=(40, 3, 2)) @ np.array([[1, 0.6], [0, 0.8]])).reshape(-1, 2)
        found = bootstrap(pearson(rows[:, 0], rows[:, 1]), 120, np.repeat(np.arange(40), 3).tolist())
        assert found is not None
        assert found.interval is not None
        held += found.interval.low <= 0.6 <= found.interval.high
    assert 0.90 <= held / 200 <= 0.99
