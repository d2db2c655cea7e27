"""Intervals by resampling clusters of records: for what has no formula, or whose two sides share their records.

Clusters are drawn with replacement, as many as there are, 1,000 times with a fixed seed, all their records each time.
The interval is the expanded percentile interval (Hesterberg 2015, The American Statistician 69:371): the plain one is
too narrow with few clusters, by sqrt((m - 1) / m) and by z in place of Student's t, so its tails are cut less deep.
With fewer than 6 clusters there is none: no resample lies outside of the least and the greatest cluster, and between m
of them lies the median of all with probability 1 - 2^(1 - m) only, 50% for 2 and 94% for 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from fare_cli.meta.agreement import CONFIDENCE, Interval, kappa
from fare_cli.meta.clusters import Clusters, cluster_numbers, clustered_interval

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.intp]

#: A number from records: takes how often each record was drawn, (records,), gives NaN where it is not defined.
Statistic = Callable[[Counts], float]

#: With fewer clusters nothing that resampling gives can hold 95%.
FEWEST_CLUSTERS = 6

_RESAMPLES = 1000
_SEED = 0


class Estimate(NamedTuple):
    """A value, and where the true one lies with 95% confidence unless another one was asked for; None where that
    cannot be told."""

    value: float
    interval: Interval | None


def bootstrap(
    statistic: Statistic, records: int, clusters: Clusters = None, *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """A statistic of so many records with its interval; None where it is not defined.

    The interval is None for fewer than 6 clusters, and where some resamples have no value or all have the same one:
    that would be certainty. `statistic` is called 1,001 times.
    """
    numbers = cluster_numbers(clusters, records)
    if not records:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        value = float(statistic(np.ones(records, np.intp)))
        if not math.isfinite(value):
            return None
        count = int(numbers.max()) + 1
        found = np.array([statistic(drawn[numbers]) for drawn in resamples(count)])
    return Estimate(value, expanded_interval(found, count, confidence))


def mean(
    values: Sequence[float] | Floats, clusters: Clusters = None, *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """The mean of numbers; None without any."""
    return bootstrap(mean_of(values), len(values), clusters, confidence=confidence)


def mean_of(values: Sequence[float] | Floats) -> Statistic:
    numbers = np.asarray(values, float)
    # Not `@`: OpenBLAS shares a product of over 10,000 numbers among threads, which took 6 ms instead of 0.1 where
    # other work held the cores.
    return lambda drawn: float((drawn * numbers).sum() / drawn.sum())


def paired_difference(
    before: Sequence[float], after: Sequence[float], clusters: Clusters = None, *, confidence: float = CONFIDENCE
) -> Estimate | None:
    """By how much the share of true ones (or a mean of shares) has risen, the records resampled in pairs; None without
    any.

    Where no record differs there is nothing to resample, and the interval is what Wilson's bound for 0 of n leaves
    open in either direction: no more records can have changed than that.
    """
    differences = np.array(after, float) - np.array(before, float)
    if not differences.size:
        return None
    value = float(differences.mean())
    if np.all(differences == differences[0]):
        open_share = clustered_interval([False] * len(differences), clusters, confidence=confidence).high
        return Estimate(value, Interval(max(value - open_share, -1.0), min(value + open_share, 1.0)))
    return mean(differences, clusters, confidence=confidence)


def kappa_estimate(before: Sequence[str], after: Sequence[str], clusters: Clusters = None) -> Estimate | None:
    """Cohen's kappa with an interval over resampled records; None where kappa is not defined.

    The interval is None where some resamples hold one label only.
    """
    value = kappa(before, after)
    if value is None:
        return None
    codes = {label: code for code, label in enumerate(sorted({*before, *after}))}
    statistic = kappa_of([codes[label] for label in before], [codes[label] for label in after])
    found = bootstrap(statistic, len(before), clusters)
    return Estimate(value, None if found is None else found.interval)


def kappa_of(one: Sequence[int], other: Sequence[int]) -> Statistic:
    """Cohen's kappa (1960) of labels given as numbers from 0 on; not defined where all are the same."""
    size = max([*one, *other], default=0) + 1
    cells = np.asarray(one, np.intp) * size + np.asarray(other, np.intp)

    def statistic(drawn: Counts) -> float:
        table = np.bincount(cells, weights=drawn, minlength=size * size).reshape(size, size)
        total = table.sum()
        by_chance = table.sum(0) @ table.sum(1) / total
        return float((np.trace(table) - by_chance) / (total - by_chance))

    return statistic


def resamples(clusters: int) -> Iterator[Counts]:
    """For each of 1,000 resamples how often each of so many clusters was drawn; the same at every call."""
    random = np.random.default_rng(_SEED)
    for _ in range(_RESAMPLES):
        yield np.bincount(random.integers(clusters, size=clusters), minlength=clusters)


def expanded_interval(values: Floats, clusters: int, confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of a statistic from its values for resamples of so many clusters; None where they cannot tell."""
    # Rounding alone makes differences of 1e-16.
    if clusters < FEWEST_CLUSTERS or not np.all(np.isfinite(values)) or np.ptp(values) < 1e-12:
        return None
    reach = math.sqrt(clusters / (clusters - 1)) * float(t.ppf((1 + confidence) / 2, clusters - 1))
    tail = float(norm.sf(reach))
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))
