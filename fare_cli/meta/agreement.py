"""How far two judges agree on the same records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import norm
from sklearn.metrics import cohen_kappa_score

#: Of every interval, unless another one was asked for.
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """Where the true value lies, with 95% confidence unless another one was asked for."""

    low: float
    high: float


class Proportion(NamedTuple):
    """`cases` of `of`, with Wilson's interval for the share: it holds its confidence for small counts, 0 included."""

    cases: int
    of: int
    interval: Interval

    @property
    def share(self) -> float | None:
        """None of nothing."""
        return self.cases / self.of if self.of else None


class Shift(NamedTuple):
    """The mean of differences, and of their sizes."""

    signed: float
    absolute: float


def proportion(cases: int, of: int, confidence: float = CONFIDENCE) -> Proportion:
    """`cases` of `of`; of nothing the share can be anything."""
    if not of:
        return Proportion(0, 0, Interval(0.0, 1.0))
    return Proportion(cases, of, wilson(cases / of, of, confidence))


def wilson(share: float, of: float, confidence: float = CONFIDENCE) -> Interval:
    """The score interval of Wilson 1927 for a share of `of` independent records.

    `of` may be fractional: so many independent records as clustered ones are worth.
    """
    z_squared = float(norm.ppf((1 + confidence) / 2)) ** 2
    middle = share + z_squared / (2 * of)
    reach = math.sqrt(z_squared * (share * (1 - share) + z_squared / (4 * of)) / of)
    # Rounding leaves 1e-17 where the bound is 0.
    low = 0.0 if share == 0 else (middle - reach) / (1 + z_squared / of)
    high = 1.0 if share == 1 else (middle + reach) / (1 + z_squared / of)
    return Interval(low, high)


def kappa(before: Sequence[str], after: Sequence[str]) -> float | None:
    """Cohen's kappa: agreement beyond what the two would have by chance; 1 is full, 0 is none.

    None where both said one and the same label throughout (or nothing): then chance alone agrees fully.
    """
    if len({*before, *after}) < 2:
        return None
    value = float(cohen_kappa_score(list(before), list(after)))
    return None if math.isnan(value) else value


def shift(before: Sequence[float], after: Sequence[float]) -> Shift | None:
    """How numbers have moved, record by record; None without any."""
    if not before:
        return None
    differences = [other - one for one, other in zip(before, after, strict=True)]
    return Shift(
        math.fsum(differences) / len(differences),
        math.fsum(abs(difference) for difference in differences) / len(differences),
    )


def records_needed(limit: float) -> int:
    """The fewest records that can show a share to be at most `limit`: with no case at all among them.

    Wilson's upper bound for 0 of n is z^2 / (n + z^2), solved for n.
    """
    z_squared = float(norm.ppf((1 + CONFIDENCE) / 2)) ** 2
    return math.ceil(z_squared * (1 - limit) / limit)
