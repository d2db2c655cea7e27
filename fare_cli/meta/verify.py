"""How good a judge of right and wrong is. The positive class is "yes": the answer is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate, Floats, Indices, bootstrap_records, bootstrap_sums
from fare_cli.meta.clusters import Clusters, clustered_proportion, of_those


class Confusion(NamedTuple):
    """How often what was said of what is true: `true_yes` said yes of a right answer, `false_yes` of a wrong one."""

    true_yes: int
    false_yes: int
    false_no: int
    true_no: int


class VerifyMeasures(NamedTuple):
    """Measures of a judge of right and wrong; None where one is not defined.

    `precision`: right, of the answers it said yes to. `recall`: said yes, of the right answers. `f1` is their harmonic
    mean. `mcc`: Matthews' correlation coefficient. `auroc`: the probability that a right answer got a higher p(yes)
    than a wrong one, ties counted half; None also where no probabilities were given.
    """

    confusion: Confusion
    accuracy: Proportion
    precision: Proportion
    recall: Proportion
    f1: Estimate | None
    mcc: Estimate | None
    auroc: Estimate | None


def measure_verify(
    said: Sequence[bool], gold: Sequence[bool], clusters: Clusters = None, *, p_yes: Sequence[float] | None = None
) -> VerifyMeasures:
    """All measures; True is yes. `p_yes` is the judge's probability of yes, for `auroc`."""
    says, is_yes = np.array(said, bool), np.array(gold, bool)
    if len(says) != len(is_yes):
        raise ValueError(f"{len(says)} labels for {len(is_yes)} gold labels")
    cells = np.column_stack([says & is_yes, says & ~is_yes, ~says & is_yes, ~says & ~is_yes])
    said_yes, gold_yes = np.flatnonzero(says).tolist(), np.flatnonzero(is_yes).tolist()
    return VerifyMeasures(
        confusion=Confusion(*map(int, cells.sum(0))),
        accuracy=clustered_proportion((says == is_yes).tolist(), clusters),
        precision=clustered_proportion(is_yes[said_yes].tolist(), of_those(said_yes, clusters)),
        recall=clustered_proportion(says[gold_yes].tolist(), of_those(gold_yes, clusters)),
        f1=bootstrap_sums(_f1, cells, clusters),
        mcc=bootstrap_sums(_mcc, cells, clusters),
        auroc=None if p_yes is None else auroc(p_yes, is_yes, clusters),
    )


def auroc(
    values: Sequence[float], gold: Sequence[bool] | npt.NDArray[np.bool_], clusters: Clusters = None
) -> Estimate | None:
    """The area under the ROC curve, None where gold is all of one kind: Mann and Whitney's U by the number of pairs."""
    numbers, is_yes = np.array(values, float), np.array(gold, bool)

    def area(records: Indices) -> float:
        positive = is_yes[records]
        yes = int(positive.sum())
        no = len(records) - yes
        if not yes or not no:
            return float("nan")
        return float(rankdata(numbers[records])[positive].sum() - yes * (yes + 1) / 2) / (yes * no)

    return bootstrap_records(area, len(numbers), clusters)


def _f1(sums: Floats) -> Floats:
    true_yes, false_yes, false_no, _ = sums.T
    found: Floats = 2 * true_yes / (2 * true_yes + false_yes + false_no)
    return found


def _mcc(sums: Floats) -> Floats:
    true_yes, false_yes, false_no, true_no = sums.T
    product = (true_yes + false_yes) * (true_yes + false_no) * (true_no + false_yes) * (true_no + false_no)
    found: Floats = (true_yes * true_no - false_yes * false_no) / np.sqrt(product)
    return found
