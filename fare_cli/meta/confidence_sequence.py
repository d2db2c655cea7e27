"""Intervals that may be looked at after every record: what a run that stops as soon as it is sure must decide by.

An ordinary interval holds for one look. Whoever looks again and again and stops when it clears a threshold is wrong far
more often than it says: of fair coins, watched by Wilson's 95% interval over 400 throws, 48% look unfair at
some time. A confidence sequence holds at all times at once: with its confidence, the true mean lies in all of its
intervals, whenever one stops.

This one is the hedged capital process of Waudby-Smith & Ramdas (2024, JRSS B 86:1, theorem 3, with the bets of their
equation 26): for every possible mean two gamblers bet against it, that it is larger and that it is smaller, with stakes
that depend on the past alone. Against the true mean neither gains on average, so one that has multiplied its money by
2 / (1 - confidence) says that the mean is another one (Ville's inequality). The authors' package, confseq, has had no
release since 2023, needs a C++ compiler and Boost, and knows no weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fare_cli.meta.agreement import CONFIDENCE, Interval

# Possible means 0.001 apart; the bounds that are given lie on them, on the far side.
_GRID = 1001
# The share of its money that a gambler stakes at most.
_MOST_STAKED = 0.5


class ConfidenceSequence:
    """The mean of observations between 0 and 1, and where the true one lies, at any time.

    An observation is a cluster of records: its mean, weighted by its part of the largest cluster there can be (1 for
    all where clusters are of one size). What is estimated is the mean over records, sum of weight x value over sum of
    weights, as `meta.clusters` has it. Clusters must come in an order that has nothing to do with what they hold, and
    their largest size must be known before: shuffle them first.

    `thresholds` are values between 0 and 1 that decisions are taken at, on top of every 0.001: about them the interval
    is as narrow as it can be. An observation costs about 90 us.
    """

    def __init__(self, confidence: float = CONFIDENCE, thresholds: Sequence[float] = ()) -> None:
        self._means = np.unique(np.append(np.linspace(0.0, 1.0, _GRID), thresholds))
        self._wealth_wanted = math.log(2 / (1 - confidence))
        self._larger = np.zeros_like(self._means)
        self._smaller = np.zeros_like(self._means)
        with np.errstate(divide="ignore"):
            self._most_on_larger = _MOST_STAKED / self._means
            self._most_on_smaller = _MOST_STAKED / (1 - self._means)
        self._interval = Interval(0.0, 1.0)
        self._weights = self._sum = 0.0
        # Half an observation's worth of each end, so that the first bets are not made on nothing.
        self._squares = 0.25
        self.observations = 0

    @property
    def mean(self) -> float | None:
        """Of what came so far; None before the first."""
        return self._sum / self._weights if self._weights else None

    @property
    def interval(self) -> Interval:
        """Where the true mean lies: the intersection of all intervals so far. Neither end belongs to it."""
        return self._interval

    def add(self, value: float, weight: float = 1.0) -> Interval:
        """Takes an observation, and gives the interval. Raises ValueError for what is not between 0 and 1."""
        if not (0 <= value <= 1 and 0 < weight <= 1):
            raise ValueError(f"an observation of {value} with weight {weight}: both must be between 0 and 1")
        self.observations += 1
        stake = self._stake()
        gain = weight * (value - self._means)
        self._larger += np.log1p(np.minimum(stake, self._most_on_larger) * gain)
        self._smaller += np.log1p(-np.minimum(stake, self._most_on_smaller) * gain)
        self._learn(value, weight)
        return self._narrowed()

    def _stake(self) -> float:
        """By the past alone: the less it scatters, the more is staked."""
        variance = self._squares / self.observations
        time = self.observations * math.log(1 + self.observations)
        return math.sqrt(2 * self._wealth_wanted / (variance * time))

    def _learn(self, value: float, weight: float) -> None:
        self._weights += weight
        self._sum += weight * value
        centre = (0.5 + self._sum) / (1 + self._weights)
        self._squares += (weight * (value - centre)) ** 2

    def _narrowed(self) -> Interval:
        # Wealth from betting on "larger" falls with the mean that is bet against, and the other way round.
        too_small = self._means[self._larger >= self._wealth_wanted]
        too_large = self._means[self._smaller >= self._wealth_wanted]
        low = max(self._interval.low, float(too_small[-1]) if too_small.size else 0.0)
        high = min(self._interval.high, float(too_large[0]) if too_large.size else 1.0)
        # No mean is left in 1 - confidence of all cases at most: then what was known before stands.
        if low < high:
            self._interval = Interval(low, high)
        return self._interval
