"""Which pairs to ask next, so that few comparisons order many systems.

In rounds. After each, strengths are fitted to what is known. Of the pairs that are left, the one is taken whose answer
would shrink the intervals that still hide an order most, then the next as if that had been given, until the round is
full. With the model's covariance S of the strengths, a comparison of i and j, x = e_i - e_j, with Fisher information w
(the variance of its points) leaves

    S - w S x x' S / (1 + w x' S x)

so what it does to the standard error of every difference is known before it is asked. Chatbot Arena chooses by the same
shrinking (Chiang et al. 2024, arXiv 2403.04132), Crowd-BT (Chen et al. 2013) by the information gained, both about
strengths as such. Here only differences count that are not decided yet, and that the pairs which are left could decide:
each by the share of its standard error that goes. To count undecided neighbours alone ordered worse than random pairs
at first, since the order that makes them neighbours is not known yet; to weigh differences by the density of their
being 0 made no difference (both tried with benchmarks/pairing.py). Before anything is known all differences count, so
the first round takes in every system.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.special import ndtr

from fare_cli.rank.bradley_terry import Strengths, fit, information
from fare_cli.rank.contests import Contest, Pair, comparisons_of, one_order_only
from fare_cli.rank.davidson import Comparison, Floats
from fare_cli.verdicts import Verdict

# A round is large enough to keep an engine busy and to share prompts, and small enough to learn from.
_SMALLEST_ROUND, _LARGEST_ROUND, _ROUNDS = 16, 256, 20
_FUTILE = 0.05
# Standard errors that two systems must lie apart to count as told apart. Looking after every round gives chance an
# occasion each time; with Pocock's bound for 20 looks (1977, Biometrika 64:191) they have 5% together. With 1.96, two
# equal systems were told apart in 10 of 60 rankings of 400 pairs, with the bound in 2.
_APART = 2.672

Ask = Callable[[Sequence[Pair]], Sequence[Verdict]]
Reason = Literal["separated", "hopeless", "budget", "all asked"]


@dataclass(frozen=True, slots=True)
class RoundsSoFar:
    """How far an adaptive ranking is: pairs asked of all, and the undecided of the neighbours."""

    round: int
    asked: int
    pairs: int
    undecided: int
    neighbours: int


@dataclass(slots=True)
class Asked:
    """What an adaptive ranking has asked: the pairs in the order of asking with their verdicts, and why it ended."""

    pairs: list[Pair] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    rounds: int = 0
    reason: Reason = "all asked"

    def comparisons(self) -> list[Comparison]:
        """What all verdicts say of the systems."""
        return [
            one
            for pair, verdict in zip(self.pairs, self.verdicts, strict=True)
            for one in comparisons_of(pair, verdict)
        ]

    @property
    def first_position(self) -> bool:
        """Whether strengths need the term for who was shown first."""
        return one_order_only(self.verdicts)


def round_size(systems: int, pairs: int) -> int:
    """Pairs in a round: a twentieth of all, at least 16 and one for each system, at most 256."""
    return max(systems, _SMALLEST_ROUND, min(pairs // _ROUNDS, _LARGEST_ROUND))


def ask_in_rounds(
    systems: Sequence[str],
    pairs: Sequence[Pair],
    ask: Ask,
    *,
    known: Sequence[Comparison] = (),
    max_pairs: int | None = None,
    seed: int = 0,
    say: Callable[[RoundsSoFar], None] = lambda _so_far: None,
) -> Asked:
    """Asks pairs until all neighbours in the order are told apart at 95%, or the rest of the pairs has a chance of less
    than 5% of telling any of the others apart, or `max_pairs` are asked.

    `known` are comparisons that need no judge. The same pairs, seed and verdicts give the same rounds. Neighbours count
    as told apart by Pocock's bound, since there is a look after every round; the intervals of a report are for one
    look.
    """
    draw = random.Random(seed)
    names = draw.sample(list(systems), len(systems))
    chooser = _Chooser(names, pairs, draw)
    budget = len(pairs) if max_pairs is None else min(max_pairs, len(pairs))
    done = Asked()
    while True:
        strengths = fit(names, [*known, *done.comparisons()], first_position=done.first_position)
        undecided = undecided_neighbours(strengths)
        say(RoundsSoFar(done.rounds, len(done.pairs), len(pairs), len(undecided), len(systems) - 1))
        power = chooser.power(strengths)
        hopeful = [pair for pair in undecided if power[pair] >= _FUTILE]
        left = min(budget - len(done.pairs), round_size(len(systems), len(pairs)))
        if not undecided or not hopeful or left == 0:
            done.reason = _reason(undecided, hopeful, chooser.left)
            return done
        chosen = chooser.take(strengths, power, left)
        done.pairs += chosen
        done.verdicts += ask(chosen)
        done.rounds += 1


def undecided_neighbours(strengths: Strengths) -> list[tuple[int, int]]:
    """Neighbours in the order of strength that the intervals do not tell apart, by their indices."""
    order = strengths.order
    return [pair for pair in itertools.pairwise(order) if not _told_apart(strengths, *pair)]


def _told_apart(strengths: Strengths, one: int, other: int) -> bool:
    """Whether one of two systems is surely the stronger, however often was looked."""
    if not (strengths.surely_above(one, other) or strengths.surely_above(other, one)):
        return False
    variance = _variances(strengths.covariance)[one, other]
    return bool(abs(strengths.nats[one] - strengths.nats[other]) >= _APART * np.sqrt(variance))


def _reason(undecided: list[tuple[int, int]], hopeful: list[tuple[int, int]], left: int) -> Reason:
    if not undecided:
        return "separated"
    if not left:
        return "all asked"
    return "budget" if hopeful else "hopeless"


class _Chooser:
    """The pairs that were not asked yet, by the contests they decide."""

    def __init__(self, names: Sequence[str], pairs: Sequence[Pair], draw: random.Random) -> None:
        self._codes = {name: code for code, name in enumerate(names)}
        self._seen: Counter[str] = Counter()
        self._rank = {id(pair): draw.random() for pair in pairs}
        self._open: dict[tuple[Contest, ...], list[Pair]] = defaultdict(list)
        for pair in pairs:
            self._open[tuple(sorted(map(_unordered, pair.contests)))].append(pair)
        self.left = len(pairs)

    def power(self, strengths: Strengths) -> Floats:
        """(systems, systems): the chance that two systems are told apart once all pairs that are left are asked: the
        predictive power of Spiegelhalter et al. 1986 (Controlled Clinical Trials 7:8)."""
        more = np.linalg.inv(strengths.covariance)
        for contests, pairs in self._open.items():
            for one, other in self._indices(contests):
                weight = information(strengths, one, other) * sum(pair.weight for pair in pairs) / len(contests)
                more[one, one] += weight
                more[other, other] += weight
                more[one, other] -= weight
                more[other, one] -= weight
        now, then = _variances(strengths.covariance), _variances(np.linalg.inv(more))
        bar, spread = _APART * np.sqrt(then), np.sqrt(np.maximum(now - then, 1e-12))
        apart = strengths.nats[:, None] - strengths.nats[None, :]
        found: Floats = ndtr((apart - bar) / spread) + ndtr((-apart - bar) / spread)
        return found

    def take(self, strengths: Strengths, power: Floats, count: int) -> list[Pair]:
        """The next round, pairs of one question together."""
        size = len(self._codes)
        covariance = strengths.covariance.copy()
        fisher = np.array([[information(strengths, one, other) for other in range(size)] for one in range(size)])
        undecided = [
            (one, other)
            for one in range(size)
            for other in range(one)
            if power[one, other] >= _FUTILE and not _told_apart(strengths, one, other)
        ]
        chosen: list[Pair] = []
        while len(chosen) < count and self._open:
            gains = _gains(covariance, fisher, undecided)
            best = max(self._open, key=lambda contests: self._mean_gain(gains, contests))
            pair = min(self._open[best], key=lambda one: (self._seen[one.cluster], self._rank[id(one)]))
            self._remove(best, pair)
            chosen.append(pair)
            for one, other in self._indices(best):
                covariance = _updated(covariance, fisher[one, other] * pair.weight / len(best), one, other)
        return sorted(chosen, key=lambda pair: pair.cluster)

    def _mean_gain(self, gains: Floats, contests: tuple[Contest, ...]) -> float:
        return sum(float(gains[one, other]) for one, other in self._indices(contests)) / len(contests)

    def _remove(self, contests: tuple[Contest, ...], pair: Pair) -> None:
        self._open[contests].remove(pair)
        if not self._open[contests]:
            del self._open[contests]
        self._seen[pair.cluster] += 1
        self.left -= 1

    def _indices(self, contests: tuple[Contest, ...]) -> list[tuple[int, int]]:
        return [(self._codes[one], self._codes[other]) for one, other in contests]


def _unordered(contest: Contest) -> Contest:
    return contest if contest[0] < contest[1] else (contest[1], contest[0])


def _gains(covariance: Floats, fisher: Floats, undecided: list[tuple[int, int]]) -> Floats:
    """(systems, systems): what comparing two is worth, the sum over undecided differences of the share of the standard
    error that goes."""
    ones, others = (list(ends) for ends in zip(*undecided, strict=True))
    variances = _variances(covariance)
    moved = covariance[ones] - covariance[others]
    shared = (moved[:, :, None] - moved[:, None, :]) ** 2
    left = 1 - fisher * shared / (1 + fisher * variances) / variances[ones, others][:, None, None]
    found: Floats = (1 - np.sqrt(np.maximum(left, 0.0))).sum(0)
    return found


def _variances(covariance: Floats) -> Floats:
    diagonal = np.diag(covariance)
    found: Floats = np.maximum(diagonal[:, None] + diagonal[None, :] - 2 * covariance, 1e-12)
    return found


def _updated(covariance: Floats, weight: float, one: int, other: int) -> Floats:
    column = covariance[:, one] - covariance[:, other]
    found: Floats = covariance - weight * np.outer(column, column) / (1 + weight * (column[one] - column[other]))
    return found
