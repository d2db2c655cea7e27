"""How right a judge is where it is sure: accuracy against coverage when unsure verdicts are withheld."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Counts, Estimate, Floats, Statistic, bootstrap
from fare_cli.meta.clusters import Clusters, clustered_proportion, of_those

_POINTS = 20


class CoveragePoint(NamedTuple):
    """Verdicts of a confidence of at least `threshold` are given, which is `coverage` of the records, and so right."""

    threshold: float
    coverage: float
    accuracy: Proportion


class Coverage(NamedTuple):
    """The curve from the surest verdicts to all of them, and the area under it.

    `aurc`: the mean risk (share of wrong verdicts) over all coverages, as by Geifman & El-Yaniv 2017; 0 is best, and a
    judge whose confidence says nothing has the plain error rate, `error`.
    """

    points: tuple[CoveragePoint, ...]
    aurc: Estimate
    error: float


def coverage_curve(
    confidences: Sequence[float | None], right: Sequence[bool], clusters: Clusters = None
) -> Coverage | None:
    """Accuracy against coverage; None without any verdict.

    A confidence of None is a record without a verdict: it is never covered, so the curve ends below 1, and it has no
    part in `aurc`. There are at most 20 points, evenly spread over the records; verdicts of equal confidence are given
    or withheld together. Each point's interval is for that point alone.
    """
    if len(confidences) != len(right):
        raise ValueError(f"{len(confidences)} confidences for {len(right)} outcomes")
    given = [index for index, confidence in enumerate(confidences) if confidence is not None]
    if not given:
        return None
    sure = np.array([confidences[index] for index in given], float)
    wrong = np.array([not right[index] for index in given], float)
    aurc = bootstrap(area(sure, wrong), len(given), of_those(given, clusters))
    assert aurc is not None
    points = []
    for threshold in _thresholds(sure):
        covered = [given[record] for record in np.flatnonzero(sure >= threshold)]
        accuracy = clustered_proportion([right[index] for index in covered], of_those(covered, clusters))
        points.append(CoveragePoint(threshold, len(covered) / len(right), accuracy))
    return Coverage(tuple(points), aurc, float(wrong.mean()))


def _thresholds(sure: Floats) -> list[float]:
    """The least confidence of the surest 5%, 10%, ... of the verdicts, equal ones once."""
    falling = np.sort(sure)[::-1]
    last = [math.ceil(len(sure) * point / _POINTS) - 1 for point in range(1, _POINTS + 1)]
    return list(dict.fromkeys(falling[last].tolist()))


def area(confidences: Sequence[float] | Floats, wrong: Sequence[bool] | Floats) -> Statistic:
    """The mean over k of the risk of the k surest, over all orders of verdicts of equal confidence."""
    order = np.argsort(-np.asarray(confidences, float), kind="stable")
    _, group = np.unique(-np.asarray(confidences, float)[order], return_inverse=True)
    risky = np.asarray(wrong, float)[order]

    def statistic(drawn: Counts) -> float:
        times = drawn[order]
        shared = np.bincount(group, weights=times * risky) / np.bincount(group, weights=times)
        risks = np.cumsum(np.repeat(shared[group], times))
        return float((risks / np.arange(1, len(risks) + 1)).mean())

    return statistic
