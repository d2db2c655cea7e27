"""How close the judge's scores are to known ones."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.meta.score import ScoreMeasures, measure_scores
from fare_cli.report.model import Column, Table, Value
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.parts import Part

_NAMES = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "kendall": "Kendall's tau-b",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "bias": "bias (said less gold)",
    "quadratic_kappa": "quadratic kappa",
}


def score_parts(cases: Sequence[Case]) -> list[Part]:
    """A table for each scale: measures of the score that was said, and of the expected one."""
    known = [case for case in judged(cases) if case.gold is not None and case.scale is not None]
    scales = sorted({case.scale for case in known if case.scale is not None})
    return [
        _table([case for case in known if case.scale == scale], scale, name="score" if len(scales) == 1 else None)
        for scale in scales
    ]


def _table(cases: Sequence[Case], scale: tuple[int, int], name: str | None) -> Table:
    low, high = scale
    expected = [case for case in cases if case.expected_score is not None]
    said = [case for case in cases if case.verdict is not None]
    of_label = _measured(said, [float(str(case.verdict)) for case in said])
    of_expected = _measured(expected, [case.expected_score or 0.0 for case in expected])
    rows: list[tuple[Value, ...]] = [
        (words, getattr(of_label, measure), getattr(of_expected, measure)) for measure, words in _NAMES.items()
    ]
    return Table(
        name or f"score-{low}-{high}",
        f"scores from {low} to {high}",
        (Column("measure", "measure"), Column("label", "score as said"), Column("expected", "expected score")),
        (("records", len(said), len(expected)), *rows),
        "The expected score is the mean of the scores weighted by their probabilities. Gold may be fractional (a mean "
        "over people); for kappa it is rounded, halves up.",
    )


def _measured(cases: Sequence[Case], said: Sequence[float]) -> ScoreMeasures:
    return measure_scores(said, [float(case.gold or 0) for case in cases], clusters_of(cases))
