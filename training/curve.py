"""The curve of a loop: what each of its judges reaches on held-out records, beside what the first one did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate
from fare_cli.report.model import Column, Plot, Point, Report, Series, Table, Value
from fare_cli.studies.evaluating.comparing import headline_difference
from fare_cli.studies.evaluating.headline import measure
from fare_cli.studies.evaluating.verdict_set import VerdictSet
from fare_cli.studies.same_records import join
from training.stages import iteration

Judged = Mapping[str, Sequence[VerdictSet]]
"""Verdicts by stage, in the order of the loop; each stage has the same sets in the same order."""

_NOTE = (
    "The change is that from the first judge, on the records that both could judge, resampled in pairs. Better than "
    "chance: as fare eval says it. Several sets and judges are looked at at once: of twenty intervals of what has not "
    "changed, one leaves 0 out."
)


def curve(stages: Judged, facts: Mapping[str, Any]) -> Report:
    """The report on all stages: a table of every set's headline figure by stage, with its change since the first, and
    the same as a plot over the iterations."""
    first = next(iter(stages.values()))
    sets = range(len(first))
    shared = {name: first[0].facts.get(name) for name in ("options", "engine", "fare")}
    weights = {stage: found[0].weights for stage, found in stages.items()}
    return Report(
        f"{len(stages)} judges of a loop on held-out records",
        {**facts, **shared, "weights": weights},
        (_table(stages, sets), _plot(stages, sets)),
        tuple(_warnings(stages)),
    )


def _warnings(stages: Judged) -> Iterator[str]:
    """What is to be known of the verdicts: once where it holds for all, else with the stage and the set."""
    said = [(f"{stage}: {one.name}, {one.task}", one.warnings) for stage, found in stages.items() for one in found]
    for text in dict.fromkeys(text for _, texts in said for text in texts):
        where = [place for place, texts in said if text in texts]
        yield text if len(where) == len(said) else f"{'; '.join(where)}: {text}"


def _table(stages: Judged, sets: range) -> Table:
    columns = (
        Column("set", "set"),
        Column("task", "task"),
        Column("stage", "judge"),
        Column("measure", "measure"),
        Column("value", "value (95% interval)"),
        Column("change", "change (95% interval)"),
        Column("beats_chance", "better than chance"),
    )
    rows = tuple(row for number in sets for row in _rows([(name, found[number]) for name, found in stages.items()]))
    return Table("curve", "what each judge reaches", columns, rows, _NOTE)


def _rows(judged: Sequence[tuple[str, VerdictSet]]) -> Iterator[tuple[Value, ...]]:
    first = judged[0][1]
    for stage, one in judged:
        headline = one.protocol.headline
        change = None if one is first else headline_difference(headline, join(first.cases, one.cases))
        beats_chance = "yes" if one.chance() is None else "not shown"
        yield one.name, one.task, stage, headline.name, measure(headline, one.cases), change, beats_chance


def _plot(stages: Judged, sets: range) -> Plot:
    """A line for each set. Iteration 0 is the last judge before iteration 1."""
    places = _places(list(stages))
    series = []
    for number in sets:
        judged = [(stage, found[number]) for stage, found in stages.items()]
        one = judged[0][1]
        points = [
            point
            for stage, verdicts in judged
            if (point := _point(places[stage], measure(one.protocol.headline, verdicts.cases))) is not None
        ]
        series.append(Series(f"{one.name}, {one.task}: {one.protocol.headline.name}", tuple(points), "line"))
    before = ", ".join(f"{places[stage]}: {stage}" for stage in stages if places[stage] <= 0)
    return Plot("by_iteration", "over the iterations", f"iteration ({before})", "headline figure", tuple(series))


def _places(stages: Sequence[str]) -> dict[str, int]:
    """Where each stage stands on the axis: iterations at their numbers, what comes before them at 0 and below."""
    before = next((place for place, stage in enumerate(stages) if stage == iteration(1)), len(stages))
    return {stage: place - before + 1 for place, stage in enumerate(stages)}


def _point(place: int, value: Value) -> Point | None:
    match value:
        case Proportion() if value.share is not None:
            return Point(place, value.share, *value.interval)
        case Estimate():
            return Point(place, value.value, *(value.interval or (None, None)))
        case _:
            return None
