"""Items of a run: every input line as a record with an id, or as the reason why it is none."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

from fare_cli import records
from fare_cli.errors import InputError, RecordError
from fare_cli.records import Record, Split
from fare_cli.run.ids import MOST, RecordIds
from fare_cli.run.lines import MAX_LINE_BYTES, InCluster, InputDigest, RawLine, ShuffledLines, read_lines


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: a file as the user named it, and its line, counted from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Item:
    """A record with its id, or the error that it has instead.

    Both are there where a record is sound but its id is taken. `id` is "" where not even an id could be read. `size` is
    about how many bytes of memory the record needs. `cluster` is there where records come by clusters.
    """

    record: Record | None
    error: RecordError | None = None
    id: str = ""
    place: Place | None = None
    size: int = 0
    cluster: InCluster | None = None


@dataclass(frozen=True, slots=True)
class InputPlan:
    """What is read, and how: `files` in order ("-" is stdin), shuffled if there is a seed; or `records` in memory,
    which may have `places` that they come from.

    `by_cluster` shuffles questions (or groups) instead of records, so that each one's records come together. `inside`
    names the field in which each line has its record: `record` for files of verdicts.
    """

    task: str
    files: tuple[str, ...]
    field_map: Mapping[str, str] = field(default_factory=dict)
    split: Split | None = None
    shuffle_seed: int | None = None
    by_cluster: bool = False
    inside: str | None = None
    max_line_bytes: int = MAX_LINE_BYTES
    records: tuple[Record | Mapping[str, Any], ...] = ()
    places: tuple[Place, ...] = ()


def read_items(plan: InputPlan, digests: list[InputDigest] | None = None) -> Iterator[Item]:
    """An item for every line that is not empty, in input order (or in the order of the shuffle), in bounded memory.

    A line that is no record becomes an item with an error; a digest a file is appended to `digests`. Raises InputError
    for an input that cannot be read, at the place where that shows.
    """
    if plan.records:
        items = items_of(plan.task, plan.records, split=plan.split)
        yield from map(_placed, items, plan.places) if plan.places else items
        return
    places = _Places(plan.files)
    digests = [] if digests is None else digests
    ids = RecordIds()
    for line in _lines(plan, digests):
        if line.data is None or line.data.strip():
            place = Place(line.file, line.number)
            item = identified(_item(plan, line, place), ids, places.number(place), places.name)
            yield item if line.cluster is None else replace(item, cluster=line.cluster)


def read_values(plan: InputPlan) -> Iterator[tuple[Place, Any]]:
    """The JSON value of every line that is not empty, or the RecordError that it has instead.

    For inputs of which a line can be more than one record. Raises InputError for an input that cannot be read.
    """
    for line in _lines(plan, []):
        if line.data is None or line.data.strip():
            try:
                value = _json_of(line, plan.max_line_bytes)
            except RecordError as error:
                value = error
            yield Place(line.file, line.number), value


def _lines(plan: InputPlan, digests: list[InputDigest]) -> Iterator[RawLine]:
    if plan.shuffle_seed is None:
        for line in read_lines(plan.files, digests, max_line_bytes=plan.max_line_bytes):
            _refuse_other_json(line)
            yield line
        return
    shuffled = ShuffledLines(
        plan.files,
        digests,
        plan.shuffle_seed,
        max_line_bytes=plan.max_line_bytes,
        cluster_of=partial(_cluster, plan) if plan.by_cluster else None,
    )
    with contextlib.closing(shuffled):
        for line in shuffled:
            _refuse_other_json(line)
            yield line


def items_of(task: str, values: Iterable[Record | Mapping[str, Any]], *, split: Split | None = None) -> Iterator[Item]:
    """Items of records that are in memory already: Record objects, or mappings as `records.parse` takes them."""
    ids = RecordIds()
    for number, value in enumerate(values, start=1):
        yield identified(_checked(task, value, split), ids, number, "record {}".format)


def _placed(item: Item, place: Place) -> Item:
    return replace(item, place=place)


def _checked(task: str, value: Record | Mapping[str, Any], split: Split | None) -> Item:
    if isinstance(value, Record):
        if value.task != task:
            error = RecordError("bad_type", f"this is a record of task {value.task}, not of {task}")
            return Item(None, error, value.id)
        return Item(value, None, value.id)
    try:
        record = records.parse(task, value, split=split)
    except RecordError as error:
        return Item(None, error, given_id(value))
    return Item(record, None, record.id)


def _item(plan: InputPlan, line: RawLine, place: Place) -> Item:
    values: Any = None
    try:
        values = _record_in(plan, _json_of(line, plan.max_line_bytes))
        record = records.parse(plan.task, values, field_map=plan.field_map, split=plan.split)
    except RecordError as error:
        return Item(None, error, given_id(values), place, line.size)
    return Item(record, None, record.id, place, line.size)


def _cluster(plan: InputPlan, data: bytes) -> str | None:
    """The cluster of the record in a line; None where it holds none."""
    with contextlib.suppress(RecordError):
        values = _record_in(plan, _json_of(RawLine("", 0, data, len(data)), plan.max_line_bytes))
        return records.parse(plan.task, values, field_map=plan.field_map, split=plan.split).cluster()
    return None


def _record_in(plan: InputPlan, values: Any) -> Any:
    if plan.inside is None:
        return values
    found = values.get(plan.inside) if isinstance(values, Mapping) else None
    if found is None:
        raise RecordError("missing_field", f"`{plan.inside}` is missing: the line has no record in it", plan.inside)
    return found


def _json_of(line: RawLine, max_line_bytes: int) -> Any:
    if line.data is None:
        raise RecordError("line_too_long", f"the line has more than {max_line_bytes} bytes")
    return json_value(line.data)


def json_value(data: bytes) -> Any:
    """The JSON value in UTF-8 text. Raises RecordError: `bad_utf8`, `bad_json`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise RecordError("bad_utf8", f"byte {error.start} (0x{byte:02x}) is not UTF-8: {error.reason}") from None
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise RecordError("bad_json", "the JSON is nested too deep") from None
    except json.JSONDecodeError as error:
        raise RecordError("bad_json", f"not JSON: {error.msg} (column {error.colno})") from None
    except ValueError as error:
        raise RecordError("bad_json", f"not JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError("bad_json", f"{name} is not a JSON value")


def given_id(values: Any) -> str:
    """The id in what should be a record; "" where there is none."""
    given = values.get("id") if isinstance(values, Mapping) else None
    if not isinstance(given, str):
        return ""
    return given.encode("utf-8", "backslashreplace").decode("utf-8")


def _refuse_other_json(line: RawLine) -> None:
    """A first line that only a JSON array or a pretty-printed object can start with: every line would be invalid."""
    start = (line.data or b"")[:4096].strip()
    if line.number == 1 and (start.startswith(b"[") or start == b"{"):
        what = "a JSON array" if start.startswith(b"[") else "a JSON document over several lines"
        raise InputError(
            f"{line.file} is {what}, not JSONL (one object a line)",
            "turn it into JSONL with: jq -c '.[]' FILE > FILE.jsonl",
        )


class _Places:
    """Places as single numbers below 2^32 and back: the low bits say which file, the others which line."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = list(dict.fromkeys(files))
        self._bits = (len(self._files) - 1).bit_length()

    def number(self, place: Place) -> int:
        return place.line << self._bits | self._files.index(place.file)

    def name(self, number: int) -> str:
        if number >= MOST:
            return "an earlier line"
        return f"line {number >> self._bits} of {self._files[number & (1 << self._bits) - 1]}"


def identified(item: Item, ids: RecordIds, number: int, name: Callable[[int], str]) -> Item:
    """The item with an id of its own, or with the error that its id is taken; `name` says for people where."""
    if not item.id:
        if item.record is None:
            return item
        derived = ids.derive(item.record.content_id(), number)
        return replace(item, record=item.record.with_id(derived), id=derived)
    first = ids.claim(item.id, number)
    if first is None or item.error is not None:
        return item
    return replace(item, error=RecordError("duplicate_id", f"id {item.id!r} is taken by {name(first)}", "id"))
