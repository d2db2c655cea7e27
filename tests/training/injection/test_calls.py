"""The checker of tool calls takes what is accepted and nothing else; errors in calls do not pass it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError
from fare_cli.importers.reading import read_rows
from fare_cli.importers.row import Row
from training.form.shortcuts import length_only
from training.injection.bfcl import KINDS, inject_calls
from training.injection.calls import ToolTask, fault, tool_task
from training.injection.item import Injection

FIXTURES = Path(__file__).parent.parent / "fixtures"


def _task(**arguments: list[Any]) -> ToolTask:
    types = {"base": "integer", "height": "float", "unit": "string", "flat": "boolean", "filter": "dict"}
    properties = {name: {"type": kind} for name, kind in types.items()}
    function = {"name": "area", "parameters": {"type": "dict", "properties": properties, "required": ["base"]}}
    return ToolTask("t", "Find the area.", (function,), ({"area": arguments},))


def _calls(**arguments: Any) -> str:
    return json.dumps([{"name": "area", "arguments": arguments}])


TASK = _task(base=[10], height=[5, 5.5], unit=["units", ""], filter=[{"limit": [3], "by": ["x", ""]}, ""])


@pytest.mark.parametrize(
    "arguments",
    [
        {"base": 10, "height": 5},
        {"base": 10, "height": 5.5, "unit": "Units"},
        {"base": 10, "height": 5, "filter": {"limit": 3}},
        {"base": 10, "height": 5, "filter": {"limit": 3, "by": "x"}},
    ],
)
def test_accepted_values_pass_and_what_may_be_left_out_may(arguments: dict[str, Any]) -> None:
    assert fault(TASK, _calls(**arguments)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (_calls(height=5), "base is missing"),
        (_calls(base=10), "height is missing"),
        (_calls(base=11, height=5), "base has a wrong value"),
        (_calls(base="10", height=5), "base has the wrong type"),
        (_calls(base=True, height=5), "base has the wrong type"),
        (_calls(base=10, height=5, flat=True), "area has no argument flat"),
        (_calls(base=10, height=5, filter={"by": "x"}), "filter has a wrong value"),
        (_calls(base=10, height=5)[:-1], "the text is not JSON"),
        ("[]", "there are 0 calls, and 1 are needed"),
        (_calls(base=10, height=5).replace("area", "volume"), "volume is called, not area"),
        ('{"name": "area"}', "it is not a list of calls with name and arguments"),
    ],
)
def test_a_fault_is_named(text: str, why: str) -> None:
    assert fault(TASK, text) == why


def test_parallel_calls_may_come_in_any_order_but_each_only_once() -> None:
    task = ToolTask("t", "?", TASK.functions, ({"area": {"base": [1]}}, {"area": {"base": [2]}}))
    one, two = ({"name": "area", "arguments": {"base": base}} for base in (1, 2))
    assert fault(task, json.dumps([two, one])) is None
    assert fault(task, json.dumps([one, one])) == "base has a wrong value"


@pytest.fixture(scope="module")
def injections() -> list[Injection]:
    rows = read_rows([str(FIXTURES / "bfcl.jsonl")])
    return inject_calls(rows, read_rows([str(FIXTURES / "bfcl_answers.jsonl")]), 0, Counter())


def test_every_kind_is_made_and_is_wrong_for_the_checker(injections: list[Injection]) -> None:
    answers = {row.text("id"): row for row in read_rows([str(FIXTURES / "bfcl_answers.jsonl")])}
    tasks = {
        row.text("id"): tool_task(row, answers.get(row.text("id"))) for row in read_rows([str(FIXTURES / "bfcl.jsonl")])
    }
    assert {one.kind for one in injections} == set(KINDS)
    for one in injections:
        assert fault(tasks[one.group], one.right) is None
        why = fault(tasks[one.group], one.wrong)
        assert why is not None
        expected = {
            "wrong type": "type", "wrong value": "value", "missing parameter": "missing", "syntax": "not JSON",
            "redundant parameter": "has no argument", "wrong function": "is called, not",
        }  # fmt: skip
        assert expected.get(one.kind, "needed") in why


def test_where_no_function_fits_no_call_is_right(injections: list[Injection]) -> None:
    needless = [one for one in injections if one.kind == "call without need"]
    assert needless
    assert {one.right for one in needless} == {"[]"}
    assert Counter(one.kind for one in injections)["no call"] == len(needless)


def test_a_row_that_is_no_bfcl_names_file_line_and_field() -> None:
    row = Row("rows.jsonl", 3, {"id": "x", "question": [[{"role": "user", "content": "?"}]], "function": [{}]})
    with pytest.raises(InputError, match=r"rows\.jsonl, line 3: `function\.0\.name` is missing"):
        tool_task(row, None)


def _row(name: str, *, parameters: int, needed: bool) -> tuple[Row, Row | None]:
    """A question with one function of so many parameters, and its answer if that function is needed."""
    values = {f"p{number}": f"{name} value {number}" for number in range(parameters)}
    function = {
        "name": name,
        "parameters": {"properties": {key: {"type": "string"} for key in values}, "required": list(values)},
    }
    row = Row("rows.jsonl", 1, {"id": name, "question": [[{"content": f"Use {name}."}]], "function": [function]})
    truth = [{name: {key: [value] for key, value in values.items()}}]
    return row, Row("answers.jsonl", 1, {"id": name, "ground_truth": truth}) if needed else None


def _injected(pairs: list[tuple[Row, Row | None]], counts: Counter[str] | None = None) -> list[Injection]:
    answers = [answer for _, answer in pairs if answer is not None]
    return inject_calls([row for row, _ in pairs], answers, 0, Counter() if counts is None else counts)


@pytest.mark.parametrize("name", ["simple_python_3", "my_irrelevance_3"])
def test_a_row_whose_answer_was_forgotten_is_refused_and_not_taken_for_one_that_needs_no_call(name: str) -> None:
    row, _ = _row(name, parameters=1, needed=False)
    with pytest.raises(InputError, match=rf"rows\.jsonl, line 1: no row of --answers has the `id` {name}") as caught:
        _injected([(row, None)])
    assert caught.value.hint is not None
    assert "possible_answer" in caught.value.hint


def test_an_answer_without_calls_says_that_none_is_right() -> None:
    row, _ = _row("mine", parameters=1, needed=False)
    assert fault(tool_task(row, Row("a.jsonl", 1, {"id": "mine", "ground_truth": []})), "[]") is None


def test_a_function_that_requires_what_it_does_not_describe_is_never_called_without_need() -> None:
    (row, _), some = _row("irrelevance_1", parameters=1, needed=False), _row("f", parameters=1, needed=True)
    row.values["function"][0]["parameters"]["required"].append("unheard_of")
    assert "call without need" not in {one.kind for one in _injected([(row, None), some])}


def test_of_more_calls_than_there_are_needless_ones_those_are_taken_that_look_like_them() -> None:
    """Taken evenly, two in three would be longer by far than any call that is not needed."""
    needless = [_row(f"irrelevance_{number}", parameters=2, needed=False) for number in range(40)]
    needed = [_row(f"simple_{number}", parameters=2 if number % 3 else 9, needed=True) for number in range(120)]
    counts: Counter[str] = Counter()
    family = [one for one in _injected([*needless, *needed], counts) if one.kind in {"no call", "call without need"}]
    assert Counter(one.kind for one in family) == {"no call": 40, "call without need": 40}
    assert counts["not taken, so that as many have call without need as no call"] == 80
    long = sum(one.kind == "no call" and '"p8"' in one.right for one in family)
    assert long <= 6, long


def test_length_does_not_tell_what_is_wrong_with_a_call(injections: list[Injection]) -> None:
    """But for wrong types, whose error is a sign more: 28 rows leave an interval of about ten points to either side."""
    found = length_only([one.pair for one in injections if one.kind != "wrong type"])
    assert found.interval.low <= 0.5
    naive = [one.pair._replace(wrong=one.right + " ") for one in injections]
    assert length_only(naive).interval.low > 0.9
