"""How good a judge of right and wrong is. The positive class is "yes": the answer is right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Counts, Estimate, Floats, Statistic, bootstrap
from fare_cli.meta.clusters import Clusters, clustered_proportion, of_those


class Confusion(NamedTuple):
    """How often what was said of what is true: `true_yes` said yes of a right answer, `false_yes` of a wrong one."""

    true_yes: int
    false_yes: int
    false_no: int
    true_no: int


class VerifyMeasures(NamedTuple):
    """Measures of a judge of right and wrong; None where one is not defined.

    `balanced_accuracy`: the mean of the accuracies on right and on wrong answers; 1/2 for whoever says one thing or
    tosses a coin, however many of the answers are right. `precision`: right, of the answers it said yes to. `recall`:
    said yes, of the right answers. `f1` is the harmonic mean of these two. `mcc`: Matthews' correlation coefficient.
    `auroc`: the probability that a right answer got a higher p(yes) than a wrong one, ties counted half; None also
    where no probabilities were given.
    """

    confusion: Confusion
    accuracy: Proportion
    balanced_accuracy: Estimate | None
    precision: Proportion
    recall: Proportion
    f1: Estimate | None
    mcc: Estimate | None
    auroc: Estimate | None


def measure_verify(
    said: Sequence[bool], gold: Sequence[bool], clusters: Clusters = None, *, p_yes: Sequence[float] | None = None
) -> VerifyMeasures:
    """All measures; True is yes. `p_yes` is the judge's probability of yes, for `auroc`."""
    records = len(gold)
    said_yes = [index for index, label in enumerate(said) if label]
    gold_yes = [index for index, label in enumerate(gold) if label]
    right = [bool(one) == bool(other) for one, other in zip(said, gold, strict=True)]
    return VerifyMeasures(
        confusion=Confusion(*map(int, _cells(said, gold).sum(0))),
        accuracy=clustered_proportion(right, clusters),
        balanced_accuracy=bootstrap(balanced_accuracy(said, gold), records, clusters),
        precision=clustered_proportion([bool(gold[index]) for index in said_yes], of_those(said_yes, clusters)),
        recall=clustered_proportion([bool(said[index]) for index in gold_yes], of_those(gold_yes, clusters)),
        f1=bootstrap(f1(said, gold), records, clusters),
        mcc=bootstrap(mcc(said, gold), records, clusters),
        auroc=None if p_yes is None else bootstrap(auroc(p_yes, gold), records, clusters),
    )


def balanced_accuracy(said: Sequence[bool], gold: Sequence[bool]) -> Statistic:
    """The mean of the accuracies on either kind; not defined for gold of one kind."""
    cells = _cells(said, gold)

    def statistic(drawn: Counts) -> float:
        true_yes, false_yes, false_no, true_no = drawn @ cells
        return float(true_yes / (true_yes + false_no) + true_no / (true_no + false_yes)) / 2

    return statistic


def f1(said: Sequence[bool], gold: Sequence[bool]) -> Statistic:
    """The F1 of yes; not defined where nothing is yes on either side."""
    cells = _cells(said, gold)

    def statistic(drawn: Counts) -> float:
        true_yes, false_yes, false_no, _ = drawn @ cells
        return float(2 * true_yes / (2 * true_yes + false_yes + false_no))

    return statistic


def mcc(said: Sequence[bool], gold: Sequence[bool]) -> Statistic:
    """Matthews' correlation coefficient (1975); not defined where one side says one thing throughout."""
    cells = _cells(said, gold)

    def statistic(drawn: Counts) -> float:
        true_yes, false_yes, false_no, true_no = drawn @ cells
        sides = (true_yes + false_yes) * (true_yes + false_no) * (true_no + false_yes) * (true_no + false_no)
        return float((true_yes * true_no - false_yes * false_no) / np.sqrt(sides))

    return statistic


def auroc(values: Sequence[float], gold: Sequence[bool]) -> Statistic:
    """The area under the ROC curve: Mann and Whitney's U by the number of pairs; not defined for gold of one kind."""
    numbers, is_yes = np.array(values, float), np.array(gold, bool)

    def statistic(drawn: Counts) -> float:
        records = np.repeat(np.arange(len(drawn)), drawn)
        positive = is_yes[records]
        yes, no = int(positive.sum()), int((~positive).sum())
        if not yes or not no:
            return math.nan
        return float(rankdata(numbers[records])[positive].sum() - yes * (yes + 1) / 2) / (yes * no)

    return statistic


def _cells(said: Sequence[bool], gold: Sequence[bool]) -> Floats:
    """A row a record with a 1 in the column of its cell, in the order of Confusion."""
    says, is_yes = np.array(said, bool), np.array(gold, bool)
    return np.column_stack([says & is_yes, says & ~is_yes, ~says & is_yes, ~says & ~is_yes]).astype(float)
