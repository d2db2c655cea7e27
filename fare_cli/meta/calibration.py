"""Whether a judge is right as often as it says: reliability, and scores of its probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fare_cli.meta.agreement import CONFIDENCE, Interval, Proportion
from fare_cli.meta.bootstrap import Counts, Estimate, Floats, Statistic, bootstrap, mean
from fare_cli.meta.clusters import Clusters, clustered_proportion, of_those

Binning = Literal["equal mass", "equal width"]

#: Of equal mass 10 for as long as each has 10 records; of equal width 15, as in Guo et al. 2017.
_MOST_BINS = 10
_PER_BIN = 10
_WIDE_BINS = 15
#: Kept probabilities have 6 digits: what was rounded to 0 was below half of the last.
SMALLEST = 5e-7
_SIMULATIONS = 1000
_SEED = 0


class Bin(NamedTuple):
    """A point of the reliability plot: the records whose confidence is from `low` to `high`."""

    low: float
    high: float
    mean_confidence: float
    accuracy: Proportion


class Calibration(NamedTuple):
    """How far what a judge says of its certainty is from how often it is right.

    `ece`: the expected calibration error, the mean distance of confidence and accuracy over `bins`, by their records.
    Chance alone makes it larger than 0: `ece_if_calibrated` is where 95% of the judges would lie that give these very
    confidences and are right exactly so often (records taken as independent). Chance does so in every resample once
    more, so the interval of `ece` is the basic one, the percentiles mirrored at the value; and it reaches down to 0
    unless the value lies above `ece_if_calibrated`. `overconfidence`: mean confidence less accuracy. `brier`: the mean
    squared distance of confidence and right or wrong (1 or 0).
    """

    binning: Binning
    bins: tuple[Bin, ...]
    ece: Estimate
    ece_if_calibrated: Interval
    overconfidence: Estimate
    brier: Estimate


class ProbabilityScores(NamedTuple):
    """Proper scores of the probabilities of all labels, 0 at best.

    `brier`: the sum over labels of the squared distance to 1 for gold and 0 for others (Brier 1950), so from 0 to 2.
    `log_loss`: minus the log-probability of gold, in nats; a probability that was rounded to 0 counts as 5e-7.
    """

    brier: Estimate
    log_loss: Estimate


def calibration(
    confidences: Sequence[float], right: Sequence[bool], clusters: Clusters = None, *, binning: Binning = "equal mass"
) -> Calibration | None:
    """Calibration of the probability that a judge gives to its own verdict; None without any.

    Bins of equal mass hold as many records each (equal confidences stay together): they are the default, since the
    confidences of a judge crowd in few places, and their error is less biased (Roelofs et al. 2022). Bins of equal
    width are what most papers report. The bins stay as they are where records are resampled.
    """
    sure, hit = np.array(confidences, float), np.array(right, float)
    if len(sure) != len(hit):
        raise ValueError(f"{len(sure)} confidences for {len(hit)} outcomes")
    if not len(sure):
        return None
    which = _bin_numbers(sure, binning)
    members = which[:, None] == np.unique(which)[None, :]
    ece = bootstrap(_ece(sure, hit, members), len(sure), clusters)
    brier, overconfidence = mean((sure - hit) ** 2, clusters), mean(sure - hit, clusters)
    assert ece is not None
    assert brier is not None
    assert overconfidence is not None
    if_calibrated = _ece_if_calibrated(sure, members)
    return Calibration(
        binning,
        tuple(_bin(np.flatnonzero(column), sure, hit, clusters) for column in members.T),
        _mirrored(ece, if_calibrated),
        if_calibrated,
        overconfidence,
        brier,
    )


def score_probabilities(
    probabilities: Sequence[Mapping[str, float]], gold: Sequence[str], clusters: Clusters = None
) -> ProbabilityScores | None:
    """Proper scores of probabilities by label, which sum to 1; a label that is not there has 0. None without any."""
    distances, losses = [], []
    for shares, label in zip(probabilities, gold, strict=True):
        known = shares.get(label, 0.0)
        distances.append(sum(share**2 for share in shares.values()) - known**2 + (1 - known) ** 2)
        losses.append(-float(np.log(max(known, SMALLEST))))
    brier, log_loss = mean(distances, clusters), mean(losses, clusters)
    return None if brier is None or log_loss is None else ProbabilityScores(brier, log_loss)


def _bin_numbers(sure: Floats, binning: Binning) -> Floats:
    """The number of each record's bin; numbers may be missing."""
    if binning == "equal width":
        return np.minimum(np.floor(sure * _WIDE_BINS), _WIDE_BINS - 1)
    bins = max(1, min(_MOST_BINS, len(sure) // _PER_BIN))
    # By how many are below, so that equal confidences fall into one bin.
    below = np.searchsorted(np.sort(sure), sure, side="left")
    return np.floor(below * bins / len(sure))


def _ece(sure: Floats, hit: Floats, members: npt.NDArray[np.bool_]) -> Statistic:
    """The mean over bins of the distance between the mean confidence and the share of hits, weighted by records."""
    gaps = np.where(members, (sure - hit)[:, None], 0.0)
    return lambda drawn: float(np.abs(drawn @ gaps).sum() / drawn.sum())


def _mirrored(found: Estimate, if_calibrated: Interval) -> Estimate:
    if found.interval is None:
        return found
    low, high = (max(2 * found.value - bound, 0.0) for bound in reversed(found.interval))
    return Estimate(found.value, Interval(low if found.value > if_calibrated.high else 0.0, high))


def _ece_if_calibrated(sure: Floats, members: npt.NDArray[np.bool_]) -> Interval:
    """Consistency resampling (Bröcker & Smith 2007): the same confidences, right with exactly these probabilities."""
    random = np.random.default_rng(_SEED)
    found = [
        np.abs((sure - (random.random(len(sure)) < sure)) @ members).sum() / len(sure) for _ in range(_SIMULATIONS)
    ]
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def _bin(records: Counts, sure: Floats, hit: Floats, clusters: Clusters) -> Bin:
    inside = sure[records]
    return Bin(
        float(inside.min()),
        float(inside.max()),
        float(inside.mean()),
        clustered_proportion((hit[records] == 1).tolist(), of_those(records.tolist(), clusters)),
    )
