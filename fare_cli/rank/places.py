"""Places that say no more than is known: systems that are not told apart share theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fare_cli.meta.bootstrap import mean

# Two-sided at 95%, so many questions in a row for the same side: 2 x 0.5^6 is 0.031, 2 x 0.5^5 is 0.063.
_FEWEST_ALIKE = 6


class Places(NamedTuple):
    """From the best to the worst place that a system may have, counted from 1."""

    best: int
    worst: int

    def __str__(self) -> str:
        return str(self.best) if self.best == self.worst else f"{self.best}-{self.worst}"


def places(systems: int, surely_above: Callable[[int, int], bool]) -> list[Places]:
    """For each system how many others are surely above it, and below it."""
    above = [[surely_above(one, other) for other in range(systems)] for one in range(systems)]
    return [
        Places(1 + sum(above[other][one] for other in range(systems)), systems - sum(above[one]))
        for one in range(systems)
    ]


def mean_surely_above(one: Mapping[str, Sequence[float]], other: Mapping[str, Sequence[float]]) -> bool:
    """Whether the mean over the questions that both answered is higher with 95% confidence.

    Values by question. Where every question has the same difference resampling cannot tell, and a sign test does.
    """
    both = [key for key in one if key in other]
    differences = [_mean(one[key]) - _mean(other[key]) for key in both]
    if len(differences) >= _FEWEST_ALIKE and min(differences) > 0:
        return True
    found = mean(differences)
    return found is not None and found.interval is not None and found.interval.low > 0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
