"""How good a judge is: a report from verdicts, whether they were just made or kept in files. Pure, needs no model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from fare_cli.meta.bootstrap import FEWEST_CLUSTERS
from fare_cli.report.model import Column, Report, Table, Value
from fare_cli.studies.evaluating.case import clusters_of, judged
from fare_cli.studies.evaluating.categories import category_parts
from fare_cli.studies.evaluating.certainty import certainty_parts
from fare_cli.studies.evaluating.comparing import comparison_parts
from fare_cli.studies.evaluating.counting import cost_parts, record_parts
from fare_cli.studies.evaluating.headline import measure
from fare_cli.studies.evaluating.one_story import no_more_than_chance, one_story_parts, stories
from fare_cli.studies.evaluating.pairwise import pairwise_parts
from fare_cli.studies.evaluating.parts import Part
from fare_cli.studies.evaluating.people import people_parts
from fare_cli.studies.evaluating.score import score_parts
from fare_cli.studies.evaluating.step import step_parts
from fare_cli.studies.evaluating.verdict_set import VerdictSet
from fare_cli.studies.evaluating.verify import verify_parts
from fare_cli.studies.same_records import join, join_warnings
from fare_cli.verdicts import Verdict

_OF_TASK = {"pairwise": pairwise_parts, "step": step_parts, "verify": verify_parts, "score": score_parts}
_AT_CHANCE = " (a judge not shown to be better than chance)"


def evaluate(verdicts: Iterable[Verdict], *, name: str = "verdicts") -> Report:
    """The report on verdicts of one judge and one task: every measure of the task with its 95% interval.

    Verdicts that carry their records (`Verdict.record`) give categories, agreement with people, and intervals that take
    the records of one question as one; without them every record stands for itself. Raises ValueError for no verdict or
    verdicts of several tasks, RecordError for one that fare does not write.
    """
    return report_on([VerdictSet.of(verdicts, name=name)])


def report_on(sets: Sequence[VerdictSet], *, extra: Sequence[Table] = ()) -> Report:
    """The report on several sets of verdicts: each by itself; judges of the same records compared; and where one judge
    gave verdicts of several tasks on the same answers, whether they tell one story. `extra` tables come first."""
    names = names_of(sets)
    figures = [measure(one.protocol.headline, one.cases) for one in sets]
    parts: list[Part] = [*extra, *_all_sets(sets, names, figures), *_reported(sets, names, figures)]
    warnings: list[str] = []
    chances = [one.chance() for one in sets]
    for verdicts, name, chance in zip(sets, names, chances, strict=True):
        own = _section(verdicts, chance)
        parts += own if len(sets) == 1 else [within(name, part) for part in own]
        warnings += [_said_of(sets, name, text) for text in warnings_of(verdicts, chance)]
    if all(case.gold is None for one in sets for case in one.cases):
        warnings.append("no record has gold: how often the judge is right cannot be measured")
    for more, said in (_judges_compared(sets, names), _protocols_compared(sets)):
        parts += more
        warnings += said
    title = _title(sets) + _AT_CHANCE * (None not in chances)
    return Report(title, _facts(sets, names), tuple(parts), tuple(dict.fromkeys(warnings)))


def _judges_compared(sets: Sequence[VerdictSet], names: Sequence[str]) -> tuple[list[Part], list[str]]:
    """Every two judges of the same records."""
    parts: list[Part] = []
    warnings: list[str] = []
    for (one, first), (other, second) in combinations(zip(sets, names, strict=True), 2):
        compared, said = _compared(one, other, (first, second))
        parts += compared if len(sets) == 2 else [within(f"{first} and {second}", part) for part in compared]
        warnings += said
    return parts, warnings


def _protocols_compared(sets: Sequence[VerdictSet]) -> tuple[list[Part], list[str]]:
    """Every judge with verdicts of several tasks on the same answers."""
    parts: list[Part] = []
    found = _across(sets)
    for stories_told, name in found:
        note = " (no more than chance would)" if no_more_than_chance(stories_told) else ""
        crossed = [replace(part, title=part.title + note) for part in one_story_parts(stories_told)]
        parts += crossed if not name else [within(name, part) for part in crossed]
    if found and any(one.weights is None for one in sets):
        return parts, ["that one judge gave the verdicts of all tasks is taken for granted: a manifest is missing"]
    return parts, []


def _section(verdicts: VerdictSet, chance: str | None) -> list[Part]:
    cases = verdicts.cases
    quality = [
        *_OF_TASK[verdicts.task](cases),
        *category_parts(cases, verdicts.protocol.headline),
        *certainty_parts(cases),
        *people_parts(cases),
    ]
    if chance is not None:
        quality = [replace(part, title=part.title + _AT_CHANCE) for part in quality]
    return [*quality, *record_parts(cases), *cost_parts(cases, verdicts.timing)]


def warnings_of(verdicts: VerdictSet, chance: str | None) -> list[str]:
    """What has to be known before any figure of a set; `chance` is its `VerdictSet.chance()`."""
    said = list(verdicts.warnings)
    if chance is not None:
        said.append(f"the judge was not shown to be better than chance: {chance}")
    found = judged(verdicts.cases)
    if found and all(case.cluster is None for case in found):
        said.append(
            "the verdicts came without their records (--no-record): categories and agreement with people cannot be "
            "measured, and intervals take every record as independent"
        )
    if not found:
        said.append("no record could be judged")
    elif len(set(clusters_of(found))) < FEWEST_CLUSTERS:
        said.append(
            f"the records are of fewer than {FEWEST_CLUSTERS} clusters (groups or questions): only shares have an "
            "interval, a wide one"
        )
    return said


def _all_sets(sets: Sequence[VerdictSet], names: Sequence[str], figures: Sequence[Value]) -> list[Part]:
    """The headline figure of every set, where there are several."""
    if len(sets) == 1:
        return []
    columns = (
        Column("set", "set"),
        Column("judge", "judge"),
        Column("task", "task"),
        Column("measure", "measure"),
        Column("value", "value (95% interval)"),
    )
    rows = tuple(
        (name, one.judge, one.task, one.protocol.headline.name, figure)
        for one, name, figure in zip(sets, names, figures, strict=True)
    )
    rules = {one.protocol.headline.name: one.protocol.headline.rule for one in sets}
    return [
        Table("sets", "all sets", columns, rows, "; ".join(f"{name}: {rule}" for name, rule in rules.items()) + ".")
    ]


def _reported(sets: Sequence[VerdictSet], names: Sequence[str], figures: Sequence[Value]) -> list[Part]:
    """Beside the headline figures what a paper reports of other judges, where there is such a thing."""
    judges = list(dict.fromkeys(judge for one in sets for judge in one.protocol.reported))
    if not judges:
        return []
    columns = (
        Column("set", "set"),
        Column("value", "measured here"),
        *(Column(judge, f"{judge}, paper, %") for judge in judges),
    )
    rows = tuple(
        (name, figure, *(one.protocol.reported.get(judge) for judge in judges))
        for one, name, figure in zip(sets, names, figures, strict=True)
        if one.protocol.reported
    )
    note = (
        "What is measured here is this judge on these files. The other figures are those of FARE's paper (arXiv "
        "2510.17793), in percent: its prompts, its choice of files and its decoding. None of them was measured here."
    )
    return [Table("reported", "beside the paper's figures", columns, rows, note)]


def _compared(one: VerdictSet, other: VerdictSet, names: tuple[str, str]) -> tuple[list[Part], list[str]]:
    """Two judges on the same records; nothing for two sets that share none, or for one judge twice."""
    if one.task != other.task or {case.judge for case in one.cases} == {case.judge for case in other.cases}:
        return [], []
    joined = join(one.cases, other.cases)
    if not joined.judged and not joined.changed:
        return [], []
    if one.judge != other.judge:
        names = one.judge, other.judge
    parts = comparison_parts(one.protocol.headline, joined, names) if joined.judged else []
    return parts, [f"{' and '.join(names)} compared: {text}" for text in join_warnings(joined)]


def _across(sets: Sequence[VerdictSet]) -> list[tuple[list[Any], str]]:
    """Of each judge with verdicts of several tasks, the answers that they have in common."""
    by_judge: dict[str | None, dict[str, list[Any]]] = {}
    for one in sets:
        by_judge.setdefault(one.weights, {}).setdefault(one.task, []).extend(one.cases)
    judges = {one.weights: one.judge for one in sets}
    found = [(stories(by_task), judges[weights]) for weights, by_task in by_judge.items() if len(by_task) > 1]
    there = [(story, judge) for story, judge in found if story]
    return there if len(there) > 1 else [(story, "") for story, _ in there]


def within(name: str, part: Part) -> Part:
    """The part as one of several of its kind."""
    return replace(part, name=f"{_slug(name)}-{part.name}", title=f"{name}: {part.title}")


def _said_of(sets: Sequence[VerdictSet], name: str, text: str) -> str:
    return text if len(sets) == 1 else f"{name}: {text}"


def names_of(sets: Sequence[VerdictSet]) -> list[str]:
    """A name for each set that no other has, also where only letters and digits of it are left."""
    names: list[str] = []
    for one in sets:
        namesakes = [other for other in sets if other.name == one.name]
        told = [
            getattr(one, what) for what in ("task", "judge") if len({getattr(other, what) for other in namesakes}) > 1
        ]
        wanted = name = f"{one.name} ({', '.join(told)})" if told else one.name
        number = 1
        while _slug(name) in map(_slug, names):
            number += 1
            name = f"{wanted} {number}"
        names.append(name)
    return names


def _slug(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name).strip("-")


def _title(sets: Sequence[VerdictSet]) -> str:
    judges = " and ".join(dict.fromkeys(one.judge for one in sets if one.judge)) or "a judge"
    records = sets[0].name if len(sets) == 1 else f"{len(sets)} sets"
    return f"{judges}: how good on {records}"


def _facts(sets: Sequence[VerdictSet], names: Sequence[str]) -> dict[str, Any]:
    """What is the same for all sets once, the rest by set."""
    if len(sets) == 1:
        return dict(sets[0].facts)
    first, *others = [one.facts for one in sets]
    shared = {
        name: value for name, value in first.items() if all(name in facts and facts[name] == value for facts in others)
    }
    own = {
        name: {what: value for what, value in one.facts.items() if what not in shared}
        for one, name in zip(sets, names, strict=True)
    }
    return {**shared, **own}
