"""Importer of Mr-Ben, where the wrong step is a number in most subjects and a line of code in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.reading import KEY
from fare_cli.importers.row import Row
from fare_cli.importers.solution import CONTRADICTION, NOT_APPLICABLE, first_wrong, labelled, unnumbered

_STEPS = "Model_Solution_Steps"
_WRONG = "Model_Solution_First_Error_Step"

_BLANK = "the wrong line is blank"
_NOT_THERE = "the wrong line is not in the code"
_AMBIGUOUS = "the wrong line is in the code more than once"


def _mr_ben(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        # In a few lists of the physics file the rows of one question have ids that differ; the list's name does not.
        group = row.text(KEY if row.has(KEY) else "Question_UUID")
        system = row.text("Sampled_Model")
        record = {
            "id": f"{group}-{system}",
            "group": group,
            "category": row.text("Subject"),
            "system": system,
            "question": _question(row),
        }
        right = row.choice("Model_Solution_Correctness", {"correct": True, "incorrect": False})
        yield _code(row, record, right) if isinstance(row.value(_STEPS), str) else _prose(row, record, right)


def _question(row: Row) -> str:
    question = row.text("Question")
    return f"{question}\n\n{row.text('Options').strip()}" if row.has("Options") else question


def _prose(row: Row, record: dict[str, Any], right: bool) -> Made | Skipped:
    wrong = first_wrong(row, _WRONG, right=right)
    if wrong is None:
        return Skipped(row, CONTRADICTION)
    return labelled(row, {**record, "steps": unnumbered(row.texts(_STEPS))}, wrong)


def _code(row: Row, record: dict[str, Any], right: bool) -> Made | Skipped:
    # A blank line cannot be wrong, and as a step it would only be a number for the judge to miscount.
    steps = [line.rstrip() for line in row.text(_STEPS).splitlines() if line.strip()]
    line = row.text(_WRONG).rstrip()
    if right == (line != NOT_APPLICABLE):
        return Skipped(row, CONTRADICTION)
    if right:
        return labelled(row, {**record, "steps": steps}, -1)
    if not line:
        return Skipped(row, _BLANK)
    places = [index for index, step in enumerate(steps) if step == line]
    if len(places) != 1:
        return Skipped(row, _AMBIGUOUS if places else _NOT_THERE)
    return labelled(row, {**record, "steps": steps}, places[0])


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="mr-ben",
        task="step",
        source="dvlab-research/Mr-Ben (Zeng et al. 2024)",
        licence="MIT",
        files="biology, chemistry, coding, logic, math, medicine and physics .json",
        gold="`Model_Solution_First_Error_Step`, by people: a number, in coding the text of the line; there the steps "
        "are the lines that are not blank",
        nulls="`N/A` is -1; a row is skipped where it contradicts `Model_Solution_Correctness`, and where the wrong "
        "line of code is blank, not there, or there more than once",
        index_base=1,
        records=_mr_ben,
    ),
)
