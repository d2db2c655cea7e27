"""Who said the same: the judge and gold, and the judge's two orders, as tables of counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from fare_cli.report.model import Column, Table
from fare_cli.studies.evaluating.case import Case, judged

_MOST_SCORES = 12
_READ = "Every row is what is known to be right, every column what the judge said; on the diagonal it is right."
_SHADES = " The darker a cell, the more of its row it holds."
_ANOTHER = " Another step: it named one, but not the first wrong one."


def agreement_tables(cases: Sequence[Case]) -> list[Table]:
    """Counts of records by gold and verdict, where there is gold; of pairs by what each order said."""
    found = judged(cases)
    tables = []
    if (pairs := list(_gold_and_verdict(found))) and (labels := _labels(pairs)):
        said = [*labels, *(label for label in ("no verdict", "another step") if any(label == one[1] for one in pairs))]
        columns = (Column("gold", "known to be right"), *(Column(f"said_{label}", f"said {label}") for label in said))
        title, note = "what is right, and what the judge said", _READ + _ANOTHER * ("another step" in said)
        tables.append(Table("agreement", title, columns, _counts(pairs, labels, said), note + _SHADES, shaded=True))
    orders = [(case.orders["ab"].label, case.orders["ba"].label) for case in found if len(case.orders) == 2]
    if orders:
        columns = (
            Column("ab", "A shown first"),
            *(Column(f"ba_{label}", f"B first: {label} is better") for label in "AB"),
        )
        rows = tuple((f"{row[0]} is better", *row[1:]) for row in _counts(orders, "AB", "AB"))
        note = (
            "Every row is what the judge said when answer A was shown first, every column what it said when answer B "
            "was. On the diagonal it said the same in both orders; elsewhere it went by the position."
        )
        title = "does the judge say the same in both orders?"
        tables.append(Table("orders", title, columns, rows, note + _SHADES, shaded=True))
    return tables


def _gold_and_verdict(cases: Iterable[Case]) -> Iterable[tuple[str, str]]:
    for case in cases:
        if case.gold is None or case.rule == "mean_of_criteria":
            continue
        if case.task == "step":
            yield _steps(int(case.gold), case.verdict)
        elif case.task == "score":
            # Halves up, as kappa rounds them.
            yield str(math.floor(float(case.gold) + 0.5)), case.verdict or "no verdict"
        else:
            yield str(case.gold), case.verdict or "no verdict"


def _steps(gold: int, verdict: str | None) -> tuple[str, str]:
    """Solutions differ in length, so a step is the right one or another one."""
    right = "no step is wrong" if gold == -1 else "a step is wrong"
    if verdict == str(gold):
        return right, right
    return right, "no step is wrong" if verdict == "-1" else "another step" if gold != -1 else "a step is wrong"


def _labels(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """In their natural order; none where there are too many for a table."""
    labels = {label for pair in pairs for label in pair} - {"no verdict", "another step"}
    if len(labels) > _MOST_SCORES:
        return []
    return sorted(labels, key=lambda label: (int(label) if label.lstrip("-").isdecimal() else 0, label))


def _counts(
    pairs: Sequence[tuple[str, str]], rows: Sequence[str], columns: Sequence[str]
) -> tuple[tuple[str | int, ...], ...]:
    counted = Counter(pairs)
    return tuple((row, *(counted[row, column] for column in columns)) for row in rows)
