"""The records of a verdict file in the order in which people look at them, with the texts on the disk."""

from __future__ import annotations

import hashlib
import json
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, Literal, NamedTuple, Self

from fare_cli import records
from fare_cli.errors import InputError, RecordError
from fare_cli.records import Record, TaskName
from fare_cli.review.events import Reviewed
from fare_cli.run.files import disk_fault
from fare_cli.studies.kept import kept_verdicts
from fare_cli.verdicts import Verdict

First = Literal["unsure", "random"]


class Queued(NamedTuple):
    """A record to look at: where its verdict lies, and what it is placed by."""

    about: Reviewed
    offset: int
    place: tuple[bool, float, str]


class Counted(NamedTuple):
    """Verdicts of a file: all of them, those that nobody can look at, and those in the queue."""

    every: int
    invalid: int
    queued: int


class Queue(AbstractContextManager["Queue"]):
    """The records that a person is shown, first to last; an invalid one is not among them.

    With `first="unsure"` pairs whose orders disagreed come first, then the verdicts of the least confidence; what is
    equal, and everything with "random", is in an order that depends on `seed` alone.
    """

    def __init__(self, task: TaskName, items: Sequence[Queued], counted: Counted, file: IO[bytes]) -> None:
        self.task = task
        self.items = items[: counted.queued]
        self.counted = counted
        self._offsets = array("Q", sorted(item.offset for item in items))
        self._lock = Lock()
        self.place_of = {item.about: place for place, item in enumerate(self.items)}
        self._file = file

    @classmethod
    def read(cls, path: Path, *, first: First = "unsure", seed: int = 0, limit: int | None = None) -> Self:
        """Reads a verdict file; of the queue only the first `limit` are kept.

        Raises InputError for a file that holds anything but verdicts of one task with their records, or none that a
        person could look at.
        """
        # Not the file itself: it may be packed, or written anew while the person works.
        file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        items: list[Queued] = []
        every = 0
        task: TaskName | None = None
        try:
            for line, verdict in kept_verdicts(path, []):
                every += 1
                task = verdict.task
                if verdict.status == "invalid":
                    continue
                try:
                    record = record_of(verdict)
                except RecordError as error:
                    raise InputError(f"{path}, line {line.number}: {error.message}", error.hint) from None
                about = Reviewed(verdict.task, verdict.id, record.content_id())
                items.append(Queued(about, file.tell(), _place(verdict, about, first, seed)))
                file.write((line.data or b"").strip() + b"\n")
            file.flush()
        except OSError as error:
            file.close()
            raise disk_fault("a temporary copy of the verdicts", error) from error
        except BaseException:
            file.close()
            raise
        if task is None or not items:
            file.close()
            raise InputError(f"{path}: no record could be judged, so there is no verdict to look at")
        items.sort(key=lambda item: item.place)
        queued = len(items) if limit is None else min(limit, len(items))
        return cls(task, items, Counted(every, every - len(items), queued), file)

    def __len__(self) -> int:
        return len(self.items)

    def verdict(self, place: int) -> Verdict:
        """The verdict on the record at a place, 0-based. Raises IndexError."""
        if place < 0:
            raise IndexError(place)
        return self._at(self.items[place].offset)

    def all_verdicts(self) -> Iterator[Verdict]:
        """Every verdict that could be looked at, those behind the limit too, in the order of the file."""
        return map(self._at, self._offsets)

    def _at(self, offset: int) -> Verdict:
        with self._lock:
            self._file.seek(offset)
            return Verdict.from_line(self._file.readline())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def record_of(verdict: Verdict) -> Record:
    """The record of a verdict. Raises RecordError where it is not there or cannot be read."""
    if verdict.record is None:
        raise RecordError("missing_field", "the verdict came without its record (--no-record): there is nothing to see")
    return records.parse(verdict.task, verdict.record)


def labels_of(record: Record) -> tuple[str, ...]:
    """The labels that a person may give to a record, as `Verdict.verdict` has them."""
    if isinstance(record, records.PairwiseRecord):
        return ("A", "B", "tie")
    if isinstance(record, records.StepRecord):
        return tuple(map(str, range(-1, len(record.steps))))
    if isinstance(record, records.ScoreRecord):
        low, high = record.scale
        return tuple(map(str, range(low, high + 1)))
    return ("yes", "no")


def _place(verdict: Verdict, about: Reviewed, first: First, seed: int) -> tuple[bool, float, str]:
    drawn = hashlib.sha256(json.dumps([seed, *about]).encode()).hexdigest()
    if first == "random":
        return (False, 0.0, drawn)
    return (verdict.consistent is not False, _sureness(verdict), drawn)


def _sureness(verdict: Verdict) -> float:
    """The confidence; with several criteria the least of theirs."""
    if verdict.criteria is not None:
        sure = [(one.probabilities or {}).get(str(one.score), 0.0) for one in verdict.criteria.values()]
        return min(sure, default=0.0)
    return verdict.confidence or 0.0
