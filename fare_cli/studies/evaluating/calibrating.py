"""A judge's probabilities mended on records with gold, and how good they are on records that the fit has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fare_cli.calibration import Calibration, Isotonic, Mending, Method, Scores, Temperature
from fare_cli.errors import InputError
from fare_cli.meta import recalibration
from fare_cli.meta.bootstrap import FEWEST_CLUSTERS, Estimate, paired_difference
from fare_cli.meta.calibration import Calibration as Reliability
from fare_cli.meta.calibration import ProbabilityScores, calibration, score_probabilities
from fare_cli.report.model import Column, Plot, Point, Series, Table, Value
from fare_cli.report.words import estimate_in_words, number_in_words, range_in_words
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.parts import Part, measures_table
from fare_cli.studies.evaluating.verdict_set import VerdictSet
from fare_cli.verdicts import SMALLEST

#: Right verdicts, and wrong ones, below which nothing is fitted: ten events for each number that is (Peduzzi et al.
#: 1996); the log loss of a judge without a mistake falls for ever as its temperature does.
FEWEST_OF_EACH = 10


class Fitted(NamedTuple):
    """A calibration, and what a report says of it; `warnings` are read first."""

    calibration: Calibration
    parts: list[Part]
    warnings: list[str]


class _Known(NamedTuple):
    """A record to fit on: `label` is the verdict, or the most probable label where the judge gave none."""

    case: Case
    probabilities: Mapping[str, float]
    label: str
    gold: str

    @property
    def is_right(self) -> bool:
        return self.label == self.gold


class _Measured(NamedTuple):
    """Some probabilities of the known records; `reliability` is of those that have a verdict, if any has."""

    probabilities: Sequence[Mapping[str, float]]
    losses: list[float]
    reliability: Reliability | None
    scores: ProbabilityScores


def fit_calibration(sets: Sequence[VerdictSet], method: Method) -> Fitted:
    """A calibration of the one judge that gave all these verdicts of one task, fitted on those with gold.

    Raises InputError for verdicts of several judges or tasks or of a calibrated judge, and for too few right or wrong
    verdicts or too few clusters.
    """
    fingerprint = _one_judge(sets)
    known = [one for verdicts in sets for one in _known(verdicts.cases)]
    _check_enough(known)
    clusters = clusters_of([one.case for one in known])
    folds = recalibration.folds(len(known), clusters)
    fits = [_fit([known[record] for record in fold.fit], method) for fold in folds]
    mended: list[Mapping[str, float]] = [{} for _ in known]
    for fold, fit in zip(folds, fits, strict=True):
        for record in fold.test:
            mended[record] = fit.mended(known[record].probabilities, known[record].label)
    before = _measured(known, [one.probabilities for one in known])
    after = _measured(known, mended)
    made = Calibration(
        task=known[0].case.task,
        judge={**sets[0].identity, "fingerprint": fingerprint},
        mending=_fit(known, method),
        records=len(known),
        clusters=len(set(clusters)),
        folds=len(folds),
        before=_scores(before),
        after=_scores(after),
    )
    gain = paired_difference(before.losses, after.losses, clusters)
    assert gain is not None
    parts = [_comparison(before, after, gain), _fit_table(made, fits), *_plot(before, after)]
    return Fitted(made, parts, _warnings(known, before, after))


def _one_judge(sets: Sequence[VerdictSet]) -> str:
    """Its fingerprint."""
    tasks = {one.task for one in sets}
    if len(tasks) > 1:
        raise InputError(
            f"a calibration is of one task, and these verdicts are of {', '.join(sorted(tasks))}", "calibrate each"
        )
    if any(one.identity.get("calibration") for one in sets):
        raise InputError(
            "these verdicts are calibrated already", "calibrate on verdicts that fare judge gave without --calibration"
        )
    judges = {case.judge for one in sets for case in one.cases if case.invalid is None}
    if len(judges) != 1 or "" in judges:
        named = "that do not say whose they are" if "" in judges else f"of {len(judges)} judges"
        raise InputError(
            f"a calibration is of one judge, and these are verdicts {named}",
            "give verdicts of one judge, or calibrate each",
        )
    return judges.pop()


def _known(cases: Sequence[Case]) -> list[_Known]:
    found = []
    for case in judged(cases):
        gold = case.gold_label
        if case.probabilities and gold is not None and gold in case.probabilities:
            label = case.verdict or max(case.probabilities, key=case.probabilities.__getitem__)
            found.append(_Known(case, case.probabilities, label, gold))
    return found


def _check_enough(known: Sequence[_Known]) -> None:
    right = sum(one.is_right for one in known)
    if min(right, len(known) - right) < FEWEST_OF_EACH:
        raise InputError(
            f"too few records to calibrate on: {right} of {len(known)} labels with gold are right, "
            f"{len(known) - right} wrong; {FEWEST_OF_EACH} of each are needed",
            "give more records with gold; fare review gathers the labels of people",
        )
    clusters = len(set(clusters_of([one.case for one in known])))
    if clusters < FEWEST_CLUSTERS:
        raise InputError(
            f"the records with gold are of {clusters} clusters (groups or questions); {FEWEST_CLUSTERS} are needed",
            "give records of more questions",
        )


def _fit(known: Sequence[_Known], method: Method) -> Mending:
    if method == "temperature":
        found = recalibration.fit_temperature([one.probabilities for one in known], [one.gold for one in known])
        return Temperature(temperature=found)
    line = recalibration.fit_isotonic([one.probabilities[one.label] for one in known], [one.is_right for one in known])
    return Isotonic(said=line.said, right=line.right)


def _measured(known: Sequence[_Known], probabilities: Sequence[Mapping[str, float]]) -> _Measured:
    given = [(one, shares) for one, shares in zip(known, probabilities, strict=True) if one.case.verdict is not None]
    reliability = calibration(
        [shares[one.label] for one, shares in given],
        [one.is_right for one, _ in given],
        clusters_of([one.case for one, _ in given]),
    )
    scores = score_probabilities(probabilities, [one.gold for one in known], clusters_of([one.case for one in known]))
    losses = [-math.log(max(shares[one.gold], SMALLEST)) for one, shares in zip(known, probabilities, strict=True)]
    assert scores is not None
    return _Measured(probabilities, losses, reliability, scores)


def _scores(found: _Measured) -> Scores:
    return Scores(
        ece=None if found.reliability is None else found.reliability.ece.value,
        brier=found.scores.brier.value,
        log_loss=found.scores.log_loss.value,
    )


def _comparison(before: _Measured, after: _Measured, gain: Estimate) -> Table:
    columns = (
        Column("measure", "measure"),
        Column("before", "as the judge says"),
        Column("after", "calibrated, out of fold"),
    )
    rows: list[tuple[str, Estimate | None, Estimate | None]] = [
        ("log loss in nats", before.scores.log_loss, after.scores.log_loss),
        ("log loss, the difference", None, gain),
        ("Brier score of all labels", before.scores.brier, after.scores.brier),
    ]
    note = (
        "Out of fold: every record is mended by a calibration that was fitted without the records of its cluster "
        "(question). Log loss and Brier score are of the probabilities of all labels."
    )
    if before.reliability is not None and after.reliability is not None:
        said, other = before.reliability, after.reliability
        rows += [
            ("ECE, bins of equal mass", said.ece, other.ece),
            ("overconfidence", said.overconfidence, other.overconfidence),
            ("Brier score of the verdict", said.brier, other.brier),
        ]
        given = sum(one.accuracy.of for one in other.bins)
        note += (
            f" ECE and the rows below it are of the confidence of the {given} verdicts that were given; by chance a "
            f"calibrated judge would have an ECE of {range_in_words(other.ece_if_calibrated)}."
        )
    return Table("calibrated", "does calibration mend its probabilities?", columns, tuple(rows), note)


def _fit_table(made: Calibration, fits: Sequence[Mending]) -> Table:
    rows: list[tuple[str, Value]] = [
        ("method", made.mending.method),
        ("records with gold", made.records),
        ("clusters", made.clusters),
        ("folds", made.folds),
        ("fingerprint", made.fingerprint),
    ]
    if isinstance(made.mending, Temperature):
        found = sorted(one.temperature for one in fits if isinstance(one, Temperature))
        rows[1:1] = [
            ("temperature", made.mending.temperature),
            ("in the folds", f"{number_in_words(found[0])} to {number_in_words(found[-1])}"),
        ]
        note = (
            "Log-probabilities are divided by the temperature: above 1 the judge was too sure, below 1 too unsure. "
            "What is more probable stays so, and no verdict changes."
        )
    else:
        rows[1:1] = [("points of the line", len(made.mending.said))]
        note = "The line gives for a confidence how often such verdicts were right. No verdict changes."
    return measures_table("calibration-fit", "the calibration", rows, note)


def _plot(before: _Measured, after: _Measured) -> list[Part]:
    series = tuple(
        Series(
            name,
            tuple(
                Point(one.mean_confidence, one.accuracy.share or 0.0, *one.accuracy.interval)
                for one in found.reliability.bins
            ),
        )
        for name, found in (("as the judge says", before), ("calibrated, out of fold", after))
        if found.reliability is not None
    )
    note = "On the dashed line a judge is right as often as it says; below it it is overconfident."
    title = "accuracy by confidence, before and after calibration"
    return (
        [Plot("calibrated-plot", title, "confidence", "accuracy", series, diagonal=True, note=note)] if series else []
    )


def _warnings(known: Sequence[_Known], before: _Measured, after: _Measured) -> list[str]:
    clusters = clusters_of([one.case for one in known])
    equal = [math.log(len(one.probabilities)) for one in known]
    said = []
    for losses, text in (
        (before.losses, "the calibration is not shown to mend anything"),
        (equal, "what the judge says of its certainty is not shown to be worth more than equal probabilities"),
    ):
        change = paired_difference(losses, after.losses, clusters)
        assert change is not None
        if change.interval is None or change.interval.high >= 0:
            said.append(f"{text}: out of fold, the log loss changes by {estimate_in_words(change)} nats")
    return said
