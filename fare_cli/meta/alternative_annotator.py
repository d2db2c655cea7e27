"""The alternative annotator test (Calderon, Reichart & Dror 2025, ACL, arXiv 2501.10970): may a judge replace people?

Each annotator is left out in turn, and the judge stands in: who is closer to the remaining ones, the judge or the one
left out? The judge passes where it is shown to be as good as at least half of the people, a lead of `epsilon` being
granted to it for what it saves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, ttest_1samp

from fare_cli.meta.annotators import Annotations, Label

#: Annotators without whom nobody can be said to be closer to the others (the paper asks for three).
FEWEST_ANNOTATORS = 3
#: Records that an annotator shares with others and the judge, for the t-test (the paper's rule).
FEWEST_RECORDS = 30
#: The false discovery rate over all annotators.
RATE = 0.05


class Against(NamedTuple):
    """The judge against one annotator.

    `judge_advantage`: the share of records where the judge is at least as close to the others, `person_advantage`:
    where the person is; both where they are equally close. `p_value` of the one-sided t-test that the person leads by
    `epsilon` or more, adjusted by Benjamini & Yekutieli; `won`: the judge is shown not to be so far behind.
    """

    annotator: str
    records: int
    judge_advantage: float
    person_advantage: float
    p_value: float
    won: bool


class AlternativeAnnotatorTest(NamedTuple):
    """`winning_rate`: the share of annotators that the judge won against (the paper's omega); it passes from 1/2 on.

    `advantage`: the mean advantage of the judge, the probability that it is at least as close to the others as a person
    is (rho): by this judges are compared. `left_out`: annotators with too few records.
    """

    epsilon: float
    against: tuple[Against, ...]
    left_out: tuple[str, ...]
    winning_rate: float
    advantage: float

    @property
    def passed(self) -> bool:
        return self.winning_rate >= 0.5


def alternative_annotator_test(
    judge: Sequence[Label | None], people: Annotations, *, epsilon: float, numeric: bool = False
) -> AlternativeAnnotatorTest | None:
    """The test on records that the judge (None: no label) and at least two people labelled.

    `epsilon` is what a person costs more: the paper advises 0.2 for experts, 0.15 for skilled annotators, 0.1 for crowd
    workers. Closeness to the others is the share of them with the same label, or, if `numeric`, minus the root mean
    square of the distances. None with fewer than three annotators of 30 records each. The t-test takes records as
    independent.
    """
    rows = [
        (said, given)
        for said, labels in zip(judge, people, strict=True)
        if said is not None and len(given := {name: one for name, one in labels.items() if one is not None}) > 1
    ]
    names = list(dict.fromkeys(name for _, given in rows for name in given))
    differences = {name: _differences(name, rows, numeric) for name in names}
    tested = [name for name in names if len(differences[name]) >= FEWEST_RECORDS]
    if len(tested) < FEWEST_ANNOTATORS:
        return None
    adjusted = false_discovery_control([_p_value(differences[name], epsilon) for name in tested], method="by")
    against = tuple(
        Against(
            name,
            len(differences[name]),
            judge_advantage=float(np.mean(np.array(differences[name]) <= 0)),
            person_advantage=float(np.mean(np.array(differences[name]) >= 0)),
            p_value=float(p_value),
            won=bool(p_value <= RATE),
        )
        for name, p_value in zip(tested, adjusted, strict=True)
    )
    return AlternativeAnnotatorTest(
        epsilon,
        against,
        tuple(name for name in names if name not in tested),
        winning_rate=sum(one.won for one in against) / len(against),
        advantage=math.fsum(one.judge_advantage for one in against) / len(against),
    )


def _differences(name: str, rows: Sequence[tuple[Label, dict[str, Label]]], numeric: bool) -> list[int]:
    """For each record of this annotator: 1 where the person is closer to the others, -1 where the judge is, else 0."""
    found = []
    for said, given in rows:
        if name in given:
            others = [label for other, label in given.items() if other != name]
            person, judge = (_distance(label, others, numeric) for label in (given[name], said))
            found.append((person < judge) - (person > judge))
    return found


def _distance(label: Label, others: Sequence[Label], numeric: bool) -> float:
    """Orders labels as the paper's scores do, backwards: other labels counted, or the squared distances added up."""
    if numeric:
        return math.fsum((float(label) - float(other)) ** 2 for other in others)
    return sum(label != other for other in others)


def _p_value(differences: Sequence[int], epsilon: float) -> float:
    """Of a lead of the person by `epsilon` or more; without any scatter the mean itself decides."""
    if len(set(differences)) == 1:
        return 0.0 if differences[0] < epsilon else 1.0
    return float(ttest_1samp(differences, epsilon, alternative="less").pvalue)
