"""How well the judge finds the first wrong step."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.meta.steps import StepMeasures, measure_steps
from fare_cli.report.model import Column, Plot, Point, Series, Table
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.parts import Part, measures_table

_OFF_BY = "The step that was named less the first wrong one, where both are steps; 0 is right."


def step_parts(cases: Sequence[Case]) -> list[Part]:
    """ProcessBench's measures, and how far off the named steps are."""
    known = [case for case in judged(cases) if case.verdict is not None and case.gold is not None]
    said, gold = [int(str(case.verdict)) for case in known], [int(case.gold or 0) for case in known]
    measures = measure_steps(said, gold, clusters_of(known))
    return [
        measures_table(
            "step",
            "the first wrong step",
            [
                ("F1", measures.f1),
                ("accuracy, a step is wrong", measures.on_erroneous),
                ("accuracy, no step is wrong", measures.on_correct),
                ("whether a step is wrong", measures.detection),
            ],
            "F1: the harmonic mean of the two accuracies (ProcessBench, Zheng et al. 2024). A wrong step is found only "
            "where its very index is named.",
        ),
        *_off_by(measures),
    ]


def _off_by(measures: StepMeasures) -> list[Part]:
    if not measures.off_by and not measures.said_none and not measures.said_one:
        return []
    rows = [(f"{distance:+d}" if distance else "0", count) for distance, count in measures.off_by.items()]
    rows += [
        ("none named, though one is wrong", measures.said_none),
        ("one named, though none is wrong", measures.said_one),
    ]
    points = tuple(Point(distance, count) for distance, count in measures.off_by.items())
    return [
        Table(
            "off-by",
            "how far off the named step is",
            (Column("off", "off by"), Column("records", "records")),
            tuple(rows),
            _OFF_BY,
        ),
        Plot(
            "off-by-plot",
            "how far off the named step is",
            "named less first wrong step",
            "records",
            (Series("records", points, "bars"),),
            note=_OFF_BY,
        ),
    ]
