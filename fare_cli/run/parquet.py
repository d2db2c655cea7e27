"""Rows of Parquet files, as values and as lines of JSON, so that what reads JSON Lines reads Parquet too."""

from __future__ import annotations

import datetime
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, cast

from fare_cli.errors import EnvironmentFault, InputError

_ROWS_AT_ONCE = 256


def parquet_rows(name: str, source: IO[bytes] | io.BufferedIOBase) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, which `source` gives from its first byte on; `name` is for messages.

    Raises InputError for a damaged file, EnvironmentFault where pyarrow is missing.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise EnvironmentFault(
            f"{name} is a Parquet file, and pyarrow is not installed", "install it: pip install 'fare-cli[parquet]'"
        ) from error
    # Parquet begins at its end, which a pipe and a packed file cannot be asked for.
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(source, copy)
        try:
            for batch in parquet.ParquetFile(copy).iter_batches(_ROWS_AT_ONCE):
                yield from batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{name} is a damaged Parquet file: {error}") from error


class ParquetLines(io.RawIOBase):
    """The rows of a Parquet file as JSON Lines, one for each row, so that row N is line N.

    A null says nothing and is left out, since a row has all columns of its file. What JSON has no word for becomes
    text: dates and times in ISO 8601, decimal numbers, binary columns as UTF-8. Raises as `parquet_rows` does.
    """

    def __init__(self, name: str, source: IO[bytes] | io.BufferedIOBase) -> None:
        super().__init__()
        self._rows = parquet_rows(name, source)
        self._held = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        if not self._held:
            self._held = next((_line(row) for row in self._rows), b"")
        count = min(len(view), len(self._held))
        view[:count], self._held = self._held[:count], self._held[count:]
        return count


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(_without_nulls(row), ensure_ascii=False, default=_as_text).encode("utf-8") + b"\n"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)
