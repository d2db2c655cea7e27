"""The headline figure by category."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.meta.strata import mean_of_strata
from fare_cli.report.model import Column, Table, Value
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.evaluating.headline import Headline, measure
from fare_cli.studies.evaluating.parts import Part


def category_parts(cases: Sequence[Case], headline: Headline) -> list[Part]:
    """A row for each category, and their mean; nothing where records have fewer than two."""
    counting = [case for case in cases if headline.counts(case)]
    by_category: dict[str | None, list[Case]] = {}
    for case in counting:
        by_category.setdefault(case.category, []).append(case)
    if len(by_category) < 2:
        return []
    found = {name: measure(headline, by_category[name]) for name in sorted(by_category, key=_last_without_name)}
    rows: list[tuple[Value, ...]] = [
        ("(none)" if name is None else name, len(by_category[name]), figure) for name, figure in found.items()
    ]
    known = [figure for figure in found.values() if figure is not None]
    rows.append(("mean over categories", len(counting), mean_of_strata(known)))
    columns = (Column("category", "category"), Column("records", "records"), Column("value", headline.name))
    note = (
        f"{_capital(headline.rule)}. In the mean each category weighs the same; one without a figure is left out. Its "
        "interval is recovered from theirs (MOVER, Zou & Donner 2008)."
    )
    return [Table("categories", f"{headline.name} by category", columns, tuple(rows), note)]


def _last_without_name(name: str | None) -> tuple[bool, str]:
    return name is None, name or ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
