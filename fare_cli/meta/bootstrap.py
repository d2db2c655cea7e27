"""Intervals by resampling records: for what has no formula, or whose two sides were measured on the same records."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import DegenerateDataWarning, bootstrap

from fare_cli.meta.agreement import CONFIDENCE, Interval, kappa, proportion

_RESAMPLES = 1000
_SEED = 0


class Estimate(NamedTuple):
    """A value, and where the true one lies with 95% confidence; None where resampling cannot tell."""

    value: float
    interval: Interval | None


def paired_difference(before: Sequence[bool], after: Sequence[bool]) -> Estimate | None:
    """By how much the share of true ones has risen, the records resampled in pairs; None without any.

    Where no record differs there is nothing to resample, and the interval is what Wilson's bound for 0 of n leaves
    open in either direction: no more records can have changed than that.
    """
    differences = np.array(after, float) - np.array(before, float)
    if not differences.size:
        return None
    value = float(differences.mean())
    if np.all(differences == differences[0]):
        open_share = proportion(0, len(differences)).interval.high
        return Estimate(value, Interval(max(value - open_share, -1.0), min(value + open_share, 1.0)))
    found = bootstrap(
        (differences,), np.mean, n_resamples=_RESAMPLES, confidence_level=CONFIDENCE, method="BCa", rng=_SEED
    ).confidence_interval
    return Estimate(value, Interval(float(found.low), float(found.high)))


def kappa_estimate(before: Sequence[str], after: Sequence[str]) -> Estimate | None:
    """Cohen's kappa with a percentile interval over resampled records; None where kappa is not defined.

    The interval is None where some resamples hold one label only.
    """
    value = kappa(before, after)
    if value is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            (np.array(before, object), np.array(after, object)),
            _kappa_or_nan,
            paired=True,
            vectorized=False,
            n_resamples=_RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=_SEED,
        ).confidence_interval
    interval = Interval(float(found.low), float(found.high))
    return Estimate(value, None if any(map(math.isnan, interval)) else interval)


def _kappa_or_nan(before: npt.NDArray[np.object_], after: npt.NDArray[np.object_]) -> float:
    value = kappa(before.tolist(), after.tolist())
    return math.nan if value is None else value
