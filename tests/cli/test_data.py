"""`fare data`: the schema is what goes in and comes out, and other files become what goes in."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from fare_cli.importers.registry import IMPORTERS
from tests.cli.conftest import Fare
from tests.importers.published import FIXTURES

RECORDS = {
    "pairwise": {"question": "?", "answer_a": "x", "answer_b": "y"},
    "step": {"question": "?", "steps": ["x"]},
    "verify": {"question": "?", "answer": "x"},
    "score": {"question": "?", "answer": "x", "rubric": "good?"},
}


@pytest.mark.parametrize("task", RECORDS)
def test_the_schema_of_a_task_takes_its_records_and_no_others(fare: Fare, task: str) -> None:
    done = fare("data", "schema", task)
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    jsonschema.validate(RECORDS[task], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"answer": "x"}, schema)


def test_the_schema_of_verdicts_is_a_valid_schema(fare: Fare) -> None:
    schema = json.loads(fare("data", "schema", "verdict").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert {"id", "verdict", "probabilities", "judgments", "error"} <= set(schema["properties"])


def test_an_unknown_shape_exits_2(fare: Fare) -> None:
    done = fare("data", "schema", "verdicts")
    assert done.returncode == 2
    assert "verdicts" in done.stderr


JUDGEBENCH = str(FIXTURES / "judgebench.jsonl")


def test_convert_writes_records_and_says_what_it_made(fare: Fare, tmp_path: Path) -> None:
    done = fare("data", "convert", "--from", "judgebench", JUDGEBENCH, "-o", "records.jsonl")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "records.jsonl: 3 pairwise records of 3 rows\ngold: A 2, B 1\n"
    records = [json.loads(line) for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [record["gold"] for record in records] == ["A", "B", "A"]


def test_convert_streams_to_stdout_and_reads_stdin(fare: Fare) -> None:
    data = Path(JUDGEBENCH).read_bytes()
    for output in ([], ["-o", "-"]):
        done = fare("data", "convert", "--from", "judgebench", "-", *output, "--quiet", "--limit", "2", stdin=data)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == 2


def test_convert_counts_what_it_skips(fare: Fare) -> None:
    done = fare("data", "convert", "--from", "hh-rlhf", FIXTURES / "hh_rlhf.jsonl")
    assert "2 pairwise records of 4 rows" in done.stderr
    assert "skipped: an answer is empty: 1; both answers are the same: 1" in done.stderr


def test_a_file_of_another_set_is_refused_with_its_place_and_the_likely_set(fare: Fare, tmp_path: Path) -> None:
    done = fare("data", "convert", "--from", "llmbar", JUDGEBENCH, "-o", "records.jsonl")
    assert done.returncode == 2
    assert f"error: {JUDGEBENCH}, line 1: `input` is missing; the row has pair_id" in done.stderr
    assert "hint: this is no file of llmbar; it looks like --from judgebench" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_convert_maps_the_fields_of_any_file(fare: Fare) -> None:
    table = "prompt,reply,right\nIs 7 prime?,Yes.,true\n"
    maps = [word for pair in ("question=prompt", "answer=reply", "gold=right") for word in ("--map", pair)]
    done = fare("data", "convert", "--task", "verify", *maps, "-", stdin=table)
    assert json.loads(done.stdout) == {"id": "verify-2", "question": "Is 7 prime?", "answer": "Yes.", "gold": "yes"}


def test_the_list_names_every_importer_with_what_its_labels_mean(fare: Fare) -> None:
    listed = json.loads(fare("data", "convert", "--list", "--json").stdout)
    assert [row["name"] for row in listed] == list(IMPORTERS)
    assert all(row["gold"] and row["licence"] and row["ties"] and row["nulls"] for row in listed)
    text = fare("data", "convert", "--list").stdout
    for row in listed:
        assert f"{row['name']}  {row['task']}  {row['source']}  licence: {row['licence']}" in text
        assert f"    gold: {row['gold']}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no input was given"),
        ([JUDGEBENCH], "hint: it looks like --from judgebench"),
        (["-"], "--from, --task or --recipe is missing"),
        (["--from", "judgbench", JUDGEBENCH], "hint: did you mean judgebench"),
        (["--from", "judgebench", "--task", "step", JUDGEBENCH], "--from and --task say two things"),
        (["--map", "a=b", JUDGEBENCH], "--map goes with --task"),
        (["--task", "pairwise", "--map", "a", JUDGEBENCH], "--map 'a' is not FIELD=PATH"),
        (["--task", "pairwise", "--map", "answr_a=x", JUDGEBENCH], "did you mean answer_a?"),
        (["--recipe", "none.toml", JUDGEBENCH], "none.toml cannot be read"),
        (["--from", "judgebench", "none.jsonl"], "none.jsonl does not exist"),
        (["--list", "x"], "--list goes alone"),
        (["--json", "x"], "--json is for --list"),
        (["--from", "judgebench", "--limit", "0", JUDGEBENCH], "limit"),
        (["--from", "judgebench", JUDGEBENCH, "-o", "none/x.jsonl"], "the folder of output"),
    ],
)
def test_a_wrong_conversion_exits_2_with_a_word_on_it(fare: Fare, arguments: list[str], message: str) -> None:
    done = fare("data", "convert", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_conversion_of_nothing_exits_3(fare: Fare) -> None:
    row = json.dumps({"chosen": "\n\nHuman: ?\n\nAssistant:", "rejected": "\n\nHuman: ?\n\nAssistant: x"})
    done = fare("data", "convert", "--from", "hh-rlhf", "-", stdin=row)
    assert done.returncode == 3
    assert "no record was made of 1 rows (an answer is empty: 1)" in done.stderr
