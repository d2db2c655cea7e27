"""Rows of CSV and TSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence

from fare_cli.errors import InputError
from fare_cli.importers.row import Row
from fare_cli.run.lines import MAX_LINE_BYTES, split_lines

_OPEN_QUOTE = "unexpected end of data"
"""What the csv module says of a quoted cell that goes on in the next line."""


def table_rows(name: str, read: Callable[[int], bytes]) -> Iterator[Row]:
    """The lines under the header, every value a text; `line` is where a row starts.

    Raises InputError for a row of more or fewer cells than the header, and for broken quotes: either would move texts
    into other columns without a word.
    """
    # The module's own limit for a cell, 128 KiB, is one for the whole process.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    lines = _text_lines(name, read)
    number, first = next((number, line) for number, line in lines if line.strip())
    delimiter = "\t" if _is_cut_by_tabs(first) else ","
    header = _cells(name, number, first, lines, delimiter)
    _check_header(name, number, header)
    for number, line in lines:
        if not line.strip("\r\n"):
            continue
        cells = _cells(name, number, line, lines, delimiter)
        if len(cells) != len(header):
            raise InputError(f"{name}, line {number} has {len(cells)} cells, the header {len(header)}")
        yield Row(name, number, dict(zip(header, cells, strict=True)))


def _is_cut_by_tabs(header: str) -> bool:
    try:
        return len(_cut(header, "\t") or header.split("\t")) > 1
    except csv.Error:  # a quoted name with a tab in it, and something else behind: a comma
        return False


def _cells(name: str, number: int, line: str, following: Iterator[tuple[int, str]], delimiter: str) -> list[str]:
    """The cells of a row; the lines over which its quoted cells go on are taken from `following`."""
    try:
        cells = _cut(line, delimiter)
        while cells is None:
            # Only a quotation mark can close the cell: what has none need not be tried.
            more = ""
            while '"' not in more:
                _, part = next(following, (0, ""))
                if not part:
                    raise InputError(f"{name}, line {number}: a quoted cell is not closed before the file ends")
                more += part
            line += more
            cells = _cut(line, delimiter)
    except csv.Error as error:
        if delimiter == "\t" and line.count("\n") <= 1:
            # TSV is often written without quoting, and its texts may begin with a title in quotation marks (NQ301).
            return line.rstrip("\r\n").split("\t")
        raise InputError(f"{name}, line {number}: {error}") from None
    return cells


def _cut(text: str, delimiter: str) -> list[str] | None:
    """None where a quoted cell is still open at the end."""
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        if str(error) == _OPEN_QUOTE:
            return None
        raise


def _check_header(name: str, number: int, header: Sequence[str]) -> None:
    if len(header) < 2:
        raise InputError(
            f"{name} is no JSON, and line {number} is no header of a table: there is no comma and no tab in it",
            "JSON Lines, JSON, CSV, TSV and Parquet can be read",
        )
    for column in header:
        if header.count(column) > 1:
            raise InputError(f"{name}, line {number}: the header names {column!r} twice")


def _text_lines(name: str, read: Callable[[int], bytes]) -> Iterator[tuple[int, str]]:
    for number, piece in enumerate(split_lines(read, MAX_LINE_BYTES), start=1):
        if piece.data is None:
            raise InputError(f"{name}, line {number} has more than {MAX_LINE_BYTES >> 20} MiB")
        try:
            yield number, piece.data.decode("utf-8") + ("\n" if piece.ended else "")
        except UnicodeDecodeError as error:
            byte = piece.data[error.start]
            raise InputError(f"{name}, line {number}: byte {error.start} (0x{byte:02x}) is not UTF-8") from None
