"""Strengths of systems from comparisons of two, with intervals, on the Elo scale. The model is that of `davidson`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtr, softmax
from scipy.stats import norm

from fare_cli.meta.agreement import CONFIDENCE, Interval
from fare_cli.meta.bootstrap import Estimate, expanded_interval, resamples
from fare_cli.meta.clusters import cluster_numbers
from fare_cli.rank.davidson import ELO, Comparison, Floats, Model

#: Where the mean of all systems lies on the Elo scale.
MEAN_ELO = 1000.0
#: Standard errors to either side of a 95% interval.
QUANTILE = float(norm.ppf((1 + CONFIDENCE) / 2))


@dataclass(frozen=True, slots=True)
class Strengths:
    """Strengths of systems, in nats around their mean, and what is known of their order.

    `covariance` is that of the model for differences (inverse information, so for independent comparisons), `draws`
    (resamples, systems) are strengths of resampled questions. An interval is never narrower than either says:
    resampling knows that comparisons of one question hang together, but not that a system which won three of three may
    lose the fourth.
    `first_position` is by how much being shown first helps, in Elo; None where it was not estimated.
    """

    systems: tuple[str, ...]
    nats: Floats
    covariance: Floats
    draws: Floats
    clusters: int
    tie: float | None
    first_position: Estimate | None

    @property
    def order(self) -> list[int]:
        """Indices of the systems, the strongest first; equal ones as they were given."""
        return [int(index) for index in np.argsort(-self.nats, kind="stable")]

    def elo(self, index: int) -> Estimate:
        """A system's strength on the Elo scale, the mean of all at 1,000."""
        weights = np.full(len(self.systems), -1 / len(self.systems))
        weights[index] += 1.0
        found = self._contrast(weights)
        interval = found.interval and Interval(found.interval.low + MEAN_ELO, found.interval.high + MEAN_ELO)
        return Estimate(found.value + MEAN_ELO, interval)

    def difference(self, one: int, other: int) -> Estimate:
        """By how many Elo points the first is ahead of the second."""
        return self._contrast(self._between(one, other))

    def above(self, one: int, other: int) -> float:
        """The probability that the first is stronger: the less sure of what resampling and the model say."""
        weights = self._between(one, other)
        value = float(weights @ self.nats)
        modelled = float(ndtr(value / math.sqrt(weights @ self.covariance @ weights)))
        moved = self.draws @ weights
        drawn = float(np.mean(moved > 0) + np.mean(moved == 0) / 2) if len(moved) else modelled
        return 0.5 if (modelled - 0.5) * (drawn - 0.5) <= 0 else min((modelled, drawn), key=lambda p: abs(p - 0.5))

    def surely_above(self, one: int, other: int) -> bool:
        """Whether the 95% interval of the difference lies above 0."""
        interval = self.difference(one, other).interval
        return interval is not None and interval.low > 0

    def _between(self, one: int, other: int) -> Floats:
        weights = np.zeros(len(self.systems))
        weights[one], weights[other] = 1.0, -1.0
        return weights

    def _contrast(self, weights: Floats) -> Estimate:
        value = float(weights @ self.nats)
        reach = QUANTILE * math.sqrt(max(float(weights @ self.covariance @ weights), 0.0))
        return _widest(value, reach, self.draws @ weights, self.clusters)


def fit(
    systems: Sequence[str],
    comparisons: Sequence[Comparison],
    *,
    first_position: bool = False,
    intervals: bool = True,
) -> Strengths:
    """The most probable strengths of `systems`, with intervals from resampled clusters (without, those of the model).

    `first_position` puts that term into the model; without it the order in which the two were shown has no say. Raises
    ValueError for a comparison of a system that is not named, or of one with itself. Systems that no chain of
    comparisons connects get strengths too, which say nothing of one another: look at `components` first.
    """
    if not systems:
        raise ValueError("no systems to rank")
    model = Model.of(systems, comparisons, first_position)
    numbers = cluster_numbers([one.cluster for one in comparisons], len(comparisons))
    clusters = int(numbers.max()) + 1 if len(numbers) else 0
    by_cluster = model.counts(comparisons, numbers, clusters)
    parameters = model.solve(by_cluster.sum(0)[None])[0]
    drawn = np.empty((0, len(parameters)))
    if intervals and clusters > 1:
        weights = np.array(list(resamples(clusters)), float)
        drawn = model.solve_all(weights, by_cluster, parameters)
    inverse = np.linalg.inv(model.information(parameters[None], by_cluster.sum(0)[None])[0])
    size = len(systems)
    place = None
    if first_position:
        reach = QUANTILE * math.sqrt(inverse[-1, -1])
        place = _widest(float(parameters[-1]), reach, drawn[:, -1], clusters)
    return Strengths(
        systems=tuple(systems),
        nats=parameters[:size] - parameters[:size].mean(),
        covariance=inverse[:size, :size],
        draws=drawn[:, :size],
        clusters=clusters,
        tie=float(parameters[size]) if model.ties else None,
        first_position=place,
    )


def components(systems: Sequence[str], comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """The systems in parts that comparisons connect, the largest part first. Only inside a part is there an order."""
    codes = {system: code for code, system in enumerate(systems)}
    ends = [(codes[one.first], codes[one.second]) for one in comparisons]
    firsts, seconds = zip(*ends, strict=True) if ends else ((), ())
    graph = coo_array((np.ones(len(ends)), (firsts, seconds)), shape=(len(systems), len(systems)))
    _, labels = connected_components(graph, directed=False)
    parts: dict[int, list[str]] = {}
    for system, label in zip(systems, labels, strict=True):
        parts.setdefault(int(label), []).append(system)
    return sorted(map(tuple, parts.values()), key=len, reverse=True)


def information(strengths: Strengths, one: int, other: int) -> float:
    """Fisher information (nats^-2) of one more comparison of two systems about their difference.

    It is the variance of the points (1, 1/2 for a tie, 0) that the first would make.
    """
    d, t = float(strengths.nats[one] - strengths.nats[other]), strengths.tie
    shares = softmax([d / 2, -d / 2] if t is None else [d / 2, -d / 2, t])
    points = np.array([1.0, 0.0, 0.5])[: len(shares)]
    return float(shares @ points**2 - (shares @ points) ** 2)


def _widest(value: float, reach: float, drawn: Floats, clusters: int) -> Estimate:
    """The union of a model's interval and that of resampling, in Elo."""
    low, high = value - reach, value + reach
    resampled = expanded_interval(drawn, clusters) if len(drawn) else None
    if resampled is not None:
        low, high = min(low, resampled.low), max(high, resampled.high)
    return Estimate(value * ELO, Interval(low * ELO, high * ELO))
