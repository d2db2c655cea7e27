"""Records of one question are no independent ones: shares with intervals that know it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import t

from fare_cli.meta.agreement import CONFIDENCE, Interval, Proportion, proportion, wilson

#: The cluster of each record, by any key; None where every record is a cluster of its own.
Clusters = Sequence[Hashable] | None


def cluster_numbers(clusters: Clusters, records: int) -> npt.NDArray[np.intp]:
    """The cluster of each record as a number from 0 on, in the order in which they first come.

    Raises ValueError where there is not one key for every record.
    """
    if clusters is None:
        return np.arange(records)
    if len(clusters) != records:
        raise ValueError(f"{len(clusters)} cluster keys for {records} records")
    numbers: dict[Hashable, int] = {}
    return np.fromiter((numbers.setdefault(key, len(numbers)) for key in clusters), np.intp, records)


def of_those(records: Sequence[int], clusters: Clusters) -> Clusters:
    """The clusters of some of the records, by their indices."""
    return None if clusters is None else [clusters[record] for record in records]


def clustered_proportion(
    cases: Sequence[bool], clusters: Clusters = None, *, confidence: float = CONFIDENCE
) -> Proportion:
    """The share of true ones with Wilson's interval, for as many independent records as the clustered ones are worth.

    See `clustered_interval`. Where every record is a cluster of its own it is Wilson's interval itself.
    """
    found = proportion(int(np.count_nonzero(cases)), len(cases), confidence)
    return found._replace(interval=clustered_interval(cases, clusters, confidence=confidence))


def clustered_interval(
    values: Sequence[bool] | Sequence[float], clusters: Clusters = None, *, confidence: float = CONFIDENCE
) -> Interval:
    """Where the mean of numbers from 0 to 1 lies: Wilson's interval for as many independent records as these are worth.

    Numbers between 0 and 1 (half a win) are taken to scatter as widely as a share with their mean, which no numbers
    from 0 to 1 exceed, so the interval is wider than need be where there are many of them.

    The records are divided by the design effect, how much more a share of clusters scatters than one of as many
    independent records (Rao & Scott 1992, Biometrics 48:577), and by Korn & Graubard's factor (1998, Survey
    Methodology 24:193) for that being estimated from few clusters. The effect lies between 1 (so the interval is never
    narrower than of independent records: a smaller estimate is noise far more often than truth) and what it is where
    all records of a cluster are alike, which is also taken where the cases are none or all and nothing can be
    estimated.
    """
    records = len(values)
    if not records:
        return Interval(0.0, 1.0)
    numbers = cluster_numbers(clusters, records)
    sizes = np.bincount(numbers)
    hits = np.bincount(numbers, weights=np.asarray(values, float)).astype(float)
    of = records if len(sizes) == records else _independent_records(hits, sizes, confidence)
    return wilson(float(hits.sum()) / records, of, confidence)


def _independent_records(hits: npt.NDArray[np.float64], sizes: npt.NDArray[np.intp], confidence: float) -> float:
    """How many independent records the clusters with so many hits (or parts of them) and records are worth."""
    records, clusters = int(sizes.sum()), len(sizes)
    fewest = records**2 / float((sizes**2).sum())
    share = float(hits.sum()) / records
    if clusters == 1 or share in (0.0, 1.0):
        return fewest
    variance = clusters / (clusters - 1) * float(((hits - sizes * share) ** 2).sum()) / records**2
    # Both variances are the unbiased ones, so that the effect of clusters of one is exactly 1.
    effect = max(variance / (share * (1 - share) / (records - 1)), 1.0)
    tail = (1 + confidence) / 2
    few = float(t.ppf(tail, records - 1) / t.ppf(tail, clusters - 1)) ** 2
    return max(records / effect * few, fewest)
