"""Bodies of requests: read up to a limit, and turned into records."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from starlette.requests import ClientDisconnect, Request

from fare_cli.errors import RecordError
from fare_cli.records import Record, parse
from fare_cli.run.ids import RecordIds
from fare_cli.run.reader import Item, given_id, identified, json_value
from fare_cli.server.problem import Problem, RecordFault, client_gone

JSON = "application/json"
JSONL = "application/x-ndjson"
_JSONL_TYPES = frozenset({JSONL, "application/jsonl", "application/ndjson", "application/jsonlines"})
# A body that trickles in holds memory and a connection.
_PATIENCE_S = 60
_MOST_FAULTS = 20


class Body(NamedTuple):
    """What came: the bytes, and whether they are lines of JSON rather than one value."""

    data: bytes
    is_lines: bool


async def read_body(request: Request, most_bytes: int) -> Body:
    """The whole body. Raises Problem: 415 for what is no JSON by its type, 413 beyond the limit, 408 for one that does
    not come, 499 where the client went away."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON and kind not in _JSONL_TYPES:
        raise Problem(415, "wrong_type", f"the body is {kind}", hint=f"send {JSON}, or {JSONL} for one record a line")
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    data = bytearray()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async for piece in request.stream():
                data += piece
                if len(data) > most_bytes:
                    raise _too_large(most_bytes)
    except ClientDisconnect:
        raise client_gone() from None
    except TimeoutError:
        raise Problem(408, "timeout", f"the body did not come within {_PATIENCE_S} s") from None
    return Body(bytes(data), kind != JSON)


def _too_large(most_bytes: int) -> Problem:
    message = f"the body has more than {most_bytes} bytes"
    return Problem(413, "too_large", message, hint="send fewer records at a time", headers={"Connection": "close"})


def json_body(body: Body) -> Any:
    """The JSON value in a body. Raises Problem 400 for what is none, 415 for lines."""
    if body.is_lines:
        raise Problem(415, "wrong_type", "lines of JSON are taken by /v1/judge", hint=f"send {JSON}")
    try:
        return json_value(body.data)
    except RecordError as error:
        raise Problem(400, error.kind, f"the body is {error.message}") from None


def values_in(body: Body, room: int) -> list[Any]:
    """The values that should be records: of `{"records": [...]}`, or one a line, an error where a line is no JSON.

    Raises Problem 400 or 422 for another body, 413 for more than `room` values.
    """
    if body.is_lines:
        return _values_of_lines(body.data, room)
    value = json_body(body)
    if not isinstance(value, dict) or not isinstance(value.get("records"), list):
        raise Problem(422, "bad_type", 'the body is no object {"records": [...]}')
    if unknown := value.keys() - {"records"}:
        raise Problem(422, "unknown_field", f"the body has a field {min(unknown)!r} beside `records`")
    check_count(len(value["records"]), room)
    return list(value["records"])


def _values_of_lines(data: bytes, room: int) -> list[Any]:
    # 32 MiB may be 16 million lines: no more of them are looked at than may be there.
    values: list[Any] = []
    for line in io.BytesIO(data):
        if line.strip():
            check_count(len(values) + 1, room)
            values.append(_value_or_error(line.rstrip(b"\n")))
    return values


def check_count(records: int, room: int) -> None:
    """Raises Problem 413 for more records than the `room` there is for all that wait."""
    if records > room:
        message = f"these are more than the {room} records that may wait"
        raise Problem(413, "too_many_records", message, hint="send fewer at a time, or start it with --max-queue")


def _value_or_error(line: bytes) -> Any:
    try:
        return json_value(line)
    except RecordError as error:
        return error


def items_in(task: str, values: Sequence[Any], record_of: Callable[[Any], Any] = lambda value: value) -> list[Item]:
    """The records as items of the pool; `record_of` turns each value into the fields of a record.

    Raises Problem 422 that names the records and fields at fault, if there are any.
    """
    ids = RecordIds()
    items = []
    for number, value in enumerate(values):
        item = _item(task, value, record_of)
        items.append(identified(item, ids, number, lambda first: f"record {first}"))
    faults = [_fault(number, item.id, item.error) for number, item in enumerate(items) if item.error is not None]
    if faults:
        raise refused(faults)
    return items


def _item(task: str, value: Any, record_of: Callable[[Any], Any]) -> Item:
    try:
        if isinstance(value, RecordError):
            raise value
        record: Record = parse(task, record_of(value))
    except RecordError as error:
        return Item(None, error, given_id(value))
    return Item(record, None, record.id)


def _fault(number: int, id: str, error: RecordError) -> RecordFault:
    return RecordFault(record=number, id=id, field=error.field, kind=error.kind, message=error.message)


def refused(faults: Iterable[RecordFault]) -> Problem:
    """422 that names what is wrong with records, the first twenty of them."""
    named = list(faults)
    first = named[0]
    where = f" ({first.id})" if first.id else ""
    more = f", and {len(named) - 1} more" if len(named) > 1 else ""
    message = f"record {first.record}{where}: {first.message}{more}"
    return Problem(422, first.kind, message, records=named[:_MOST_FAULTS])
