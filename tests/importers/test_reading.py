"""Rows come out of every format as they went in, and errors say where."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from fare_cli.errors import EnvironmentFault, InputError
from fare_cli.importers import json_stream
from fare_cli.importers.reading import read_rows
from tests.cli.conftest import ROOT, environment

Rows = list[dict[str, Any]]

_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), min_size=1, max_size=6)
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)
_JSON_ROWS = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=4), min_size=2, max_size=6)


@st.composite
def _tables(draw: st.DrawFn) -> Rows:
    header = draw(st.lists(_NAMES, min_size=2, max_size=4, unique=True))
    cells = st.lists(_TEXTS, min_size=len(header), max_size=len(header))
    return [dict(zip(header, row, strict=True)) for row in draw(st.lists(cells, min_size=1, max_size=6))]


def _lines(rows: Rows) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def _table(delimiter: str) -> Callable[[Rows], bytes]:
    def write(rows: Rows) -> bytes:
        out = io.StringIO()
        # QUOTE_ALL, because a row of nothing but white space cannot be told from an empty line otherwise.
        writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue().encode()

    return write


def _parquet(rows: Rows) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


_JSON: dict[str, Callable[[Rows], bytes]] = {
    "lines": _lines,
    "lines with empty ones": lambda rows: b"\n\n" + _lines(rows).replace(b"\n", b"\r\n \r\n") + b"\n\n",
    "array": lambda rows: json.dumps(rows).encode(),
    "indented array": lambda rows: json.dumps(rows, indent=2, ensure_ascii=False).encode(),
}
_TABLES = {"csv": _table(","), "tsv": _table("\t"), "parquet": _parquet}


def _read(data: bytes, tmp_path: Path, name: str = "rows.json") -> Rows:
    file = tmp_path / name
    file.write_bytes(data)
    return [dict(row.values) for row in read_rows([str(file)])]


@pytest.mark.parametrize("write", _JSON.values(), ids=_JSON)
@given(rows=_JSON_ROWS)
def test_json_gives_the_rows_that_were_written(
    write: Callable[[Rows], bytes], rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    assert _read(write(rows), folder) == rows
    assert _read(gzip.compress(b"\xef\xbb\xbf" + write(rows)), folder) == rows


@pytest.mark.parametrize("write", _TABLES.values(), ids=_TABLES)
@given(rows=_tables())
def test_tables_give_the_rows_that_were_written(
    write: Callable[[Rows], bytes], rows: Rows, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    assert _read(write(rows), folder) == rows
    assert _read(gzip.compress(write(rows)), folder) == rows


@given(rows=st.dictionaries(_NAMES, st.dictionaries(_NAMES, _VALUES, max_size=3), min_size=1, max_size=4))
def test_an_object_of_objects_gives_rows_that_know_their_name(
    rows: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = [{"_key": key, **row} for key, row in rows.items()]
    assert _read(json.dumps(rows, indent=1).encode(), tmp_path_factory.mktemp("rows")) == expected


def test_an_object_of_lists_gives_all_their_rows(tmp_path: Path) -> None:
    document = {"q1": [{"step": 1}, {"step": 2}], "q2": [], "q3": [{"step": 3, "_key": "mine"}]}
    rows = list(read_rows([_file(tmp_path, json.dumps(document))]))
    assert [dict(row.values) for row in rows] == [
        {"_key": "q1", "step": 1},
        {"_key": "q1", "step": 2},
        {"_key": "mine", "step": 3},
    ]
    assert [row.line for row in rows] == [1, 2, 3]


@pytest.mark.parametrize(
    "document", [{"a": 1, "rows": [{"b": 2}]}, {"a": [1, 2], "b": [3]}, {"a": {"b": 1}, "c": "x"}, {"a": []}]
)
@pytest.mark.parametrize("indent", [None, 2])
def test_any_other_object_is_one_row(document: Any, indent: int | None, tmp_path: Path) -> None:
    assert _read(json.dumps(document, indent=indent).encode(), tmp_path) == [document]


def test_titles_in_quotation_marks_stay_in_a_table_without_quoting(tmp_path: Path) -> None:
    text = 'id\tanswer\n1\t"Help!" by the Beatles\n2\t"a ""quoted"" cell\n\nover lines"\n3\tthe song "Help!"\n'
    assert _read(text.encode(), tmp_path) == [
        {"id": "1", "answer": '"Help!" by the Beatles'},
        {"id": "2", "answer": 'a "quoted" cell\n\nover lines'},
        {"id": "3", "answer": 'the song "Help!"'},
    ]


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    assert _read(b'{"a": "1"}\n{"a": "2"}\n', tmp_path, "x.parquet") == [{"a": "1"}, {"a": "2"}]
    assert _read(b'a\tb\n1,5\t"x\ny"\n', tmp_path, "x.csv") == [{"a": "1,5", "b": "x\ny"}]
    assert _read(_parquet([{"a": 1}]), tmp_path, "x.jsonl.gz") == [{"a": 1}]


def test_lines_are_physical_lines_and_elements_are_counted(tmp_path: Path) -> None:
    def places(text: str) -> list[int]:
        return [row.line for row in read_rows([_file(tmp_path, text)])]

    assert places('\n{"a": 1}\n\n{"a": 2}\n') == [2, 4]
    assert places('a,b\n1,"x\ny\nz"\n\n2,y\n') == [2, 6]
    assert places("\n\na,b\n1,2\n") == [4]
    assert places('[\n{"a": 1},\n\n{"a": 2}]') == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": 2\n', "line 2: not JSON: Expecting ',' delimiter (column 8)"),
        ('{"a": 1}\n[2]\n', "line 2 is a list, not an object with fields"),
        ('{"a": 1}\n"x"\n', "line 2 is text, not an object with fields"),
        ('{\n"a": 1,\n\n"b": x\n}', ", line 4: not JSON: Expecting value (column 6)"),
        ('[{"a": 1}, {"a": x}]', "element 2: not JSON: Expecting value"),
        ('[{"a": 1}, 3]', "element 2 is a number, not an object with fields"),
        ('[{"a": 1} {"a": 2}]', "the JSON array is broken after element 1: expected ',', '{'"),
        ('[{"a": 1}', "the JSON array is broken after element 1: expected ',', the file ends"),
        ('[{"a": 1}] x', "something follows the end of the JSON array"),
        ("[", "element 1: not JSON"),
        ("[]", "holds no rows"),
        ("  \n", "holds no rows"),
        ("a,b\n", "holds no rows"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, the header 2"),
        ('a,b\n1,2\n1,"2\n3\n', "line 3: a quoted cell is not closed before the file ends"),
        ('a\tb\n1\t"2\n', "line 2: a quoted cell is not closed before the file ends"),
        ('a,b\n1,"2" x\n', "line 2: ',' expected after '\"'"),
        ("a,b,a\n1,2,3\n", "line 1: the header names 'a' twice"),
        ("just a sentence\nand another\n", "is no JSON, and line 1 is no header of a table"),
        ('{"a": ' + "[" * 100_000 + "\n", "the JSON is nested too deep"),
        ("[" * 100_000, "the JSON is nested too deep"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    file = _file(tmp_path, text)
    with pytest.raises(InputError) as refused:
        list(read_rows([file]))
    assert refused.value.message.startswith(file)
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1}\n{"a": "\xff"}\n', "line 2: byte 7 (0xff) is not UTF-8"),
        (b'[{"a": "\xff"}]', "is not UTF-8 text"),
        (b"a,b\n1,\xff\n", "line 2: byte 2 (0xff) is not UTF-8"),
        (b"PAR1 and nothing else", "is a damaged Parquet file"),
        (b"PK\x03\x04....", "is a zip archive"),
        (gzip.compress(b'{"a": 1}\n{"a": 2}\n', mtime=0)[:-12], "is cut off"),
    ],
)
def test_bytes_that_cannot_be_read_are_refused(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        _read(data, tmp_path)
    assert message in refused.value.message


def test_missing_files_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        next(iter(read_rows([_file(tmp_path, '{"a": 1}'), str(tmp_path / "none.json")])))
    with pytest.raises(InputError, match="is a directory"):
        next(iter(read_rows([str(tmp_path)])))


def test_a_long_array_is_read_element_by_element(tmp_path: Path) -> None:
    """20 MB of elements in a fraction of that, with some that span more than one step of reading."""
    file = tmp_path / "long.json"
    with file.open("w") as out:
        out.write("[")
        for number in range(9000):
            out.write(("," if number else "") + json.dumps({"n": number, "text": 'ä\\"]' * 500}))
        out.write("," + json.dumps({"n": 9000, "text": "x" * 3_000_000}) + "]")
    assert file.stat().st_size > 20_000_000
    tracemalloc.start()
    numbers = [row.values["n"] for row in read_rows([str(file)])]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert numbers == list(range(9001))
    assert peak < 20_000_000


def test_an_object_that_is_too_large_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fare_cli.importers.reading.MAX_JSON_BYTES", 1 << 20)
    monkeypatch.setattr(json_stream, "MAX_JSON_BYTES", 1 << 20)
    text = "x" * 3_000_000
    with pytest.raises(InputError, match="JSON object of more than 1 MiB, which is read as a whole"):
        _read(json.dumps({"a": {"b": text[: 1 << 19]}, "c": {"d": text[: 1 << 19]}}, indent=1).encode(), tmp_path)
    with pytest.raises(InputError, match="line 1 has more than 1 MiB"):
        _read(json.dumps({"a": text}).encode(), tmp_path)
    with pytest.raises(InputError, match="element 1: not JSON"):
        _read(b'[{"a": "' + b"x" * 9_000_000, tmp_path)


def test_stdin_is_read_in_every_format() -> None:
    program = "from fare_cli.importers.reading import read_rows; print([dict(r.values) for r in read_rows(['-'])])"
    for data in (b'{"a": 1}\n{"a": 2}', b'[{"a": 1}, {"a": 2}]', _parquet([{"a": 1}, {"a": 2}])):
        for packed in (data, gzip.compress(data)):
            done = subprocess.run(
                [sys.executable, "-c", program],
                input=packed,
                capture_output=True,
                env=environment(),
                cwd=ROOT,
                check=True,
            )
            assert done.stdout.decode().strip() == "[{'a': 1}, {'a': 2}]"


def test_without_pyarrow_a_parquet_file_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(EnvironmentFault, match="pyarrow is not installed") as fault:
        _read(_parquet([{"a": 1}]), tmp_path)
    assert fault.value.hint == "install it: pip install 'fare-cli[parquet]'"


def _file(tmp_path: Path, text: str) -> str:
    file = tmp_path / "rows.json"
    file.write_text(text)
    return str(file)
