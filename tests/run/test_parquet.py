"""Parquet is read like JSON Lines: a row is a line."""

from __future__ import annotations

import datetime
import decimal
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from fare_cli.errors import InputError
from fare_cli.run.lines import InputDigest, count_lines, read_lines
from fare_cli.run.reader import InputPlan, read_items
from tests.cli.conftest import environment
from tests.run.making import pair


def write(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)
    return path


def rows_of(path: Path) -> list[Any]:
    return [json.loads(line.data or b"") for line in read_lines([str(path)], [])]


def test_rows_are_the_records_that_lines_are(tmp_path: Path) -> None:
    pairs = [pair(number, extra=[{"text": "a\nb"}]) for number in range(600)]
    path = write(tmp_path / "in.parquet", pairs, row_group_size=70)
    digests: list[InputDigest] = []
    items = list(read_items(InputPlan("pairwise", (str(path),)), digests))
    assert [item.record.model_dump() for item in items if item.record] == [
        item.record.model_dump() for item in read_items(InputPlan("pairwise", (), records=tuple(pairs))) if item.record
    ]
    assert [item.place.line for item in items if item.place] == list(range(1, 601))
    assert digests[0].sha256 is not None
    assert digests[0].bytes == path.stat().st_size
    assert count_lines([str(path)]) is None


def test_a_null_is_a_field_that_is_not_there(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "gold": None, "turns": [{"role": "user", "name": None}]},
        {"id": None, "gold": "A", "turns": []},
    ]
    assert rows_of(write(tmp_path / "in.parquet", rows)) == [
        {"id": "1", "turns": [{"role": "user"}]},
        {"gold": "A", "turns": []},
    ]


def test_what_json_has_no_word_for_becomes_text(tmp_path: Path) -> None:
    row = {
        "at": datetime.datetime(2026, 1, 2, 3, 4, 5),
        "day": datetime.date(2026, 1, 2),
        "price": decimal.Decimal("1.50"),
        "raw": "Zürich".encode(),
        "broken": b"\xff",
    }
    assert rows_of(write(tmp_path / "in.parquet", [row])) == [
        {"at": "2026-01-02T03:04:05", "day": "2026-01-02", "price": "1.50", "raw": "Zürich", "broken": "\\xff"}
    ]


def test_it_may_come_packed_and_in_random_order(tmp_path: Path) -> None:
    plain = write(tmp_path / "in.parquet", [pair(number) for number in range(40)])
    packed = tmp_path / "in.parquet.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert rows_of(packed) == rows_of(plain)
    shuffled = [item.id for item in read_items(InputPlan("pairwise", (str(plain),), shuffle_seed=3))]
    assert sorted(shuffled) == sorted(f"r{number}" for number in range(40))
    assert shuffled != [f"r{number}" for number in range(40)]


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "in.parquet", [pair(1)])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"in\.parquet is a damaged Parquet file"):
        rows_of(path)


def test_without_pyarrow_it_says_how_to_get_it(tmp_path: Path) -> None:
    write(tmp_path / "in.parquet", [pair(1)])
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')\n")
    command = "import sys; from fare_cli.run.lines import read_lines; list(read_lines(['in.parquet'], []))"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert "in.parquet is a Parquet file, and pyarrow is not installed" in done.stderr
