"""Judges of right and wrong against scikit-learn, and a simulated judge recovered."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from fare_cli.meta.bootstrap import Estimate
from fare_cli.meta.verify import Confusion, measure_verify
from tests.simulating import answers, judged

ROWS = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 6)), min_size=1, max_size=50)


@settings(max_examples=40)
@given(ROWS)
def test_all_measures_are_those_of_scikit_learn(rows: list[tuple[bool, bool, int]]) -> None:
    said, gold, sure = ([row[side] for row in rows] for side in range(3))
    found = measure_verify(said, gold, p_yes=[value / 6 for value in sure])
    table = metrics.confusion_matrix(gold, said, labels=[True, False])
    assert found.confusion == Confusion(*table.T.ravel().tolist())
    assert found.accuracy.share == pytest.approx(metrics.accuracy_score(gold, said))
    if any(said):
        assert found.precision.share == pytest.approx(metrics.precision_score(gold, said))
    if any(gold):
        assert found.recall.share == pytest.approx(metrics.recall_score(gold, said))
    if any(said) or any(gold):
        assert value(found.f1) == pytest.approx(metrics.f1_score(gold, said))
    if len({*said}) == len({*gold}) == 2:
        assert value(found.mcc) == pytest.approx(metrics.matthews_corrcoef(gold, said))
    if len({*gold}) == 2:
        assert value(found.balanced_accuracy) == pytest.approx(metrics.balanced_accuracy_score(gold, said))
        assert value(found.auroc) == pytest.approx(metrics.roc_auc_score(gold, sure))


def value(found: Estimate | None) -> float:
    assert found is not None
    return found.value


def test_what_is_not_defined_is_none() -> None:
    nothing = measure_verify([], [], p_yes=[])
    assert (nothing.f1, nothing.mcc, nothing.auroc, nothing.precision.share) == (None, None, None, None)
    all_no = measure_verify([False] * 5, [False] * 5, p_yes=[0.1] * 5)
    assert (all_no.f1, all_no.mcc, all_no.auroc, all_no.recall.share) == (None, None, None, None)
    assert all_no.accuracy.share == 1
    assert all_no.balanced_accuracy is None
    assert measure_verify([True, False], [True, False]).auroc is None
    with pytest.raises(ValueError):
        measure_verify([True], [True, False])


def test_copies_in_a_cluster_do_not_narrow_any_interval() -> None:
    draw = random.Random(2)
    gold = [draw.random() < 0.5 for _ in range(60)]
    sure = [draw.betavariate(3, 2) if label else draw.betavariate(2, 3) for label in gold]
    said = [share > 0.5 for share in sure]
    one = measure_verify(said, gold, p_yes=sure)
    copied = measure_verify(said * 5, gold * 5, list(range(60)) * 5, p_yes=sure * 5)
    naive = measure_verify(said * 5, gold * 5, p_yes=sure * 5)
    for name in ("accuracy", "precision", "recall", "f1", "mcc", "auroc"):
        assert getattr(copied, name).interval == pytest.approx(getattr(one, name).interval)
        assert width(getattr(naive, name).interval) < 0.6 * width(getattr(one, name).interval)


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


@pytest.mark.parametrize("accuracy", [0.5, 0.75, 0.9])
def test_accuracy_is_recovered_by_every_measure(accuracy: float) -> None:
    """Half of the answers are right, and the judge is as sure of wrong verdicts: every measure follows from it."""
    records = answers(1500)
    verdicts = judged("verify", records, accuracy=accuracy, seed=4)
    found = measure_verify(
        [verdict.verdict == "yes" for verdict in verdicts],
        [verdict.gold == "yes" for verdict in verdicts],
        p_yes=[(verdict.probabilities or {})["yes"] for verdict in verdicts],
    )
    for measure in (found.accuracy, found.precision, found.recall, found.f1, found.auroc):
        assert measure is not None
        assert measure.interval is not None
        assert measure.interval.low < accuracy < measure.interval.high
    assert found.mcc is not None
    assert found.mcc.interval is not None
    assert found.mcc.interval.low < 2 * accuracy - 1 < found.mcc.interval.high
