"""A conversion gives every record a name of its own, counts everything, and keeps nothing of a wrong file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError, InvalidRecordsError
from fare_cli.importers.convert import Conversion, stream_records, write_records
from fare_cli.importers.registry import IMPORTERS
from fare_cli.run.reader import InputPlan, read_items

GOOD = {"scenario": "s", "label": 0, "prompt": "p", "response 1": "x", "response 2": "y"}


def conversion(tmp_path: Path, *files: list[dict[str, Any]], name: str = "auto-j", **options: Any) -> Conversion:
    paths = []
    for number, rows in enumerate(files):
        path = tmp_path / f"part{number}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        paths.append(str(path))
    return Conversion(IMPORTERS[name], paths, **options)


def ids(converting: Conversion) -> list[str]:
    return [json.loads(line)["id"] for line in converting.lines()]


def test_records_without_a_published_id_are_named_by_set_and_line(tmp_path: Path) -> None:
    assert ids(conversion(tmp_path, [GOOD, GOOD])) == ["auto-j-1", "auto-j-2"]
    assert ids(conversion(tmp_path, [GOOD], [GOOD])) == ["auto-j-part0-1", "auto-j-part1-1"]


def test_published_ids_that_come_twice_get_a_number_and_are_counted(tmp_path: Path) -> None:
    row = {"conversation_input": [{"role": "user", "content": "?"}], "category_path": "a/b"}
    row |= {"chosen": {"llm_name": "m", "answer": "x"}, "reject": {"llm_name": "n", "answer": "y"}}
    converting = conversion(
        tmp_path, [{**row, "pair_uid": "7"}, {**row, "pair_uid": "8"}], [{**row, "pair_uid": "7"}], name="rmb-pairwise"
    )
    assert ids(converting) == ["7", "8", "7-2"]
    assert converting.renamed == 1


def test_what_is_written_is_what_a_run_reads(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    converting = conversion(tmp_path, [GOOD, {**GOOD, "label": 2}])
    write_records(converting, out)
    items = list(read_items(InputPlan(task="pairwise", files=(str(out),))))
    assert [(item.id, item.record.gold if item.record else None) for item in items] == [
        ("auto-j-1", "A"),
        ("auto-j-2", "tie"),
    ]
    assert dict(converting.gold) == {"A": 1, "tie": 1}
    assert (converting.rows, converting.records) == (2, 2)


def test_a_stream_gets_the_lines_that_a_file_would_hold(tmp_path: Path) -> None:
    write_records(conversion(tmp_path, [GOOD, GOOD]), tmp_path / "records.jsonl")
    stream = io.StringIO()
    stream_records(conversion(tmp_path, [GOOD, GOOD]), stream)
    assert stream.getvalue() == (tmp_path / "records.jsonl").read_text()


def test_a_wrong_row_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    with pytest.raises(InputError, match=r"part0.jsonl, line 3: `label` is 3, and 0, 1, 2 are known"):
        write_records(conversion(tmp_path, [GOOD, GOOD, {**GOOD, "label": 3}]), out)
    assert [path.name for path in tmp_path.iterdir()] == ["part0.jsonl"]
    stream = io.StringIO()
    with pytest.raises(InputError, match="line 2"):
        stream_records(conversion(tmp_path, [GOOD, {**GOOD, "prompt": None}]), stream)
    assert stream.getvalue() == ""


def test_a_wrong_row_keeps_the_file_that_was_there(tmp_path: Path) -> None:
    out = tmp_path / "records.jsonl"
    out.write_text("mine\n")
    with pytest.raises(InputError, match="exists"):
        write_records(conversion(tmp_path, [GOOD]), out)
    with pytest.raises(InputError, match="line 1"):
        write_records(conversion(tmp_path, [{}]), out, force=True)
    assert out.read_text() == "mine\n"
    write_records(conversion(tmp_path, [GOOD]), out, force=True)
    assert json.loads(out.read_text())["id"] == "auto-j-1"


def test_an_input_is_never_the_output(tmp_path: Path) -> None:
    converting = conversion(tmp_path, [GOOD])
    link = tmp_path / "link.jsonl"
    link.symlink_to(converting.files[0])
    for out in (Path(converting.files[0]), link):
        with pytest.raises(InputError, match="is an input of the same conversion"):
            write_records(converting, out, force=True)
    assert json.loads(Path(converting.files[0]).read_text()) == GOOD


def test_rows_with_an_empty_text_are_counted_and_a_record_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    converting = conversion(tmp_path, [GOOD, {**GOOD, "prompt": " "}])
    assert ids(converting) == ["auto-j-1"]
    assert dict(converting.skipped) == {"`question`: the question is empty": 1}
    with pytest.raises(InputError, match=r"part0.jsonl, line 1: `answer_a`: the text holds half a surrogate pair"):
        ids(conversion(tmp_path, [{**GOOD, "response 1": "\ud800"}]))


def test_no_record_at_all_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecordsError, match=r"no record was made of 2 rows \(`question`: .* is empty: 2\)"):
        ids(conversion(tmp_path, [{**GOOD, "prompt": ""}] * 2))


def test_a_limit_ends_the_reading(tmp_path: Path) -> None:
    converting = conversion(tmp_path, [GOOD, GOOD, {"wrong": 1}], limit=2)
    assert ids(converting) == ["auto-j-1", "auto-j-2"]
    assert converting.rows == 2
