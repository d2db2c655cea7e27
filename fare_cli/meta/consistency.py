"""Whether a judge tells one story: the same two answers judged as a pair, by score, and each by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate, kappa_estimate
from fare_cli.meta.clusters import Clusters, clustered_proportion, of_those

#: For each pair of answers by how much a protocol prefers A: above 0 A, below 0 B, 0 neither; None: not judged so.
Preferences = Sequence[float | None]


class TwoProtocols(NamedTuple):
    """How two protocols agree on the pairs that both judged.

    `agree`: both prefer the same answer, or both neither. `contradict`: they prefer different answers. `one_neither`:
    one prefers an answer and the other none. The three add up to 1. `kappa`: Cohen's kappa of the three directions,
    which is agreement beyond what two stories with these shares of A, B and neither have by chance; None where both
    have one direction throughout.
    """

    one: str
    other: str
    agree: Proportion
    contradict: Proportion
    one_neither: Proportion
    kappa: Estimate | None


class Consistency(NamedTuple):
    """All protocols two by two, and together.

    `one_story`: all protocols that judged a pair agree on it. `no_contradiction`: no two of them prefer different
    answers, so that neither goes with either. Both of the pairs that every protocol judged.
    """

    between: tuple[TwoProtocols, ...]
    one_story: Proportion
    no_contradiction: Proportion


def measure_consistency(preferences: Mapping[str, Preferences], clusters: Clusters = None) -> Consistency:
    """How often the protocols, by name, tell one story about the same pairs of answers.

    A preference is a number whose sign counts: +1, -1 and 0 for a verdict of a pair, the difference of the two scores,
    or of the two probabilities of yes (which is hardly ever 0: give the difference of the labels to count two answers
    that are both right as neither). Raises ValueError for fewer than two protocols or unequal lengths.
    """
    if len(preferences) < 2 or len({len(given) for given in preferences.values()}) != 1:
        raise ValueError("at least two protocols are compared, on the same pairs of answers")
    signs = {name: [None if one is None else int(np.sign(one)) for one in given] for name, given in preferences.items()}
    together = list(zip(*signs.values(), strict=True))
    judged = [index for index, row in enumerate(together) if None not in row]
    stories = [set(together[index]) for index in judged]
    inside = of_those(judged, clusters)
    return Consistency(
        between=tuple(_two(one, other, signs, clusters) for one, other in combinations(signs, 2)),
        one_story=clustered_proportion([len(story) == 1 for story in stories], inside),
        no_contradiction=clustered_proportion([not {-1, 1} <= story for story in stories], inside),
    )


def _two(one: str, other: str, signs: Mapping[str, Sequence[int | None]], clusters: Clusters) -> TwoProtocols:
    pairs = [
        (index, first, second)
        for index, (first, second) in enumerate(zip(signs[one], signs[other], strict=True))
        if first is not None and second is not None
    ]
    inside = of_those([index for index, _, _ in pairs], clusters)
    first, second = [pair[1] for pair in pairs], [pair[2] for pair in pairs]
    product = [a * b for a, b in zip(first, second, strict=True)]
    same = [a == b for a, b in zip(first, second, strict=True)]
    return TwoProtocols(
        one,
        other,
        agree=clustered_proportion(same, inside),
        contradict=clustered_proportion([value == -1 for value in product], inside),
        one_neither=clustered_proportion(
            [value == 0 and not alike for value, alike in zip(product, same, strict=True)], inside
        ),
        kappa=kappa_estimate([str(a) for a in first], [str(b) for b in second], inside),
    )
