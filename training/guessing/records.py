"""Records with gold, task by task: those that guessing is learnt from, and those that it is tried on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fare_cli.records import Record
from training.curation.entry import TASKS, plain, task_of
from training.questions import draw, read_records

ByTask = Mapping[str, Sequence[Record]]


def read_by_task(path: Path, left_out: Counter[str]) -> dict[str, list[Record]]:
    """The records of a file whose right label is known, by task, in the order of the five tasks.

    What has no label that a judge could give is left out and counted. Raises what `read_records` raises.
    """
    found: dict[str, list[Record]] = {task: [] for task in TASKS}
    for record in read_records(path):
        reason = _unlabelled(record)
        if reason is None:
            found[task_of(record)].append(record)
        else:
            left_out[reason] += 1
    return {task: records for task, records in found.items() if records}


def _unlabelled(record: Record) -> str | None:
    if record.gold is None:
        return "no gold label"
    if record.gold == "tie":
        return "a tie"
    if record.task == "score" and vars(record)["criteria"] is not None:
        return "several criteria"
    return None


def drawn(records: Sequence[Record], most: int | None, seed: int) -> list[Record]:
    """At most so many of the records, by chance of the seed and each record, in their order."""
    if most is None or len(records) <= most:
        return list(records)
    by_chance = sorted(range(len(records)), key=lambda number: draw("guessing", seed, records[number].content_id()))
    return [records[number] for number in sorted(by_chance[:most])]


def all_of(by_tasks: Iterable[ByTask]) -> list[Record]:
    """The records of all tasks."""
    return [record for by_task in by_tasks for records in by_task.values() for record in records]


def questions_of(records: Iterable[Record]) -> set[str]:
    """The questions of records, as their words."""
    return {plain(record.question) for record in records}


def scale_of(record: Record) -> tuple[int, int]:
    """Lowest and highest score of a score record."""
    low, high = vars(record)["scale"]
    return low, high


def place(record: Record, score: float) -> float:
    """Where a score lies on the record's scale: 0 is the lowest, 1 the highest, so that scales go together."""
    low, high = scale_of(record)
    return (score - low) / max(high - low, 1)
