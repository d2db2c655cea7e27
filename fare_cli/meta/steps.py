"""How well a judge finds the first wrong step: ProcessBench's measures, and how far off it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Counts, Estimate, Statistic, bootstrap
from fare_cli.meta.clusters import Clusters, clustered_proportion, of_those

#: The label of a solution without a wrong step.
NONE_WRONG = -1


class StepMeasures(NamedTuple):
    """Measures of a judge of steps (ProcessBench, Zheng et al. 2024).

    `on_erroneous`: the first wrong step is named exactly, of the solutions that have one. `on_correct`: no step is
    named, of those that have none. `f1`: the harmonic mean of these two, None without either kind. `detection`: whether
    there is a wrong step is said rightly, wherever it is. `off_by`: named less true index -> count, 0 included, where
    both are steps; `said_none` where there is one and none was named, `said_one` where there is none and one was named.
    """

    on_erroneous: Proportion
    on_correct: Proportion
    f1: Estimate | None
    detection: Proportion
    off_by: dict[int, int]
    said_none: int
    said_one: int


def measure_steps(said: Sequence[int], gold: Sequence[int], clusters: Clusters = None) -> StepMeasures:
    """All measures from 0-based indices of the first wrong step, -1 for none."""
    right = [one == other for one, other in zip(said, gold, strict=True)]
    erroneous = [index for index, label in enumerate(gold) if label != NONE_WRONG]
    correct = [index for index, label in enumerate(gold) if label == NONE_WRONG]
    off_by = Counter(said[index] - gold[index] for index in erroneous if said[index] != NONE_WRONG)
    detected = [(one == NONE_WRONG) == (other == NONE_WRONG) for one, other in zip(said, gold, strict=True)]
    return StepMeasures(
        on_erroneous=clustered_proportion([right[index] for index in erroneous], of_those(erroneous, clusters)),
        on_correct=clustered_proportion([right[index] for index in correct], of_those(correct, clusters)),
        f1=bootstrap(f1(said, gold), len(gold), clusters),
        detection=clustered_proportion(detected, clusters),
        off_by=dict(sorted(off_by.items())),
        said_none=sum(said[index] == NONE_WRONG for index in erroneous),
        said_one=sum(not right[index] for index in correct),
    )


def f1(said: Sequence[int], gold: Sequence[int]) -> Statistic:
    """ProcessBench's F1: the harmonic mean of the accuracies on erroneous and on correct solutions, 0 if one is 0."""
    right, erroneous = np.equal(said, gold), np.not_equal(gold, NONE_WRONG)
    columns = np.column_stack([erroneous & right, erroneous, ~erroneous & right, ~erroneous]).astype(float)

    def statistic(drawn: Counts) -> float:
        found, of_erroneous, passed, of_correct = drawn @ columns
        if not of_erroneous or not of_correct:
            return float("nan")
        first, second = found / of_erroneous, passed / of_correct
        return float(2 * first * second / (first + second)) if first + second else 0.0

    return statistic
