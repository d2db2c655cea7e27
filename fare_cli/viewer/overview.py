"""The first view of the page: what the judge said, and how good it is. Its figures are those of `fare eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate
from fare_cli.report.model import Bar, Forest, Table
from fare_cli.report.words import number_in_words
from fare_cli.studies.evaluate import names_of, warnings_of, within
from fare_cli.studies.evaluating.case import Case, judged
from fare_cli.studies.evaluating.certainty import calibration_parts
from fare_cli.studies.evaluating.counting import record_parts
from fare_cli.studies.evaluating.headline import Headline, measure
from fare_cli.studies.evaluating.pairwise import pairwise_parts
from fare_cli.studies.evaluating.parts import Part
from fare_cli.studies.evaluating.people import people_parts
from fare_cli.studies.evaluating.score import score_parts
from fare_cli.studies.evaluating.step import step_parts
from fare_cli.studies.evaluating.verdict_set import VerdictSet
from fare_cli.studies.evaluating.verify import verify_parts
from fare_cli.viewer.agreeing import agreement_tables
from fare_cli.viewer.said import NO_PREFERENCE, SAID, confidence_parts, verdict_table
from fare_cli.viewer.terms import explained

_OF_TASK = {"pairwise": pairwise_parts, "step": step_parts, "verify": verify_parts, "score": score_parts}
#: Of what `fare eval` has, these are shown here too.
_PLOTS = frozenset({"reliability-plot"})
_MOST_CATEGORIES = 20


@dataclass(frozen=True, slots=True)
class Overview:
    """`lead` are sentences for people, by set; `warnings` are read before any figure."""

    title: str
    lead: tuple[tuple[str, tuple[str, ...]], ...]
    warnings: tuple[str, ...]
    parts: tuple[Part, ...]
    facts: tuple[tuple[str, dict[str, Any]], ...]


def overview(sets: Sequence[VerdictSet]) -> Overview:
    """The overview of one or several sets of verdicts, each with its own parts."""
    names = names_of(sets)
    single = len(sets) == 1
    lead: list[tuple[str, tuple[str, ...]]] = []
    parts: list[Part] = []
    warnings: list[str] = []
    for one, name in zip(sets, names, strict=True):
        chance = one.chance()
        said = warnings_of(one, chance)
        if one.weights is None:
            said.append("there is no manifest beside the file: whether all records were judged is not known")
        lead.append((name, tuple(_lead(one))))
        parts += [replace(part, title=_capital(part.title)) if single else within(name, part) for part in _parts(one)]
        warnings += map(_capital, said) if single else [f"{name}: {text}" for text in said]
    return Overview(
        f"Verdicts on {', '.join(names)}",
        tuple(lead),
        tuple(dict.fromkeys(warnings)),
        tuple(parts),
        tuple((name, {"judge": one.judge, **one.facts}) for name, one in zip(names, sets, strict=True)),
    )


def _parts(one: VerdictSet) -> list[Part]:
    cases = one.cases
    found = judged(cases)
    if not found:
        return [explained(part) for part in record_parts(cases) if isinstance(part, Table)]
    parts: list[Part] = [*_by_category(SAID[one.task], cases, NO_PREFERENCE.get(one.task)), verdict_table(cases)]
    parts += confidence_parts(cases)
    if any(case.gold is not None for case in found):
        parts += _by_category(one.protocol.headline, cases, None)
        measures = [part for part in _OF_TASK[one.task](cases) if isinstance(part, Table)]
        parts += [explained(part) for part in measures if part.columns[0].name == "measure" and part.rows]
    parts += agreement_tables(cases)
    parts += [part for part in calibration_parts(cases) if part.name in _PLOTS]
    people = [part for part in people_parts(cases) if isinstance(part, Table) and part.name == "people"]
    # Of a handful of labels nothing can be measured.
    parts += [explained(part) for part in people if part.rows]
    return [*parts, *(explained(part) for part in record_parts(cases) if isinstance(part, Table))]


def _by_category(headline: Headline, cases: Sequence[Case], line: float | None) -> list[Forest]:
    """The figure of all records and of each category, with intervals."""
    by_category: dict[str, list[Case]] = {}
    for case in cases:
        if headline.counts(case):
            by_category.setdefault(case.category or "(no category)", []).append(case)
    figures = [("all records", measure(headline, cases))]
    if len(by_category) > 1:
        most = sorted(by_category, key=lambda name: (-len(by_category[name]), name))[:_MOST_CATEGORIES]
        figures += [(name, measure(headline, by_category[name])) for name in sorted(most)]
    bars = tuple(bar for name, figure in figures if (bar := _bar(name, figure)) is not None)
    if not bars:
        return []
    note = f"{_capital(headline.rule)}. The line through a point is its 95% interval."
    if len(by_category) > _MOST_CATEGORIES:
        note += f" The {_MOST_CATEGORIES} categories with the most records, of {len(by_category)}."
    title = headline.name + (", by category" if len(bars) > 1 else "")
    name = headline.name.replace(" ", "-")
    return [Forest(f"{name}-plot", title, headline.name, bars, line, "no preference" if line is not None else "", note)]


def _bar(name: str, figure: Proportion | Estimate | None) -> Bar | None:
    if figure is None:
        return None
    value = figure.share if isinstance(figure, Proportion) else figure.value
    label = name if len(name) <= 30 else name[:29] + "…"
    return None if value is None else Bar(label, value, *(figure.interval or (None, None)))


_DID = {
    "pairwise": "compared two answers in {} pairs",
    "step": "looked for the first wrong step in {} solutions",
    "verify": "said of {} answers whether they are right",
    "score": "scored {} answers",
}


def _lead(one: VerdictSet) -> list[str]:
    """The set in a few sentences."""
    cases = one.cases
    found = judged(cases)
    # Without a manifest the judge is a fingerprint, which stands below.
    said = [f"{'The judge' if one.weights is None else one.judge} {_DID[one.task].format(f'{len(found):,}')}."]
    if len(found) < len(cases):
        said.append(f"{len(cases) - len(found):,} more could not be judged.")
    headline = SAID[one.task]
    if (figure := measure(headline, cases)) is not None:
        said.append(f"{_capital(headline.name)}: {_words(figure, one.task != 'score')}.")
    if (figure := measure(one.protocol.headline, cases)) is not None:
        known = sum(one.protocol.headline.counts(case) for case in cases)
        name = one.protocol.headline.name
        share = isinstance(figure, Proportion)
        said.append(f"Measured on {known:,} records whose right label is known, {name}: {_words(figure, share)}.")
    elif all(case.gold is None for case in cases):
        said.append("Nobody said which verdicts would be right, so how good the judge is cannot be told from it.")
    return said


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _words(figure: Proportion | Estimate, share: bool) -> str:
    """`54.0% (46.0% to 61.8%)`."""
    value = figure.share if isinstance(figure, Proportion) else figure.value

    def shown(number: float | None) -> str:
        return "-" if number is None else f"{number:.1%}" if share else number_in_words(number)

    if figure.interval is None:
        return shown(value)
    return f"{shown(value)} (95% interval: {shown(figure.interval.low)} to {shown(figure.interval.high)})"
