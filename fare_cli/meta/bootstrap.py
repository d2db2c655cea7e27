"""Intervals by resampling clusters of records: for what has no formula, or whose two sides share their records.

Clusters are drawn with replacement, as many as there are, 1,000 times with a fixed seed, all their records each time.
The interval is the expanded percentile interval (Hesterberg 2015, The American Statistician 69:371): the plain one is
too narrow with few clusters, by sqrt((m - 1) / m) and by z in place of Student's t, so its tails are cut less deep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from fare_cli.meta.agreement import CONFIDENCE, Interval, kappa
from fare_cli.meta.clusters import Clusters, cluster_numbers, clustered_proportion

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_RESAMPLES = 1000
_SEED = 0


class Estimate(NamedTuple):
    """A value, and where the true one lies with 95% confidence; None where resampling cannot tell."""

    value: float
    interval: Interval | None

    def scaled(self, factor: float) -> Estimate:
        """The same in another unit; `factor` is above 0."""
        interval = self.interval
        return Estimate(
            self.value * factor, None if interval is None else Interval(interval.low * factor, interval.high * factor)
        )


def bootstrap_sums(
    statistic: Callable[[Floats], Floats], columns: npt.ArrayLike, clusters: Clusters = None
) -> Estimate | None:
    """A statistic of sums over records, such as a mean, a ratio or a correlation; None where it is not defined.

    `columns` is (records, k). `statistic` takes (n, k) sums, one row for each resample, and gives n values, NaN where
    it is not defined. Fast: records are summed up by cluster once. The interval is None where some resamples have no
    value, or all the same one: that would be a claim of certainty.
    """
    by_record = np.asarray(columns, float)
    numbers = cluster_numbers(clusters, len(by_record))
    if not len(by_record):
        return None
    by_cluster = np.zeros((int(numbers.max()) + 1, by_record.shape[1]))
    np.add.at(by_cluster, numbers, by_record)
    totals = np.array([weights @ by_cluster for weights in _draws(len(by_cluster))])
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(by_record.sum(0, keepdims=True))[0])
        return None if math.isnan(value) else Estimate(value, _interval(statistic(totals), len(by_cluster)))


def bootstrap_cells(
    statistic: Callable[[Floats], Floats], cells: Sequence[int], of: int, clusters: Clusters = None
) -> Estimate | None:
    """A statistic of a contingency table: `cells` is the cell of each record, from 0 up to below `of`.

    `statistic` takes (n, of) counts; all else as in `bootstrap_sums`.
    """
    where = np.asarray(cells, np.intp)
    numbers = cluster_numbers(clusters, len(where))
    if not len(where):
        return None
    count = int(numbers.max()) + 1
    tables = [np.bincount(where, weights=weights[numbers], minlength=of) for weights in _draws(count)]
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(np.bincount(where, minlength=of)[None, :].astype(float))[0])
        return None if math.isnan(value) else Estimate(value, _interval(statistic(np.array(tables)), count))


def bootstrap_records(
    statistic: Callable[[Indices], float], records: int, clusters: Clusters = None
) -> Estimate | None:
    """A statistic of whole records, such as a rank correlation; None where it is not defined.

    `statistic` takes the indices of the records of a resample, a record as often as it was drawn, and gives a value,
    NaN where it is not defined. It is called 1,001 times. The interval is None as in `bootstrap_sums`.
    """
    numbers = cluster_numbers(clusters, records)
    value = statistic(np.arange(records)) if records else math.nan
    if math.isnan(value):
        return None
    count = int(numbers.max()) + 1
    everything = np.arange(records)
    found = [statistic(np.repeat(everything, weights[numbers])) for weights in _draws(count)]
    return Estimate(float(value), _interval(np.array(found), count))


def paired_difference(before: Sequence[bool], after: Sequence[bool], clusters: Clusters = None) -> Estimate | None:
    """By how much the share of true ones has risen, the records resampled in pairs; None without any.

    Where no record differs there is nothing to resample, and the interval is what Wilson's bound for 0 of n leaves
    open in either direction: no more records can have changed than that.
    """
    differences = np.array(after, float) - np.array(before, float)
    if not differences.size:
        return None
    value = float(differences.mean())
    if np.all(differences == differences[0]):
        none = clustered_proportion([False] * len(differences), clusters)
        open_share = none.interval.high
        return Estimate(value, Interval(max(value - open_share, -1.0), min(value + open_share, 1.0)))
    return mean(differences.tolist(), clusters)


def mean(values: Sequence[float], clusters: Clusters = None) -> Estimate | None:
    """The mean of numbers; None without any."""
    return bootstrap_sums(ratio, np.column_stack([values, np.ones(len(values))]), clusters)


def ratio(sums: Floats) -> Floats:
    """The first sum by the second, for `bootstrap_sums`."""
    quotient: Floats = sums[..., 0] / sums[..., 1]
    return quotient


def kappa_estimate(before: Sequence[str], after: Sequence[str], clusters: Clusters = None) -> Estimate | None:
    """Cohen's kappa with an interval over resampled records; None where kappa is not defined.

    The interval is None where some resamples hold one label only.
    """
    value = kappa(before, after)
    if value is None:
        return None
    codes = {label: code for code, label in enumerate(sorted({*before, *after}))}
    cells = [codes[one] * len(codes) + codes[other] for one, other in zip(before, after, strict=True)]
    found = bootstrap_cells(kappa_of_cells, cells, len(codes) ** 2, clusters)
    return Estimate(value, None if found is None else found.interval)


def kappa_of_cells(sums: Floats, weights: Floats | None = None) -> Floats:
    """Cohen's kappa (1960; weighted 1968) of contingency tables, their cells row by row in the last axis.

    `weights` says how far apart two labels are, 0 on the diagonal; None: all equally.
    """
    labels = math.isqrt(sums.shape[-1])
    tables = sums.reshape(*sums.shape[:-1], labels, labels)
    apart = 1 - np.eye(labels) if weights is None else weights
    expected = tables.sum(-1, keepdims=True) * tables.sum(-2, keepdims=True) / tables.sum((-1, -2), keepdims=True)
    found: Floats = 1 - (tables * apart).sum((-1, -2)) / (expected * apart).sum((-1, -2))
    return found


def _draws(clusters: int) -> Iterator[Indices]:
    """For each resample how often each cluster was drawn."""
    random = np.random.default_rng(_SEED)
    for _ in range(_RESAMPLES):
        yield np.bincount(random.integers(clusters, size=clusters), minlength=clusters)


def _interval(values: Floats, clusters: int) -> Interval | None:
    if clusters < 2 or not np.all(np.isfinite(values)) or np.ptp(values) < 1e-12:
        return None
    reach = math.sqrt(clusters / (clusters - 1)) * float(t.ppf((1 + CONFIDENCE) / 2, clusters - 1))
    tail = float(norm.sf(reach))
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))
