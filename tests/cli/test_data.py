"""`fare data schema`: what is published is what goes in and comes out."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.cli.conftest import Fare

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
