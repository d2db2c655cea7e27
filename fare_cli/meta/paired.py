"""Two judges compared on the same records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import binomtest

from fare_cli.meta.bootstrap import Estimate, Statistic, bootstrap, paired_difference
from fare_cli.meta.clusters import Clusters


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
