"""How close a judge's scores are to known ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau, rankdata

from fare_cli.meta.bootstrap import Counts, Estimate, Floats, Statistic, bootstrap, kappa_of, mean_of
from fare_cli.meta.clusters import Clusters

Numbers = Sequence[float] | Floats


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


def measure_scores(said: Numbers, gold: Numbers, clusters: Clusters = None) -> ScoreMeasures:
    """All measures. `said` may be the scores a judge gave or its expected scores: measure each by itself."""
    if len(said) != len(gold):
        raise ValueError(f"{len(said)} scores for {len(gold)} gold scores")
    measures = (pearson, spearman, kendall, mae, rmse, bias, quadratic_kappa)
    return ScoreMeasures(*(bootstrap(measure(said, gold), len(gold), clusters) for measure in measures))


def pearson(said: Numbers, gold: Numbers) -> Statistic:
    """Pearson's correlation."""
    ours, known = _centred(said), _centred(gold)
    columns = np.column_stack([ours, known, ours**2, known**2, ours * known])

    def statistic(drawn: Counts) -> float:
        x, y, xx, yy, xy = drawn @ columns
        count = drawn.sum()
        x_spread, y_spread = xx - x * x / count, yy - y * y / count
        # What rounding leaves of a constant's spread is no spread.
        if x_spread <= 1e-12 * xx or y_spread <= 1e-12 * yy:
            return math.nan
        return float((xy - x * y / count) / math.sqrt(x_spread * y_spread))

    return statistic


def spearman(said: Numbers, gold: Numbers) -> Statistic:
    """Pearson's correlation of the ranks, equal values sharing their mean rank."""

    def correlation(one: Floats, other: Floats) -> float:
        return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])

    return _unless_constant(correlation, said, gold)


def kendall(said: Numbers, gold: Numbers) -> Statistic:
    """Kendall's tau-b, which corrects for ties on either side."""

    def correlation(one: Floats, other: Floats) -> float:
        # Only its p-value depends on the method, and the exact one is slow.
        return float(kendalltau(one, other, method="asymptotic").statistic)

    return _unless_constant(correlation, said, gold)


def mae(said: Numbers, gold: Numbers) -> Statistic:
    """The mean absolute error."""
    return mean_of(np.abs(np.subtract(said, gold)))


def rmse(said: Numbers, gold: Numbers) -> Statistic:
    """The root mean squared error."""
    squared = mean_of(np.subtract(said, gold) ** 2)
    return lambda drawn: math.sqrt(squared(drawn))


def bias(said: Numbers, gold: Numbers) -> Statistic:
    """The mean of said less gold."""
    return mean_of(np.subtract(said, gold))


def quadratic_kappa(said: Numbers, gold: Numbers) -> Statistic:
    """Cohen's kappa with quadratic weights (1968) of scores rounded to whole ones, halves up."""
    ours, known = (np.floor(np.asarray(side, float) + 0.5).astype(int) for side in (said, gold))
    low = int(min(ours.min(), known.min())) if len(ours) else 0
    scale = np.arange(int(max(ours.max(), known.max())) - low + 1 if len(ours) else 1)
    return kappa_of((ours - low).tolist(), (known - low).tolist(), np.subtract.outer(scale, scale).astype(float) ** 2)


def _centred(values: Numbers) -> Floats:
    """Less their mean: of numbers far from 0 the sums of squares would lose what they differ by."""
    numbers = np.asarray(values, float)
    return numbers - numbers.mean() if len(numbers) else numbers


def _unless_constant(correlation: Callable[[Floats, Floats], float], said: Numbers, gold: Numbers) -> Statistic:
    ours, known = np.asarray(said, float), np.asarray(gold, float)

    def statistic(drawn: Counts) -> float:
        records = np.repeat(np.arange(len(drawn)), drawn)
        one, other = ours[records], known[records]
        return math.nan if np.ptp(one) == 0 or np.ptp(other) == 0 else correlation(one, other)

    return statistic
