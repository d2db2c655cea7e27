"""Whether the judge is right as often as it says, and how right it is where it is sure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fare_cli.meta.calibration import Calibration, calibration, score_probabilities
from fare_cli.meta.coverage import Coverage, coverage_curve
from fare_cli.report.model import Column, Plot, Point, Series, Table
from fare_cli.report.words import range_in_words
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.parts import Part, measures_table

_LEVELS = (0.5, 0.7, 0.8, 0.9, 1.0)


def certainty_parts(cases: Sequence[Case]) -> list[Part]:
    """Calibration of the probability that the judge gives to its own verdict, and accuracy by coverage."""
    return [*calibration_parts(cases), *_coverage_parts(cases)]


def calibration_parts(cases: Sequence[Case]) -> list[Part]:
    """Whether the judge is right as often as it is sure."""
    scored = _scored(cases)
    sure = [case for case in scored if case.confidence is not None]
    if not sure:
        return []
    confidences, right = [case.confidence or 0.0 for case in sure], [bool(case.correct) for case in sure]
    clusters = clusters_of(sure)
    found = calibration(confidences, right, clusters)
    wide = calibration(confidences, right, clusters, binning="equal width")
    assert found is not None
    assert wide is not None
    return _calibration(found, wide, scored)


def _coverage_parts(cases: Sequence[Case]) -> list[Part]:
    scored = _scored(cases)
    given = sum(case.confidence is not None for case in scored)
    if not given:
        return []
    curve = coverage_curve(
        [case.confidence for case in scored], [bool(case.correct) for case in scored], clusters_of(scored)
    )
    assert curve is not None
    return _coverage(curve, given)


def _scored(cases: Sequence[Case]) -> list[Case]:
    return [case for case in judged(cases) if case.correct is not None]


def _calibration(found: Calibration, wide: Calibration, scored: Sequence[Case]) -> list[Part]:
    labelled = [case for case in scored if case.probabilities and case.gold_label is not None]
    proper = score_probabilities(
        [case.probabilities or {} for case in labelled],
        [case.gold_label or "" for case in labelled],
        clusters_of(labelled),
    )
    chance, is_score = found.ece_if_calibrated, scored[0].task == "score"
    bins = tuple((f"{one.low:.3f} to {one.high:.3f}", one.mean_confidence, one.accuracy) for one in found.bins)
    points = tuple(Point(one.mean_confidence, one.accuracy.share or 0.0, *one.accuracy.interval) for one in found.bins)
    return [
        measures_table(
            "calibration",
            "is it right as often as it says?",
            [
                ("ECE, bins of equal mass", found.ece),
                ("ECE, 15 bins of equal width", wide.ece),
                ("overconfidence", found.overconfidence),
                ("Brier score of the verdict", found.brier),
                ("Brier score of all labels", None if proper is None else proper.brier),
                ("log loss in nats", None if proper is None else proper.log_loss),
            ],
            "ECE: the mean distance of confidence and accuracy over bins (Guo et al. 2017). A judge that is calibrated "
            f"perfectly and gives these very confidences would have {range_in_words(chance)} by "
            "chance (equal mass). Overconfidence: mean confidence less accuracy. Undecided records have no confidence."
            + " A score is right where it is gold; records of which gold is no whole score are left out."
            * is_score,
        ),
        Table(
            "reliability",
            "accuracy by confidence",
            (Column("confidence", "confidence"), Column("mean", "mean"), Column("accuracy", "right")),
            bins,
            "Bins of equal mass.",
        ),
        Plot(
            "reliability-plot",
            "accuracy by confidence",
            "confidence",
            "accuracy",
            (Series("verdicts", points),),
            diagonal=True,
            note="On the dashed line a judge is right as often as it says; below it it is overconfident.",
        ),
    ]


def _coverage(curve: Coverage, given: int) -> list[Part]:
    rows = []
    for level in _LEVELS:
        # Verdicts of one confidence are given or withheld together.
        point = next(point for point in curve.points if point.accuracy.of >= math.ceil(level * given))
        rows.append((f"{level:.0%}", point.threshold, point.accuracy.of, point.accuracy))
    points = tuple(
        Point(point.coverage, point.accuracy.share or 0.0, *point.accuracy.interval) for point in curve.points
    )
    note = (
        "The least sure verdicts are withheld first, those of one confidence together. "
        f"Area under the risk-coverage curve: {curve.aurc.value:.3f}; of a judge whose confidence says nothing: "
        f"{curve.error:.3f} (Geifman & El-Yaniv 2017)."
    )
    return [
        Table(
            "coverage",
            "how right where unsure verdicts are withheld",
            (
                Column("given", "verdicts given"),
                Column("confidence", "confidence from"),
                Column("records", "records"),
                Column("accuracy", "right"),
            ),
            tuple(rows),
            note,
        ),
        Plot(
            "coverage-plot",
            "accuracy by coverage",
            "share of the records that get a verdict",
            "accuracy of these",
            (Series("verdicts", points, "line"),),
            note=note,
        ),
    ]
