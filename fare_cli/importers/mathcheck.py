"""Importers of MathCheck: one file, of which process judging is a step set and outcome judging a verify set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.row import Row
from fare_cli.importers.solution import labelled

_OTHER_TASK = "a row of another MathCheck task"
_IMAGE = "the question needs an image"
_NO_SUCH_STEP = "the wrong step's number is not in the solution, or more than once"

_TASKS = {task: task for task in ("solving", "answerable_judging", "outcome_judging", "process_judging")}

_STEP = re.compile(r"^[*# \t]*S?Step (\d+)\s*:[* \t]*", re.MULTILINE)
"""Where a step begins; one is set in bold in the published files, one is misspelt `SStep`."""


def _process(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row, record in _of_task(rows, "process_judging"):
        if record is None:
            yield Skipped(row, _IMAGE if row.has("image") else _OTHER_TASK)
            continue
        label = re.fullmatch(r"Step (\d+)", row.text("answer").strip())
        if label is None:
            row.refuse("answer", "does not name a step as MathCheck does (`Step 2`)")
        numbers, steps = _cut(row.text("solution"))
        if numbers.count(int(label[1])) != 1:
            yield Skipped(row, _NO_SUCH_STEP)
        else:
            yield labelled(row, {**record, "steps": steps}, numbers.index(int(label[1])))


def _outcome(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row, record in _of_task(rows, "outcome_judging"):
        if record is None:
            yield Skipped(row, _IMAGE if row.has("image") else _OTHER_TASK)
        else:
            gold = row.choice("answer", {"Correct": "yes", "Incorrect": "no"})
            yield Made(row, {**record, "answer": row.text("solution"), "gold": gold})


def _of_task(rows: Iterable[Row], task: str) -> Iterator[tuple[Row, dict[str, Any] | None]]:
    """Every row, with what its record holds if it is of `task` and can be judged by its text."""
    for row in rows:
        if row.choice("task_type", _TASKS) != task or row.has("image"):
            yield row, None
            continue
        group = row.text("group_id")
        yield (
            row,
            {
                "id": f"mathcheck-{group}-{row.text('id')}",
                "group": group,
                "category": row.text("question_type"),
                "question": row.text("question"),
            },
        )


def _cut(solution: str) -> tuple[list[int], list[str]]:
    """The steps with the numbers printed before them. What stands before the second step is the first, also where it
    has no number; the line with the answer belongs to the last."""
    starts = list(_STEP.finditer(solution))
    numbers = [int(start[1]) for start in starts]
    ends = [start.start() for start in starts[1:]] + [len(solution)]
    steps = [solution[start.end() : end].strip() for start, end in zip(starts, ends, strict=True)]
    before = solution[: starts[0].start()].strip() if starts else ""
    if before and numbers[0] == 2:
        return [1, *numbers], [before, *steps]
    if before:
        steps[0] = f"{before}\n{steps[0]}"
    return numbers, steps


_SOURCE = "PremiLab-Math/MathCheck (Zhou et al. 2024)"
_LICENCE = "none in the repository"
_FILES = "gsm_checklist.json; rows of other tasks and with images (geo_checklist.json) are skipped"

STEP_IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="mathcheck-process",
        task="step",
        source=_SOURCE,
        licence=_LICENCE,
        files=_FILES,
        gold="`answer` of the rows with task_type process_judging: the printed number of the wrong step (`Step 2`). "
        "Every solution has one",
        nulls="a number that is not in the solution, or more than once, skips the row",
        index_base=1,
        records=_process,
    ),
)
VERIFY_IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="mathcheck-outcome",
        task="verify",
        source=_SOURCE,
        licence=_LICENCE,
        files=_FILES,
        gold="`answer` of the rows with task_type outcome_judging: Correct is yes, Incorrect is no",
        records=_outcome,
    ),
)
