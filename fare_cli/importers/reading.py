"""Rows out of published files: JSON Lines, JSON documents, CSV, TSV, Parquet, plain or gzip, told by their content.

Names are not trusted: several sets publish JSON Lines as `.json`. JSON Lines, JSON arrays, tables and Parquet are read
row by row; a JSON object is held in memory as a whole, so it has a limit.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from fare_cli.errors import InputError
from fare_cli.importers.json_stream import MAX_JSON_BYTES, JsonText, reason
from fare_cli.importers.row import Row
from fare_cli.importers.tables import table_rows
from fare_cli.record_fields import what
from fare_cli.run.lines import (
    PARQUET_MAGIC,
    UTF8_BOM,
    InputDigest,
    check_inputs,
    foreign_kind,
    open_unpacked,
    split_lines,
)
from fare_cli.run.parquet import parquet_rows

KEY = "_key"
"""Field of a row that came out of a JSON object of objects or of lists: the name under which it stood there."""

_HEAD_BYTES = 64 * 1024

_Read = Callable[[int], bytes]


def read_rows(files: Sequence[str]) -> Iterator[Row]:
    """All rows of all files in order; `-` is stdin.

    A row is a line of JSON Lines, an element of a JSON array, a line under the header of CSV or TSV (all its values are
    text), or a row of Parquet. A JSON object of which every value is an object, or a list of objects, is a set of rows:
    each gets the name under which it stood as `_key`, where it has no field of that name. Any other JSON object is one
    row. Raises InputError with file and line for what cannot be read, EnvironmentFault where pyarrow is missing.
    """
    check_inputs(files)
    for name in files:
        has_rows = False
        for row in _rows(name):
            has_rows = True
            yield row
        if not has_rows:
            raise InputError(f"{name} holds no rows")


def _rows(name: str) -> Iterator[Row]:
    with open_unpacked(name, InputDigest(name)) as (source, start):
        if start.startswith(PARQUET_MAGIC):
            for number, values in enumerate(parquet_rows(name, source), start=1):
                yield Row(name, number, values)
            return
        if kind := foreign_kind(start):
            raise InputError(
                f"{name} is {kind}",
                "JSON Lines, JSON, CSV, TSV and Parquet can be read, plain or gzip; unpack it first",
            )
        head = _head(source.read1).removeprefix(UTF8_BOM)
        read = _again(head, source.read1)
        first = head.lstrip()[:1]
        if first == b"[":
            yield from _array_rows(name, read)
        elif first == b"{":
            yield from _object_rows(name, read)
        elif first:
            yield from table_rows(name, read)


def _head(read: _Read) -> bytes:
    """What the file begins with: enough to tell its kind, also where a pipe gives little at a time."""
    head = b""
    while len(head.lstrip()) <= len(UTF8_BOM) and (data := read(_HEAD_BYTES)):
        head += data
    return head


def _again(head: bytes, read: _Read) -> _Read:
    """Reads `head` and then on."""
    parts = iter((head,) if head else ())
    return lambda size: next(parts, b"") or read(size)


def _array_rows(name: str, read: _Read) -> Iterator[Row]:
    text = JsonText(name, read)
    text.take("[")
    for number in itertools.count(1):
        if text.next_character() == "]" and number == 1:
            break
        yield _row(name, number, text.value(f"element {number}"), "element")
        if text.next_character() == "]":
            break
        text.take(",", f"after element {number}")
    text.take("]")
    if text.next_character():
        raise InputError(f"{name}: something follows the end of the JSON array")


def _object_rows(name: str, read: _Read) -> Iterator[Row]:
    """JSON Lines, or one JSON object over one or several lines."""
    lines = (
        (number, _checked(name, number, piece.data))
        for number, piece in enumerate(split_lines(read, MAX_JSON_BYTES), start=1)
        if piece.data is None or piece.data.strip()
    )
    with closing(lines):
        number, line = next(lines)
        following = next(lines, None)
        try:
            first = json.loads(line)
        except (ValueError, RecursionError):
            yield from _document_rows(name, _document(name, [(number, line), *_all(name, following, lines)]))
            return
        if following is None:
            yield from _document_rows(name, first)
            return
        yield _row(name, number, first, "line")
        for number, line in itertools.chain([following], lines):
            yield _row(name, number, _loads(line, f"{name}, line {number}"), "line")


def _checked(name: str, number: int, data: bytes | None) -> bytes:
    if data is None:
        raise InputError(f"{name}, line {number} has more than {MAX_JSON_BYTES >> 20} MiB")
    return data


def _all(name: str, first: tuple[int, bytes] | None, lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    size = 0
    for number, line in itertools.chain([first] if first else [], lines):
        size += len(line)
        if size > MAX_JSON_BYTES:
            raise InputError(
                f"{name} is a JSON object of more than {MAX_JSON_BYTES >> 20} MiB, which is read as a whole",
                "turn it into JSON Lines first, for example: jq -c '.[]' FILE > FILE.jsonl",
            )
        yield number, line


def _document(name: str, lines: list[tuple[int, bytes]]) -> Any:
    # Empty lines were left out: they stand again, so that an error names the physical line.
    whole = bytearray()
    at = 1
    for number, line in lines:
        whole += b"\n" * (number - at) + line
        at = number
    return _loads(bytes(whole), name, whole=True)


def _document_rows(name: str, document: Any) -> Iterator[Row]:
    if not isinstance(document, Mapping) or not (named := _named_rows(document)):
        yield _row(name, 1, document, "element")
        return
    for number, (key, values) in enumerate(named, start=1):
        yield Row(name, number, {KEY: key, **values})


def _named_rows(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows of an object of objects or of lists of objects with their keys; none of any other object."""
    if all(isinstance(value, Mapping) for value in document.values()):
        return list(document.items())
    if all(isinstance(value, list) for value in document.values()):
        rows = [(key, row) for key, values in document.items() for row in values]
        return rows if all(isinstance(row, Mapping) for _, row in rows) else []
    return []


def _loads(data: bytes, where: str, *, whole: bool = False) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: byte {error.start} (0x{data[error.start]:02x}) is not UTF-8") from None
    except RecursionError:
        raise InputError(f"{where}: the JSON is nested too deep") from None
    except ValueError as error:
        line = f", line {error.lineno}" if whole and isinstance(error, json.JSONDecodeError) else ""
        raise InputError(f"{where}{line}: {reason(error)}") from None


def _row(name: str, number: int, values: Any, unit: str) -> Row:
    if not isinstance(values, Mapping):
        raise InputError(f"{name}, {unit} {number} is {what(values)}, not an object with fields")
    return Row(name, number, values)
