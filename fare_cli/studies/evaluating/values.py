"""What one verdict counts in the figures of what a judge says, whether or not anybody knows what is right.

Each is None for a verdict that has no part in the figure. Invalid records have none; callers leave them out.
"""

from __future__ import annotations

from fare_cli.studies.evaluating.case import Case

_CREDIT = {"A": 0.0, "B": 1.0}


def wins(case: Case) -> float:
    """1 where answer B is preferred, 0 where A is, a half for a tie and where the orders disagree."""
    return _CREDIT.get(case.verdict or "", 0.5)


def held_right(case: Case) -> float | None:
    return None if case.verdict is None else float(case.verdict == "yes")


def finds_fault(case: Case) -> float | None:
    """1 where the judge names a wrong step."""
    return None if case.verdict is None else float(case.verdict != "-1")
