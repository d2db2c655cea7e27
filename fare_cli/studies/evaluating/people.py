"""The judge among several people."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.meta.alternative_annotator import (
    FEWEST_ANNOTATORS,
    FEWEST_RECORDS,
    AlternativeAnnotatorTest,
    alternative_annotator_test,
)
from fare_cli.meta.annotators import FEWEST_SHARED, Annotations, Label, Level, human_ceiling, measure_agreement
from fare_cli.report.model import Column, Table, Value
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.parts import Part, measures_table

#: What a person costs more than a judge, as the paper advises it for crowd workers, skilled annotators and experts.
_EPSILONS = {0.1: "crowd workers", 0.15: "skilled annotators", 0.2: "experts"}


def people_parts(cases: Sequence[Case]) -> list[Part]:
    """Agreement with people beside that of people among themselves; nothing where fewer than two labelled records."""
    labelled = [case for case in judged(cases) if case.annotations]
    if len({name for case in labelled for name in case.annotations}) < 2:
        return []
    said, people = [case.said for case in labelled], [case.annotations for case in labelled]
    is_score = labelled[0].task == "score"
    level: Level = "interval" if is_score else "nominal"
    found = measure_agreement(said, people, clusters_of(labelled), level=level)
    ceiling = human_ceiling(said, people, clusters_of(labelled), level=level)
    mark = "others' majority" if ceiling.measure == "accuracy" else "others' mean"
    kappa = "kappa (quadratic)" if is_score else "kappa"
    return [
        measures_table(
            "people",
            f"agreement with people ({len(labelled)} records with their labels)",
            [
                (f"{kappa}, judge with a person", found.kappa_judge),
                (f"{kappa}, person with a person", found.kappa_people),
                ("Krippendorff's alpha, people", found.alpha_people),
                ("Krippendorff's alpha, people and judge", found.alpha_with_judge),
                (f"{ceiling.measure}, a person against the {mark}", ceiling.people),
                (f"{ceiling.measure}, the judge against the same", ceiling.judge),
                ("judge less person", ceiling.difference),
            ],
            f"Kappa: Cohen's, the mean over people who share {FEWEST_SHARED} records. A person against the others: "
            "everybody is left out in turn; this is the ceiling that people reach among themselves.",
        ),
        *_alternative(said, people, is_score),
    ]


def _alternative(said: Sequence[Label | None], people: Annotations, numeric: bool) -> list[Part]:
    tests = {
        epsilon: alternative_annotator_test(said, people, epsilon=epsilon, numeric=numeric) for epsilon in _EPSILONS
    }
    rows = [_row(test) for test in tests.values() if test is not None]
    note = (
        "Calderon et al. 2025: whether the judge may stand in for a person. Epsilon is the lead that it is granted for "
        "costing less; it passes where it wins against at least half of the people (one-sided t-tests over records, "
        "adjusted by Benjamini and Yekutieli)."
    )
    if not rows:
        note += f" Not computed: it needs {FEWEST_ANNOTATORS} people with {FEWEST_RECORDS} records each."
    columns = (
        Column("epsilon", "epsilon"),
        Column("for", "advised for"),
        Column("people", "people"),
        Column("winning_rate", "won against"),
        Column("advantage", "as close as a person"),
        Column("passed", "passed"),
    )
    return [Table("alternative-annotator", "alternative annotator test", columns, tuple(rows), note)]


def _row(test: AlternativeAnnotatorTest) -> tuple[Value, ...]:
    return (
        test.epsilon,
        _EPSILONS[test.epsilon],
        len(test.against),
        test.winning_rate,
        test.advantage,
        "yes" if test.passed else "no",
    )
