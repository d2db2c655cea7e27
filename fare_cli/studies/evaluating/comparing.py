"""Two judges on the same records: a paired test."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.meta import score
from fare_cli.meta.bootstrap import Estimate, Statistic, paired_difference
from fare_cli.meta.paired import compare_right, difference
from fare_cli.report.model import Value
from fare_cli.studies.evaluating.case import Case, clusters_of
from fare_cli.studies.evaluating.headline import ACCURACY, PEARSON, Headline, measure
from fare_cli.studies.evaluating.parts import Part, measures_table
from fare_cli.studies.same_records import Joined, compare


def headline_difference(headline: Headline, joined: Joined) -> Estimate | None:
    """By how much the second judge's headline figure is above the first one's, on the records that both could judge;
    None where it is not defined."""
    before, after = _sides(headline, joined.judged)
    if not before:
        return None
    clusters, is_right = clusters_of(before), headline.is_right
    if is_right is not None:
        return paired_difference([is_right(case) for case in before], [is_right(case) for case in after], clusters)
    return difference(headline.statistic(before), headline.statistic(after), len(before), clusters)


def _sides(headline: Headline, pairs: Sequence[tuple[Case, Case]]) -> tuple[list[Case], list[Case]]:
    """Of the pairs that count on both sides, those of the first judge and those of the second."""
    counting = [pair for pair in pairs if headline.counts(pair[0]) and headline.counts(pair[1])]
    return [before for before, _ in counting], [after for _, after in counting]


def comparison_parts(headline: Headline, joined: Joined, names: tuple[str, str]) -> list[Part]:
    """The headline figure of both judges on their common records, its difference, and the test."""
    sides = _sides(headline, joined.judged)
    rows: list[tuple[str, Value]] = [
        ("records", len(joined.judged)),
        *_differing(joined.judged),
        (f"{headline.name}, {names[0]}", measure(headline, sides[0])),
        (f"{headline.name}, {names[1]}", measure(headline, sides[1])),
    ]
    if headline.is_right is None:
        rows.append((f"{headline.name}, difference", headline_difference(headline, joined)))
        if headline is PEARSON:
            rows.append(("mean absolute error, difference", _of_errors(*sides)))
    rows += _right(headline if headline.is_right is not None else ACCURACY, joined.judged, names)
    return [
        measures_table(
            "compared",
            f"{names[1]} compared with {names[0]}",
            rows,
            f"On the records that both could judge. {_how(headline, names[1])}" if sides[0] else "Without gold.",
        )
    ]


def _how(headline: Headline, second: str) -> str:
    return (
        f"A difference above 0: {second} has more. {headline.name}: {headline.rule}. The test is McNemar's exact one, "
        "two-sided; it takes records as independent, so where they are clustered go by the interval of the difference."
    )


def _right(headline: Headline, pairs: Sequence[tuple[Case, Case]], names: tuple[str, str]) -> list[tuple[str, Value]]:
    is_right = headline.is_right
    assert is_right is not None
    before, after = _sides(headline, pairs)
    ours, theirs = ([is_right(case) for case in side] for side in (before, after))
    found = compare_right(ours, theirs, clusters_of(before))
    if found is None:
        return []
    return [
        (f"{headline.name}, difference", found.difference),
        (f"only {names[0]} is right", found.test.only_before),
        (f"only {names[1]} is right", found.test.only_after),
        ("McNemar's test, p", found.test.p_value),
    ]


def _of_errors(before: Sequence[Case], after: Sequence[Case]) -> Value:
    def error(cases: Sequence[Case]) -> Statistic:
        return score.mae([case.expected_score or 0.0 for case in cases], [float(case.gold or 0) for case in cases])

    return difference(error(before), error(after), len(before), clusters_of(before)) if before else None


def _differing(pairs: Sequence[tuple[Case, Case]]) -> list[tuple[str, Value]]:
    """How far the verdicts are the same, where one verdict a record was asked for."""
    single = [pair for pair in pairs if pair[0].rule != "mean_of_criteria"]
    found = compare(single)
    return [("verdicts that differ", found.flips), ("kappa of the verdicts", found.kappa)]
