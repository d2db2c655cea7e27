"""Records with a known answer as the questions that a judge is trained on: what it is asked, and the right label."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fare_cli.asks import Direct, Judgment, Message
from fare_cli.errors import InputError, InvalidRecordsError, RecordError
from fare_cli.identity import JudgingOptions, Mode
from fare_cli.prompting import TaskPrompt
from fare_cli.records import RECORDS, Record, parse, task_told_by
from fare_cli.run.lines import RawLine, read_lines
from fare_cli.tasks import TASKS

Side = Literal["ab", "ba"]

_SWAPPED = {"A": "B", "B": "A"}


@dataclass(frozen=True, slots=True)
class Question:
    """A record as it is asked once: the messages that want a critique, those that want the verdict alone, and the
    label that is right (with its leading space, as scripts have it) among `labels`. `order` is None where there is
    nothing to swap."""

    record: Record
    order: Side | None
    critique: tuple[Message, ...]
    direct: tuple[Message, ...]
    marker: str
    labels: tuple[str, ...]
    right: str


def read_records(path: Path) -> Iterator[Record]:
    """The records in a file of JSON Lines, each with an id; tasks may be mixed.

    The task is what the field `task` says, else what the fields show (`answer_a`, `steps`, `rubric` or `criteria`,
    `answer`). Raises InvalidRecordsError naming file, line and field for a line that is no record: a training set is
    made here and has no excuse; InputError for a file that cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist", "check the path")
    for line in read_lines((str(path),), []):
        if line.data is not None and not line.data.strip():
            continue
        try:
            record = _record(line)
        except RecordError as error:
            raise InvalidRecordsError(
                f"{path}, line {line.number}: {error.message}", "mend or remove the line"
            ) from None
        yield record if record.id else record.with_id(record.content_id())


def _record(line: RawLine) -> Record:
    if line.data is None:
        raise RecordError("line_too_long", "the line is too long for a record")
    try:
        values = json.loads(line.data)
    except ValueError as error:
        raise RecordError("bad_json", f"not JSON: {error}") from None
    return parse(_task(values), values)


def _task(values: Any) -> str:
    if not isinstance(values, Mapping):
        return "verify"  # `parse` says what is wrong
    named = values.get("task")
    if named is not None:
        if named not in RECORDS:
            raise RecordError("bad_value", f"`task`: there is no task {named!r}: {', '.join(RECORDS)}", "task")
        return str(named)
    return task_told_by(values) or "verify"


def ask_record(record: Record, prompt: Callable[[str], TaskPrompt], order: Side) -> Question | None:
    """The question that a record is, its answers in this order; None where no single label is right: no gold, a tie,
    a mean just between two scores, several criteria."""
    asks = {}
    modes: tuple[Mode, ...] = ("critique", "direct")
    for mode in modes:
        task = TASKS[record.task](prompt(record.task), JudgingOptions(mode=mode, order=order))
        found = task.step(record, {})
        if not isinstance(found, list) or len(found) != 1:
            return None
        asks[mode] = found[0]
    script = asks["direct"].script
    assert isinstance(script, Direct | Judgment)
    right = _right_label(record, order)
    if right not in script.labels:
        return None
    is_pair = record.task == "pairwise"
    return Question(
        record,
        order if is_pair else None,
        asks["critique"].messages,
        asks["direct"].messages,
        script.marker,
        script.labels,
        right,
    )


def _right_label(record: Record, order: Side) -> str | None:
    gold = record.gold
    match record.task:
        case "pairwise":
            label = _SWAPPED.get(gold) if order == "ba" else gold
            return f" [{label}]"
        case "score":
            # A mean over people stands for the score nearest to it.
            return None if gold is None or gold % 1 == 0.5 else f" {round(gold)}"
        case _:
            return f" {gold}"


def draw(*names: object) -> int:
    """64 bits that depend on these names alone: chance that is the same in every run and on every machine."""
    text = "\0".join(map(str, names))
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def chosen_order(record: Record, seed: int) -> Side:
    """Which answer of a pair is shown first: by chance of the seed and the record, so that neither place is the right
    one more often."""
    return "ba" if record.task == "pairwise" and draw("order", seed, record.id) & 1 else "ab"


def questions(
    path: Path,
    prompt: Callable[[str], TaskPrompt],
    counts: MutableMapping[str, int],
    order: Callable[[Record], Side],
) -> Iterator[Question]:
    """The questions of a file in its order; `counts` gets `records` and `no_single_label`.

    Raises InvalidRecordsError for an id that is there twice: ids decide what is drawn for a record.
    """
    seen: Counter[str] = Counter()
    for record in read_records(path):
        seen[record.id] += 1
        if seen[record.id] > 1:
            raise InvalidRecordsError(
                f"{path}: the id {record.id!r} is there twice", "give every record an id of its own"
            )
        counts["records"] = counts.get("records", 0) + 1
        question = ask_record(record, prompt, order(record))
        if question is None:
            counts["no_single_label"] = counts.get("no_single_label", 0) + 1
        else:
            yield question
