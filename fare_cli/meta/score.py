"""How close a judge's scores are to known ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import ConstantInputWarning, kendalltau, rankdata

from fare_cli.meta.bootstrap import (
    Estimate,
    Floats,
    bootstrap_cells,
    bootstrap_records,
    bootstrap_sums,
    kappa_of_cells,
    ratio,
)
from fare_cli.meta.clusters import Clusters


class ScoreMeasures(NamedTuple):
    """How close scores are to known ones; None where a measure is not defined, as a correlation with a constant is.

    `kendall` is tau-b. `mae` and `rmse`: mean absolute and root mean squared error. `bias`: the mean of said less gold.
    `quadratic_kappa`: Cohen's weighted kappa of the scores rounded to whole ones (halves up), the weights the squared
    distances.
    """

    pearson: Estimate | None
    spearman: Estimate | None
    kendall: Estimate | None
    mae: Estimate | None
    rmse: Estimate | None
    bias: Estimate | None
    quadratic_kappa: Estimate | None


def measure_scores(said: Sequence[float], gold: Sequence[float], clusters: Clusters = None) -> ScoreMeasures:
    """All measures. `said` may be the scores a judge gave or its expected scores: measure each by itself."""
    ours, known = np.array(said, float), np.array(gold, float)
    if len(ours) != len(known):
        raise ValueError(f"{len(ours)} scores for {len(known)} gold scores")
    errors, ones = ours - known, np.ones(len(ours))
    return ScoreMeasures(
        pearson=pearson(ours, known, clusters),
        spearman=_by_records(_spearman, ours, known, clusters),
        kendall=_by_records(_kendall, ours, known, clusters),
        mae=bootstrap_sums(ratio, np.column_stack([np.abs(errors), ones]), clusters),
        rmse=bootstrap_sums(lambda sums: np.sqrt(ratio(sums)), np.column_stack([errors**2, ones]), clusters),
        bias=bootstrap_sums(ratio, np.column_stack([errors, ones]), clusters),
        quadratic_kappa=quadratic_kappa(ours, known, clusters),
    )


def pearson(
    one: Sequence[float] | Floats, other: Sequence[float] | Floats, clusters: Clusters = None
) -> Estimate | None:
    """Pearson's correlation; None where one side is constant."""
    first, second = np.array(one, float), np.array(other, float)
    if not len(first):
        return None
    # Of numbers far from 0 the sums of squares would lose what they differ by.
    first, second = first - first.mean(), second - second.mean()
    columns = np.column_stack([np.ones(len(first)), first, second, first**2, second**2, first * second])
    return bootstrap_sums(pearson_of_sums, columns, clusters)


def pearson_of_sums(sums: Floats) -> Floats:
    """The correlation from the sums of 1, x, y, x^2, y^2 and xy; NaN where x or y is constant."""
    count, x, y, xx, yy, xy = sums.T
    x_spread, y_spread = xx - x * x / count, yy - y * y / count
    # What rounding leaves of a constant's spread is no spread.
    constant = (x_spread <= 1e-12 * xx) | (y_spread <= 1e-12 * yy)
    found: Floats = np.where(constant, np.nan, (xy - x * y / count) / np.sqrt(x_spread * y_spread))
    return found


def quadratic_kappa(said: Floats, gold: Floats, clusters: Clusters = None) -> Estimate | None:
    """Cohen's kappa with quadratic weights (1968) of scores rounded to whole ones; None where all are the same."""
    if not len(said):
        return None
    ours, known = np.floor(said + 0.5).astype(int), np.floor(gold + 0.5).astype(int)
    low = min(int(ours.min()), int(known.min()))
    size = max(int(ours.max()), int(known.max())) - low + 1
    cells = (ours - low) * size + known - low
    scale = np.arange(size)
    weights = (scale[:, None] - scale[None, :]).astype(float) ** 2
    return bootstrap_cells(lambda counts: kappa_of_cells(counts, weights), cells.tolist(), size * size, clusters)


def _by_records(
    statistic: Callable[[Floats, Floats], float], one: Floats, other: Floats, clusters: Clusters
) -> Estimate | None:
    return bootstrap_records(lambda records: statistic(one[records], other[records]), len(one), clusters)


def _spearman(one: Floats, other: Floats) -> float:
    """Pearson's correlation of the ranks, equal values sharing their mean rank."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return math.nan
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def _kendall(one: Floats, other: Floats) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        # Only the p-value depends on the method, and the exact one is slow.
        return float(kendalltau(one, other, method="asymptotic").statistic)
