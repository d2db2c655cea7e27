"""What picking the best of n answers is worth: the accuracy of the judge's pick, of a majority and of an oracle."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fare_cli.meta.bootstrap import Estimate, mean

# Of more subsets than this, so many are drawn at random.
_MOST_SUBSETS = 2000


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the answers to a question: whether it is right, the judge's value for it (None where it gave none), and
    its final answer (None where it has none)."""

    right: bool
    value: float | None
    final: str | None = None


class CurvePoint(NamedTuple):
    """Mean accuracy over questions when n answers a question are there.

    `judge` picks the most valued, `majority` an answer with the most frequent final answer (None where there are no
    final answers), `oracle` is right where any is, `random` picks blindly. `gain` is by how much the judge's pick is
    better than the majority's, over the same questions.
    """

    n: int
    judge: Estimate | None
    majority: Estimate | None
    oracle: Estimate | None
    random: Estimate | None
    gain: Estimate | None


def best_of_n(questions: Sequence[Sequence[Candidate]], clusters: Sequence[str] | None = None) -> list[CurvePoint]:
    """The curve for n = 1 up to the fewest answers a question has; empty without questions.

    Each accuracy is the mean over all subsets of n of a question's answers, computed exactly, as pass@k is (Chen et al.
    2021, arXiv 2107.03374), so that no chance enters through which answers came first. For the majority of more than
    2,000 subsets it is the mean over 2,000 of them. Ties are broken evenly. `clusters`: questions that hang together.
    """
    most = min(map(len, questions), default=0)
    voting = any(answer.final is not None for answers in questions for answer in answers)
    points = []
    for n in range(1, most + 1):
        judge = [picked(answers, n) for answers in questions]
        majority = [voted(answers, n) for answers in questions] if voting else None
        gain = None if majority is None else [one - other for one, other in zip(judge, majority, strict=True)]
        points.append(
            CurvePoint(
                n,
                mean(judge, clusters),
                None if majority is None else mean(majority, clusters),
                mean([found(answers, n) for answers in questions], clusters),
                mean([sum(one.right for one in answers) / len(answers) for answers in questions], clusters),
                None if gain is None else mean(gain, clusters),
            )
        )
    return points


def picked(answers: Sequence[Candidate], n: int) -> float:
    """The probability that the most valued of n of the answers is right.

    Of the answers in falling order, the one at index r is the best of comb(total - 1 - r, n - 1) subsets. Answers
    without a value come last; those of equal value are as right as their mean.
    """
    total = len(answers)
    values = {index: -math.inf if one.value is None else one.value for index, one in enumerate(answers)}
    order = sorted(values, key=lambda index: -values[index])
    rightness = [0.0] * total
    for _, group in itertools.groupby(range(total), key=lambda at: values[order[at]]):
        places = list(group)
        share = sum(answers[order[at]].right for at in places) / len(places)
        for at in places:
            rightness[at] = share
    subsets = math.comb(total, n)
    return sum(rightness[at] * math.comb(total - 1 - at, n - 1) for at in range(total)) / subsets


def found(answers: Sequence[Candidate], n: int) -> float:
    """The probability that any of n of the answers is right (pass@n)."""
    wrong = sum(not one.right for one in answers)
    return 1 - math.comb(wrong, n) / math.comb(len(answers), n)


def voted(answers: Sequence[Candidate], n: int) -> float:
    """The probability that a majority vote of n of the answers is right."""
    subsets = _subsets(len(answers), n)
    return sum(_vote([answers[index] for index in subset]) for subset in subsets) / len(subsets)


def _subsets(total: int, n: int) -> list[tuple[int, ...]]:
    if math.comb(total, n) <= _MOST_SUBSETS:
        return list(itertools.combinations(range(total), n))
    draw = random.Random(f"{total}/{n}")
    return [tuple(draw.sample(range(total), n)) for _ in range(_MOST_SUBSETS)]


def _vote(answers: Sequence[Candidate]) -> float:
    """Answers without a final answer do not vote; where none has one, any is taken."""
    votes = Counter(one.final for one in answers if one.final is not None)
    if not votes:
        return sum(one.right for one in answers) / len(answers)
    rights: dict[str, list[bool]] = defaultdict(list)
    for one in answers:
        if one.final is not None:
            rights[one.final].append(one.right)
    winners = [final for final, count in votes.items() if count == max(votes.values())]
    return sum(sum(rights[final]) / len(rights[final]) for final in winners) / len(winners)
