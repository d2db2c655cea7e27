"""Two judges, or two versions of what is judged, compared on the same records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, norm

from fare_cli.meta.agreement import CONFIDENCE, Interval
from fare_cli.meta.bootstrap import Estimate, Statistic, bootstrap, paired_difference
from fare_cli.meta.clusters import Clusters, cluster_numbers


class McNemar(NamedTuple):
    """The exact test of whether two judges are right equally often, from the records where only one is.

    `p_value` is two-sided (McNemar 1947, the binomial form): the probability that so uneven a split, or a more uneven
    one, comes of two equally good judges. It takes records as independent: where they are clustered, go by the interval
    of the difference.
    """

    only_before: int
    only_after: int
    p_value: float


class RightCompared(NamedTuple):
    """How much more often the second judge is right: the difference of the shares, and the test."""

    difference: Estimate
    test: McNemar


def compare_right(before: Sequence[bool], after: Sequence[bool], clusters: Clusters = None) -> RightCompared | None:
    """Two judges by whether each was right, record by record; None without any record."""
    difference = paired_difference(before, after, clusters)
    return None if difference is None else RightCompared(difference, mcnemar(before, after))


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> McNemar:
    """The exact test; where no record tells the two apart its p-value is 1."""
    pairs = list(zip(before, after, strict=True))
    only_before = sum(bool(one and not other) for one, other in pairs)
    only_after = sum(bool(other and not one) for one, other in pairs)
    apart = only_before + only_after
    return McNemar(only_before, only_after, float(binomtest(only_after, apart).pvalue) if apart else 1.0)


def difference(before: Statistic, after: Statistic, records: int, clusters: Clusters = None) -> Estimate | None:
    """By how much a statistic has risen from one judge to the other on the same records, resampled together.

    For any measure: `difference(steps.f1(before, gold), steps.f1(after, gold), len(gold), clusters)`. None where one
    side has none.
    """
    return bootstrap(lambda drawn: after(drawn) - before(drawn), records, clusters)


class Noise(NamedTuple):
    """How often a judge gives another verdict where nothing has changed that should matter, and by how much (0 to 1)
    the value of a record then moves."""

    flip_rate: float
    size: float = 1.0


def noisy_difference(
    before: Sequence[float],
    after: Sequence[float],
    changed: Sequence[bool],
    noise: Noise,
    clusters: Clusters = None,
    *,
    confidence: float = CONFIDENCE,
) -> Estimate | None:
    """By how much the mean over all records has risen through those that were `changed`; None without any record.

    What the judge was shown twice as it is can have got neither better nor worse: such a record counts as no difference
    whatever was said of it. A changed record may have another value only because the judge gave another verdict on the
    same thing said in other words, so the interval, that of `paired_difference`, is widened by what such flips do to
    the mean: they come independently of the records that were drawn, and errors that are independent add in squares.
    Flips of the records of one cluster are taken to go together. Where many records flipped the resampled interval has
    some of that noise already, and the sum errs on the wide side.
    """
    numbers = cluster_numbers(clusters, len(before))
    shown = np.array(changed, bool)
    found = paired_difference(before, np.where(shown, after, before).tolist(), clusters, confidence=confidence)
    if found is None or found.interval is None:
        return found
    exposed = np.bincount(numbers[shown])
    spread = noise.size * math.sqrt(noise.flip_rate * float((exposed**2).sum())) / len(before)
    reach = float(norm.ppf((1 + confidence) / 2)) * spread
    low = found.value - math.hypot(found.value - found.interval.low, reach)
    high = found.value + math.hypot(found.interval.high - found.value, reach)
    return Estimate(found.value, Interval(max(low, -1.0), min(high, 1.0)))
