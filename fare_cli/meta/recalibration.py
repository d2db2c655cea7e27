"""What mends a judge's probabilities, found on records whose right label is known; and folds to test it by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold

from fare_cli.meta.bootstrap import Floats
from fare_cli.meta.calibration import SMALLEST
from fare_cli.meta.clusters import Clusters, cluster_numbers

#: Temperatures are looked for between these; at the upper end any probabilities are as good as equal ones.
LEAST_TEMPERATURE = 0.05
MOST_TEMPERATURE = 100.0

_FOLDS = 10


class RisingLine(NamedTuple):
    """Points of a line that never falls: `right` is the share of right verdicts of confidence `said`."""

    said: tuple[float, ...]
    right: tuple[float, ...]


class Fold(NamedTuple):
    """The records to fit on, and those to test by; no cluster has records in both."""

    fit: npt.NDArray[np.intp]
    test: npt.NDArray[np.intp]


def fit_temperature(probabilities: Sequence[Mapping[str, float]], gold: Sequence[str]) -> float:
    """The temperature T at which probabilities p^(1/T), normalised, have the least log loss (Guo et al. 2017).

    `gold` is a key of each record's probabilities; records may have different labels. The loss is convex in 1/T, so
    there is one minimum, and its slope is 0 there: log p of gold is on average what the probabilities themselves
    expect. An end of the range where the minimum lies beyond it. Raises ValueError without records.
    """
    if not gold:
        raise ValueError("a temperature is fitted on records")
    widest = max(map(len, probabilities))
    # A label that a record does not have gets the weight 0 below.
    logs = np.full((len(gold), widest), -np.inf)
    of_gold = np.empty(len(gold))
    for row, (shares, label) in enumerate(zip(probabilities, gold, strict=True)):
        logs[row, : len(shares)] = np.log(np.maximum(list(shares.values()), SMALLEST))
        of_gold[row] = np.log(max(shares[label], SMALLEST))
    there = np.isfinite(logs)
    values = np.where(there, logs, 0.0)

    def slope(inverse: float) -> float:
        weights = np.where(there, np.exp(inverse * (values - values.max(1, keepdims=True))), 0.0)
        expected = (weights * values).sum(1) / weights.sum(1)
        return float((expected - of_gold).mean())

    least, most = 1 / MOST_TEMPERATURE, 1 / LEAST_TEMPERATURE
    if slope(least) >= 0:
        return MOST_TEMPERATURE
    if slope(most) <= 0:
        return LEAST_TEMPERATURE
    return 1 / float(brentq(slope, least, most, xtol=1e-9))


def fit_isotonic(confidences: Sequence[float] | Floats, right: Sequence[bool]) -> RisingLine:
    """The line that never falls and is closest to right (1) or wrong (0) in squares (Zadrozny & Elkan 2002).

    It stays between 1 / (n + 2) and (n + 1) / (n + 2) of n records: by Laplace's rule so many records show no more
    certainty, and a surest block without a mistake would make the next mistake an endless loss. Raises ValueError
    without records.
    """
    if not len(right):
        raise ValueError("a line is fitted on records")
    bound = 1 / (len(right) + 2)
    fitted = IsotonicRegression(y_min=bound, y_max=1 - bound).fit(
        np.asarray(confidences, float), np.asarray(right, float)
    )
    return RisingLine(tuple(map(float, fitted.X_thresholds_)), tuple(map(float, fitted.y_thresholds_)))


def folds(records: int, clusters: Clusters = None) -> list[Fold]:
    """Ten folds of whole clusters, of about as many records each; as many as there are clusters where they are fewer.

    Raises ValueError for fewer than two clusters.
    """
    numbers = cluster_numbers(clusters, records)
    count = min(_FOLDS, len(np.unique(numbers)))
    if count < 2:
        raise ValueError("one cluster cannot be divided into folds")
    split = GroupKFold(n_splits=count).split(np.zeros(records), groups=numbers)
    return [Fold(np.asarray(fit), np.asarray(test)) for fit, test in split]
