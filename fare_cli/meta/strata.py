"""The mean of figures of several groups of records, each group weighing the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fare_cli.meta.agreement import Interval, Proportion
from fare_cli.meta.bootstrap import Estimate


def mean_of_strata(figures: Sequence[Proportion | Estimate]) -> Estimate | None:
    """The mean with an interval recovered from those of the figures; None where there is none, or a share of nothing.

    The variance on either side is taken from the distance to each figure's own bound (MOVER; Zou & Donner 2008,
    Statistics in Medicine 27:1693), so that small groups with a share of 0 or 1 are not taken for certain, as they are
    where records are resampled. The groups must not share records of one cluster. The interval is None where that of a
    figure is.
    """
    values = [one.share if isinstance(one, Proportion) else one.value for one in figures]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    middle = math.fsum(known) / len(known)
    bounds = [one.interval for one in figures if one.interval is not None]
    if len(bounds) < len(known):
        return Estimate(middle, None)
    pairs = list(zip(known, bounds, strict=True))
    below = math.sqrt(math.fsum((value - bound.low) ** 2 for value, bound in pairs)) / len(known)
    above = math.sqrt(math.fsum((bound.high - value) ** 2 for value, bound in pairs)) / len(known)
    return Estimate(middle, Interval(middle - below, middle + above))
