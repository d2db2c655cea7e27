from __future__ import annotations

import json
import math
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.asks import Direct, Judgment, Reply, ReplyError
from fare_cli.errors import RecordError, visible
from fare_cli.identity import JudgingOptions
from fare_cli.records import Source, Verdict, invalid_verdict, parse, verdict_schema
from tests.tasks.making import first_asks, judged, make_task, reply

RECORDS: dict[str, dict[str, Any]] = {
    "pairwise": {
        "question": "Qé\u2028",
        "answer_a": "one",
        "answer_b": "two",
        "gold": "tie",
        "source": {"x": [1, None]},
    },
    "step": {"question": "Q", "steps": ["a", "b"], "gold": 0, "annotations": [0, -1]},
    "verify": {"question": "Q", "answer": "one", "gold": True},
    "score": {"question": "Q", "answer": "one", "criteria": {"x": {"1": "a"}, "y": "b"}, "gold": 2.5},
}
CRITIQUE = JudgingOptions()
FIELDS = (
    "schema id source task status verdict step score expected_score criteria probabilities confidence consistent rule "
    "judgments gold correct usage injection_guard cascade panel judge contract error record"
)
VALIDATOR = jsonschema.Draft202012Validator(verdict_schema())


def some_verdict(task: str, options: JudgingOptions = CRITIQUE, error: bool = False) -> Verdict:
    replies = {}
    for ask in first_asks(make_task(task, options), RECORDS[task]):
        assert isinstance(ask.script, Direct | Judgment)
        shares = {label: 1 / (1 + index) for index, label in enumerate(ask.script.labels)}
        replies[ask.id] = (
            Reply(error=ReplyError("nan", "m")) if error else reply(shares, text="t\nVerdict:", read_at=10)
        )
    return judged(make_task(task, options), RECORDS[task], replies)


VARIANTS = [
    JudgingOptions(mode="direct"),
    JudgingOptions(votes=2, temperature=0.7),
    JudgingOptions(tie=True),
    JudgingOptions(combine="mean"),
    JudgingOptions(order="ba"),
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize("error", [False, True])
@pytest.mark.parametrize("task", RECORDS)
def test_every_line_is_as_the_schema_says(task: str, error: bool, options: JudgingOptions) -> None:
    verdict = some_verdict(task, options, error)
    for update in ({}, {"source": Source(file="in.jsonl", line=3), "judge": "0123456789abcdef"}):
        whole = verdict.model_copy(update=update)
        for include_record in (True, False):
            VALIDATOR.validate(json.loads(whole.to_line(include_record)))


def test_the_schema_refuses_what_is_no_verdict() -> None:
    jsonschema.Draft202012Validator.check_schema(verdict_schema())
    good = json.loads(some_verdict("step").to_line())
    for change in ({"status": "done"}, {"more": 1}, {"schema": 2}, {"id": None}, {"probabilities": {"A": "x"}}):
        assert not VALIDATOR.is_valid({**good, **change})
    for name in good.keys() - {"record"}:
        assert not VALIDATOR.is_valid({key: value for key, value in good.items() if key != name})


@pytest.mark.parametrize("task", RECORDS)
def test_a_line_has_all_fields_in_one_order_whatever_the_task(task: str) -> None:
    for error in (False, True):
        verdict = some_verdict(task, error=error)
        assert " ".join(json.loads(verdict.to_line())) == FIELDS
        assert " ".join(json.loads(verdict.to_line(include_record=False))) == FIELDS.removesuffix(" record")
        assert "\n" not in verdict.to_line()


@pytest.mark.parametrize("task", RECORDS)
def test_the_record_comes_back_from_its_verdict(task: str) -> None:
    values = json.loads(some_verdict(task).to_line())
    assert parse(task, values["record"]) == parse(task, {**RECORDS[task], "id": "r"})
    assert values["gold"] == values["record"]["gold"]


@pytest.mark.parametrize("task", RECORDS)
def test_a_line_can_be_read_again(task: str) -> None:
    line = some_verdict(task).to_line()
    assert Verdict.from_line(line).to_line() == line


def test_numbers_are_rounded_and_never_nan() -> None:
    verdict = Verdict(id="x", task="score", status="ok", expected_score=1 / 3, confidence=math.nan)
    values = json.loads(verdict.model_copy(update={"probabilities": {"A": 2 / 3, "B": 1e-9}}).to_line())
    assert (values["expected_score"], values["confidence"]) == (0.333333, None)
    assert values["probabilities"] == {"A": 0.666667, "B": 0.0}


def test_a_record_that_cannot_be_read_is_an_invalid_verdict() -> None:
    error = RecordError("bad_value", "odd \ud800", "x.\udfff")
    verdict = invalid_verdict("verify", error, id="line\ud800")
    line = verdict.to_line()
    assert line.encode()
    values = json.loads(line)
    VALIDATOR.validate(values)
    assert (values["status"], values["record"], values["gold"], values["contract"]) == ("invalid", None, None, None)
    assert values["error"] == {"kind": "bad_value", "message": "odd \\ud800", "field": "x.\\udfff"}


def test_an_invalid_verdict_keeps_the_record_it_knows() -> None:
    record = parse("verify", RECORDS["verify"]).with_id("a")
    verdict = invalid_verdict("verify", RecordError("too_long", "m"), record=record)
    assert (verdict.id, verdict.gold, verdict.record) == ("a", "yes", record.to_json())


@given(st.text(), st.text())
def test_any_text_stays_on_one_line(id: str, message: str) -> None:
    line = invalid_verdict("step", RecordError("bad_value", message), id=id).to_line()
    assert "\n" not in line
    assert json.loads(line)["error"]["message"] == visible(message)
