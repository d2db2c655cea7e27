"""What is judged to be measured: files of records with gold, and published files through their importers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.errors import InputError, UsageError
from fare_cli.importers.convert import Conversion, write_records
from fare_cli.importers.registry import importer_named, importers_for
from fare_cli.importers.suites import Located, Metric, Suite, SuiteSet
from fare_cli.records import Split, TaskName, check_field_map, task_told_by
from fare_cli.report.model import Column, Table
from fare_cli.run.lines import check_inputs, read_lines
from fare_cli.run.reader import InputPlan, read_items
from fare_cli.studies.evaluating.headline import ACCURACY, BOTH_ORDERS, F1, HEADLINES, Headline
from fare_cli.studies.evaluating.verdict_set import Protocol, VerdictSet
from fare_cli.studies.judging import check_rereadable

_HEADLINES: Mapping[Metric, Headline] = {
    "accuracy": ACCURACY,
    "both_orders_right": BOTH_ORDERS,
    "process_f1": F1,
}


class Reading(NamedTuple):
    """How files of records are read: `task` None is told from the first record of each; `limit` is the most records."""

    task: TaskName | None = None
    field_map: Mapping[str, str] = {}
    split: Split | None = None
    shuffle_seed: int | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Records to be judged (the first `limit` of them), by which figure the judge is known on them, and where they are
    from."""

    name: str
    plan: InputPlan
    protocol: Protocol
    facts: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None


def record_source(file: str, reading: Reading, *, needs_gold: bool = True) -> Source:
    """A file of records. Raises InputError or UsageError for one whose task cannot be told, or that has no gold."""
    check_rereadable(InputPlan("", (file,)))
    task = reading.task or task_of(file, reading)
    check_field_map(task, reading.field_map)
    plan = InputPlan(task, (file,), reading.field_map, reading.split, reading.shuffle_seed)
    if needs_gold:
        check_gold(plan)
    return Source(_stem(file), plan, Protocol(HEADLINES[task]), _files([file]), reading.limit)


def published_source(importer: str, files: Sequence[str], reading: Reading, folder: Path) -> Source:
    """Published files through an importer; the records are written to `folder`."""
    made = importer_named(importer)
    return _converted(importer, Protocol(HEADLINES[made.task]), Conversion(made, files), reading, folder)


def suite_source(found: Located, reading: Reading, folder: Path) -> Source:
    """A set of a suite whose files were found; the records are written to `folder`."""
    one = found.set
    conversion = Conversion(one.made_by, [str(path) for path in found.files])
    return _converted(one.name, _protocol(one), conversion, reading, folder)


def by_suite(suite: Suite, kept: VerdictSet) -> VerdictSet:
    """Kept verdicts, measured by the protocol of the suite's set that they are named after. Raises InputError."""
    for one in suite.sets:
        if one.name == kept.name:
            return replace(kept, protocol=_protocol(one))
    raise InputError(
        f"{kept.name} is no set of the suite {suite.name}: {', '.join(one.name for one in suite.sets)}",
        f"verdicts of a suite have the names that fare eval --suite {suite.name} -o DIR gives them",
    )


def _protocol(one: SuiteSet) -> Protocol:
    return Protocol(_HEADLINES[one.metric], one.reported)


def suite_table(found: Sequence[Located]) -> Table:
    """Every set of a suite: how many of its files were found, which are missing, and its protocol."""
    columns = (
        Column("set", "set"),
        Column("measure", "measure"),
        Column("files", "files found"),
        Column("missing", "missing"),
    )
    rows = tuple(
        (one.set.name, _HEADLINES[one.set.metric].name, len(one.files), None if one.files else wanted_files(one))
        for one in found
    )
    protocols = " ".join(f"{one.set.name}: {one.set.protocol}" for one in found)
    return Table("suite", "the sets of the suite", columns, rows, protocols)


def wanted_files(one: Located) -> str:
    """The files of a set as they are published, in words."""
    return ", ".join(pattern.removeprefix("**/") for pattern in one.set.patterns)


def check_gold(plan: InputPlan) -> None:
    """Raises InputError where no record has gold or labels of annotators: there is nothing to measure by."""
    has_record = False
    for item in read_items(plan):
        if item.record is not None:
            has_record = True
            if item.record.labels():
                return
    if has_record:
        raise InputError(
            f"{', '.join(plan.files)}: no record has gold, so there is nothing to measure the judge by",
            "--map gold=FIELD takes it from elsewhere; fare judge judges records without gold",
        )


def _converted(name: str, protocol: Protocol, conversion: Conversion, reading: Reading, folder: Path) -> Source:
    path = folder / f"{name}.records.jsonl"
    write_records(conversion, path, force=True)
    plan = InputPlan(conversion.importer.task, (str(path),), shuffle_seed=reading.shuffle_seed)
    check_gold(plan)
    facts = {
        **_files(conversion.files),
        "importer": conversion.importer.name,
        "rows": conversion.rows,
        "skipped": dict(conversion.skipped),
    }
    return Source(name, plan, protocol, facts, reading.limit)


def _files(names: Sequence[str]) -> dict[str, Any]:
    """Files with their sha256, so that a report says what it is of."""
    found = {}
    for name in names:
        with Path(name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return {"records": found}


def task_of(file: str, reading: Reading) -> TaskName:
    """The task that the fields of the first record speak for. Raises UsageError where they do not, InputError for a
    file that cannot be read."""
    check_inputs([file])
    try:
        first = _first(file)
    except InputError as error:
        raise InputError(error.message, _hint(file, error.hint)) from None
    there = {name for name, value in first.items() if value is not None} | set(reading.field_map)
    if reading.split is not None and "answer" in there:
        return "step"
    if (task := task_told_by(there)) is not None:
        return task
    raise UsageError(
        f"{file}: what task its records are of cannot be told; the first has {', '.join(sorted(there)) or 'no fields'}",
        f"these are verdicts: --verdicts {file}"
        if {"verdict", "judgments"} <= there
        else _hint(file, "say it with --task, take fields from elsewhere with --map"),
    )


def _first(file: str) -> Mapping[str, Any]:
    """The first record as JSON values."""
    # What is no JSONL at all is refused by the reader.
    if next(read_items(InputPlan("verify", (file,))), None) is None:
        raise InputError(f"{file} holds no records")
    line = next(line for line in read_lines([file], []) if line.data is None or line.data.strip())
    try:
        values = json.loads(line.data or b"")
    except ValueError:
        values = None
    if not isinstance(values, Mapping):
        raise InputError(f"{file}, line {line.number} is not a JSON object", "say what the records are with --task")
    return values


def _hint(file: str, otherwise: str | None) -> str | None:
    """How to name a published file that is no file of records."""
    fitting = importers_for([file])
    return (
        f"it looks like a published file: {' or '.join(f'{name}={file}' for name in fitting)}" if fitting else otherwise
    )


def _stem(file: str) -> str:
    name = Path(file).name
    return name.removesuffix(".gz").removesuffix(".jsonl") or name
