"""Whether one judge is shown to be no worse than another on the same records, but for a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from fare_cli.meta.clusters import Clusters, cluster_numbers


def is_no_worse(
    before: Sequence[bool], after: Sequence[bool], margin: float, clusters: Clusters = None, *, confidence: float
) -> bool:
    """Whether the share of right ones is shown to have fallen by less than `margin`, by a one-sided test.

    The score test of Tango (1998, Statistics in Medicine 17:891) for paired shares: the standard error is that of a
    fall by just `margin`, so that it holds for few records that differ, and for none. n records without any that got
    worse show it from z^2 (1 - margin) / margin on: 133 for 2% at 95%. Clustered records are counted as so many
    independent ones as they are worth (their design effect). False without records.
    """
    if not len(before):
        return False
    fallen = np.asarray(before, float) - np.asarray(after, float)
    n = _independent(fallen, cluster_numbers(clusters, len(fallen)))
    worse, better = (float((fallen == sign).mean()) * n for sign in (1, -1))
    half = worse + better - margin * (2 * n - worse + better)
    likely = (half + math.sqrt(half**2 + 8 * n * better * margin * (1 - margin))) / (4 * n)
    variance = 2 * likely + margin * (1 - margin)
    z = (worse - better - n * margin) / math.sqrt(n * variance)
    return z <= -float(norm.ppf(confidence))


def _independent(values: npt.NDArray[np.float64], numbers: npt.NDArray[np.intp]) -> float:
    """How many independent records these are worth: all of them, divided by how much more their mean scatters over
    clusters; at worst, and where nothing scatters, as if all records of a cluster were alike."""
    sizes = np.bincount(numbers)
    fewest = len(values) ** 2 / float((sizes**2).sum())
    alone = float(((values - values.mean()) ** 2).sum())
    if len(sizes) < 2 or alone == 0:
        return fewest
    sums = np.bincount(numbers, weights=values - values.mean())
    # Both variances are the unbiased ones, so that the effect of clusters of one is exactly 1.
    unbiased = len(sizes) / (len(sizes) - 1) * (len(values) - 1) / len(values)
    effect = float((sums**2).sum()) / alone * unbiased
    return max(len(values) / max(effect, 1.0), fewest)
