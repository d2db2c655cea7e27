"""Whatever stands in a file becomes a record or an error that names its place; only unusable files end a run."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.errors import InputError
from fare_cli.records import parse
from fare_cli.run.reader import InputPlan, Item, items_of, read_items

GOOD = {"question": "2+2?", "answer_a": "4", "answer_b": "5"}


def items(*files: Path | str, **settings: object) -> list[Item]:
    return list(read_items(InputPlan("pairwise", tuple(str(file) for file in files), **settings)))  # type: ignore[arg-type]


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def good(**more: object) -> bytes:
    return json.dumps({**GOOD, **more}).encode()


HOSTILE = {
    "broken UTF-8": (good().replace(b"4", b"\xff"), "bad_utf8"),
    "not JSON": (b"hello", "bad_json"),
    "cut off": (good()[:-5], "bad_json"),
    "nested bomb": (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "bad_json"),
    "nested object bomb": (b'{"a":' * 100_000, "bad_json"),
    "NaN": (good()[:-1] + b', "score": NaN}', "bad_json"),
    "Infinity": (good()[:-1] + b', "score": -Infinity}', "bad_json"),
    "a number out of range": (good()[:-1] + b', "score": 1e999}', "bad_value"),
    "a number of 5000 digits": (good()[:-1] + b', "score": ' + b"9" * 5000 + b"}", "bad_json"),
    "half a surrogate pair": (good().replace(b"2+2?", b"\\ud800"), "bad_value"),
    "a number": (b"5", "bad_type"),
    "null": (b"null", "bad_type"),
    "a list": (b"[1]", "bad_type"),
    "too long": (b'{"question": "' + b"x" * 2000 + b'"}', "line_too_long"),
    "a missing field": (b'{"question": "2+2?", "answer_a": "4"}', "missing_field"),
    "a near miss": (good(refrence="4"), "unknown_field"),
    "NUL bytes": (b"\x00\x00", "bad_json"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_is_one_invalid_item_and_the_next_is_read(tmp_path: Path, name: str) -> None:
    line, kind = HOSTILE[name]
    limit = 1000 if kind == "line_too_long" else 16_000_000
    found = items(write(tmp_path / "in.jsonl", good(id="before"), line, good(id="after")), max_line_bytes=limit)
    assert [item.id for item in found] == ["before", "", "after"]
    assert [item.error is None for item in found] == [True, False, True]
    error = found[1].error
    assert error is not None
    assert error.kind == kind
    assert found[1].place is not None
    assert (found[1].place.file, found[1].place.line) == (str(tmp_path / "in.jsonl"), 2)


def test_mark_carriage_returns_and_empty_lines_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "in", b"\xef\xbb\xbf" + good(id="a") + b"\r", b"", b"  \r", good(id="b"))
    assert [(item.id, item.place.line if item.place else 0) for item in items(path)] == [("a", 1), ("b", 4)]
    assert all(item.error is None for item in items(path))


def test_an_empty_file_has_no_items(tmp_path: Path) -> None:
    assert items(write(tmp_path / "in")) == []


@pytest.mark.parametrize("text", [b"[\n", b'[{"question": "x"}]\n', b'{\n  "question": "x"\n}\n'])
def test_a_json_document_is_refused_with_the_way_out(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "in.json").write_bytes(text)
    with pytest.raises(InputError, match="JSON") as caught:
        items(tmp_path / "in.json")
    assert "jq" in (caught.value.hint or "")


def test_stdin_is_read_as_a_file_is_gzip_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(good(id="a") + b"\n"))))
    (item,) = items("-")
    assert (item.id, item.place and item.place.file) == ("a", "-")


def test_a_repeated_id_is_invalid_and_names_the_first_place(tmp_path: Path) -> None:
    one = write(tmp_path / "one", good(id="a"), good(id="b"))
    two = write(tmp_path / "two", good(id="b"), good(id="c"))
    found = items(one, two)
    assert [item.error.kind if item.error else None for item in found] == [None, None, "duplicate_id", None]
    error = found[2].error
    assert error is not None
    assert error.field == "id"
    assert f"line 2 of {one}" in error.message


def test_records_without_id_get_the_hash_of_their_content(tmp_path: Path) -> None:
    path = write(tmp_path / "in", good(), good(question="3+3?"), good(), good(gold="A"))
    ids = [item.id for item in items(path)]
    assert ids[0] == parse("pairwise", GOOD).content_id()
    assert ids[2:] == [f"{ids[0]}-2", f"{ids[0]}-3"]
    assert [item.record.id for item in items(path) if item.record] == ids


def test_an_invalid_record_takes_its_id_too(tmp_path: Path) -> None:
    found = items(write(tmp_path / "in", b'{"id": "a"}', good(id="a")))
    assert [(item.id, item.error.kind if item.error else None) for item in found] == [
        ("a", "missing_field"),
        ("a", "duplicate_id"),
    ]


def test_a_shuffle_keeps_places_and_records(tmp_path: Path) -> None:
    path = write(tmp_path / "in", *(good(id=str(number)) for number in range(20)), b"", b"broken")
    shuffled = items(path, shuffle_seed=4)
    assert [item.id for item in shuffled] != [item.id for item in items(path)]
    assert {item.id: item.place for item in shuffled} == {item.id: item.place for item in items(path)}


def test_items_of_values_need_no_file() -> None:
    record = parse("pairwise", {**GOOD, "id": "r"})
    found = list(items_of("pairwise", [GOOD, record, {"id": "bad"}, {**GOOD, "id": "r"}]))
    assert [item.error.kind if item.error else None for item in found] == [None, None, "missing_field", "duplicate_id"]
    assert found[3].error is not None
    assert "record 2" in found[3].error.message
    assert all(item.place is None for item in found)
    (wrong,) = items_of("score", [record])
    assert wrong.error is not None


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line)))
def test_no_bytes_end_the_reading(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = write(tmp_path_factory.mktemp("any") / "in", good(id="first"), *lines)
    found = items(path)
    assert len(found) == 1 + sum(bool(line.strip()) for line in lines)
