"""Solutions cut into steps, and published labels of the first wrong one: what the step importers have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fare_cli.importers.importer import Made, Skipped
from fare_cli.importers.row import Row

NOT_APPLICABLE = "N/A"
"""What several sets publish in place of a step where no step is wrong."""

BEYOND_THE_END = "the wrong step is beyond the last one"
CONTRADICTION = "the solution is called right and a wrong step is named, or wrong and none is"

REDUNDANCY = (
    "In this task a step also counts as wrong if it is redundant: if it repeats what was already there, adds nothing "
    "to the solution, or argues in a circle by assuming what it should show."
)
"""The protocol of records whose labelled step is superfluous, not false: asked for false steps, a judge is right to
name none."""

_STEP_NUMBER = re.compile(r"\s*\**\s*step\s*\d+\s*[:.)]\s*\**\s*", re.IGNORECASE)


def labelled(row: Row, record: Mapping[str, Any], wrong: int) -> Made | Skipped:
    """The record with `wrong`, 0-based or -1, as its gold; skipped where the solution has no such step."""
    if wrong >= len(record["steps"]):
        return Skipped(row, BEYOND_THE_END)
    return Made(row, {**record, "gold": wrong})


def from_one(row: Row, path: str) -> int:
    """The 0-based index in a field that counts steps from 1."""
    number = row.whole(path)
    return number - 1 if number >= 1 else row.refuse(path, f"is {number}, and this data set counts steps from 1")


def first_wrong(row: Row, path: str, *, right: bool) -> int | None:
    """What `right` and a 1-based label, "N/A" for none, say together; None where they contradict each other."""
    named = row.value(path) != NOT_APPLICABLE
    if right == named:
        return None
    return from_one(row, path) if named else -1


def unnumbered(steps: Sequence[str]) -> list[str]:
    """The steps without the numbers that they carry as their own: "Step 3: ..." everywhere, "3. ..." on the third.

    Records count from 0 and the judge sees each index; a second count from 1 beside it would be taken for the label.
    """
    return [_without_number(step, place) for place, step in enumerate(steps, start=1)]


def _without_number(step: str, place: int) -> str:
    found = _STEP_NUMBER.match(step) or re.match(rf"\s*{place}[.)]\s+", step)
    return step[found.end() :] or step if found else step
