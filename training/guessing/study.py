"""The baselines on all test sets, as a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.errors import InvalidRecordsError
from fare_cli.records import Record
from fare_cli.report.model import Column, Forest, Report, Table
from training.guessing.baselines import Baselines, learn
from training.guessing.likelihood import Likelihoods
from training.guessing.measuring import tables
from training.guessing.records import ByTask, all_of, drawn, questions_of, read_by_task

TRAIN = "TRAIN"


class Caps(NamedTuple):
    """How many training records of each task are learnt from at most, and how many records of each task and file a
    model reads at most; the seed decides which."""

    fit_records: int
    likelihood_records: int
    seed: int


@dataclass(frozen=True, slots=True)
class Sets:
    """The records by task: training records, and those of each test file by its name. `left_out` counts by file what
    has no label to be measured by."""

    train: ByTask
    tests: Mapping[str, ByTask]
    caps: Caps
    left_out: Mapping[str, Counter[str]] = field(default_factory=dict)

    def tasks(self) -> list[str]:
        """The tasks of the test files."""
        return list(dict.fromkeys(task for by_task in self.tests.values() for task in by_task))

    def to_fit(self, task: str) -> list[Record]:
        return drawn(self.train.get(task, ()), self.caps.fit_records, self.caps.seed)

    def to_read(self) -> dict[str, ByTask]:
        """By file and task the records that a model reads. Of pairs no training record is needed."""
        train = {task: self.train[task] for task in self.tasks() if task != "pairwise" and task in self.train}
        most, seed = self.caps.likelihood_records, self.caps.seed
        return {
            name: {task: drawn(records, most, seed) for task, records in by_task.items()}
            for name, by_task in {TRAIN: train, **self.tests}.items()
        }

    def counts(self) -> dict[str, Any]:
        """Records by file and task, and what was left out."""
        by_file = {TRAIN: self.train, **self.tests}
        return {
            "records": {
                name: {task: len(records) for task, records in by_task.items()} for name, by_task in by_file.items()
            },
            "learnt_from": {task: len(self.to_fit(task)) for task in self.tasks()},
            "left_out": {name: dict(reasons) for name, reasons in self.left_out.items() if reasons},
        }


class Reading(NamedTuple):
    """What a model has read: the records by file and task, and the likelihoods of those that it could take."""

    asked: Mapping[str, ByTask]
    found: Likelihoods

    def of(self, name: str, task: str) -> list[Record]:
        """The records of a file and task that have a likelihood."""
        return [record for record in self.asked[name].get(task, ()) if record.content_id() in self.found]


def read_sets(train: Path, tests: Mapping[str, Path], caps: Caps) -> Sets:
    """The records of all files. Raises what `read_records` raises, and InvalidRecordsError for a test file that has no
    record to be measured by."""
    left_out: dict[str, Counter[str]] = {name: Counter() for name in (TRAIN, *tests)}
    found = {}
    for name, path in tests.items():
        found[name] = read_by_task(path, left_out[name])
        if not found[name]:
            raise InvalidRecordsError(f"{path}: no record has a right label to be measured by", "it stands in `gold`")
    return Sets(read_by_task(train, left_out[TRAIN]), found, caps, left_out)


def study(sets: Sets, reading: Reading | None, facts: Mapping[str, Any]) -> Report:
    """The report: for each test file and task a table of all baselines, with likelihood where a model has read the
    records."""
    learnt = {task: _learnt(task, sets, reading) for task in sets.tasks()}
    parts: list[Table | Forest] = [_training_table(sets, reading)]
    for name, by_task in sets.tests.items():
        for task, records in by_task.items():
            likely = [] if reading is None else reading.of(name, task)
            parts += tables(name, task, learnt[task].tried(records, likely), records)
    warnings = tuple(_warnings(sets, learnt, reading))
    return Report("baselines: what is reached without judging", facts, tuple(parts), warnings)


def _learnt(task: str, sets: Sets, reading: Reading | None) -> Baselines:
    if reading is None:
        return learn(task, sets.to_fit(task))
    return learn(task, sets.to_fit(task), reading.of(TRAIN, task), reading.found)


def _training_table(sets: Sets, reading: Reading | None) -> Table:
    columns = [Column("task", "task"), Column("records", "records"), Column("learnt_from", "learnt from")]
    rows = [(task, len(sets.train.get(task, ())), len(sets.to_fit(task))) for task in sets.tasks()]
    note = (
        "Each baseline is learnt from these alone: lengths and words by logistic regression (a score by ridge "
        "regression), of pairs on the difference of the two answers. Of steps each is told whether it is the first "
        "wrong one; the highest is named if it reaches the threshold of the best F1 on questions left out of the fit. "
        "Where a baseline prefers neither answer, a coin is tossed."
    )
    if reading is None:
        return Table("learnt", "what was learnt from", tuple(columns), tuple(rows), note)
    columns.append(Column("likelihood", "likelihood from"))
    with_reading = [(*row, len(reading.of(TRAIN, row[0]))) for row in rows]
    note += (
        " Likelihood: the mean log-probability of the tokens of an answer or step, given the question; by the same "
        "regression, which is a threshold and its side, and of pairs, without any fit, the likelier answer."
    )
    return Table("learnt", "what was learnt from", tuple(columns), tuple(with_reading), note)


def _warnings(sets: Sets, learnt: Mapping[str, Baselines], reading: Reading | None) -> Iterator[str]:
    for task, baselines in learnt.items():
        if baselines.unfit:
            yield f"{task}: the training records do not suffice to learn by {' and '.join(baselines.unfit)}"
    known = questions_of(all_of([sets.train]))
    for name, by_task in sets.tests.items():
        for task, records in by_task.items():
            seen = sum(not questions_of([record]).isdisjoint(known) for record in records)
            if seen:
                yield f"{name}: {seen} of {len(records)} {task} records are of questions of the training records"
            unread = 0 if reading is None else len(reading.asked[name][task]) - len(reading.of(name, task))
            if unread:
                yield f"{name}: the model could not take {unread} of the {task} records: they have no likelihood"
    for name, reasons in sets.left_out.items():
        if reasons:
            yield f"{name}: left out: " + ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
