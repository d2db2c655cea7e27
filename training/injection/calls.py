"""Tool calls and whether they are right, by the accepted answers of the Berkeley Function Calling Leaderboard."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fare_cli.errors import InputError
from fare_cli.importers.row import Row

LEFT_OUT = ""
"""Among the accepted values of an argument: it may be left out."""

_NO_FUNCTION_FITS = re.compile(r"(live_)?irrelevance_")
"""How the ids of those files begin for which the leaderboard publishes no answers, since no call is right."""

Call = dict[str, Any]
"""`name` and `arguments`."""

_TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,), "float": (int, float), "number": (int, float), "double": (int, float), "string": (str,),
    "boolean": (bool,), "array": (list,), "tuple": (list,), "dict": (dict,), "object": (dict,),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToolTask:
    """A question, the functions that may be called, and for each call that is needed its accepted arguments
    (`{name: {argument: [values]}}`); none where no function fits."""

    group: str
    question: str
    functions: tuple[Mapping[str, Any], ...]
    expected: tuple[Mapping[str, Mapping[str, list[Any]]], ...]

    @property
    def context(self) -> str:
        return "\n".join(json.dumps(function, ensure_ascii=False) for function in self.functions)

    def function(self, name: str) -> Mapping[str, Any] | None:
        return next((function for function in self.functions if function["name"] == name), None)


def tool_task(row: Row, answer: Row | None) -> ToolTask:
    """The task in a row and its row of answers. Without one, no call is right if BFCL's own id says so (irrelevance).

    Raises InputError with file, line and field, also for any other row without answers: taken for one in which no
    function fits, it would teach what is wrong.
    """
    turns = row.items("question")
    if len(turns) != 1:
        row.refuse("question", f"has {len(turns)} turns, and one is read")
    messages = [row.text(f"question.0.{number}.content") for number in range(len(turns[0]))]
    functions = [row.object(f"function.{number}") for number in range(len(row.items("function")))]
    for number in range(len(functions)):
        row.text(f"function.{number}.name")
        schemas = row.object(f"function.{number}.parameters.properties")
        for name, schema in schemas.items():
            if not isinstance(schema, Mapping):
                row.refuse(f"function.{number}.parameters.properties.{name}", "is not an object")
    return ToolTask(row.text("id"), "\n\n".join(messages), tuple(functions), _expected(row, answer))


def _expected(row: Row, answer: Row | None) -> tuple[Mapping[str, Any], ...]:
    if answer is not None:
        return tuple(answer.object(f"ground_truth.{number}") for number in range(len(answer.items("ground_truth"))))
    if not _NO_FUNCTION_FITS.match(row.text("id")):
        raise InputError(
            f"{row.file}, line {row.line}: no row of --answers has the `id` {row.text('id')}",
            "name the file of the same name in BFCL's possible_answer; a row in which no function fits has an id "
            'that begins with irrelevance_, or an answer with "ground_truth": []',
        )
    return ()


def properties(function: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = function["parameters"]["properties"]
    return found


def required(function: Mapping[str, Any]) -> Sequence[str]:
    return list(function["parameters"].get("required", []))


def fault(task: ToolTask, text: str) -> str | None:
    """Why the calls in a text are wrong, in words; None where they are right: as many as needed, in any order, each of
    the named function, with every argument that may not be left out, no other, of its type and of an accepted value."""
    try:
        calls = json.loads(text)
    except ValueError:
        return "the text is not JSON"
    if not isinstance(calls, list) or not all(
        isinstance(call, dict) and set(call) == {"name", "arguments"} and isinstance(call["arguments"], dict)
        for call in calls
    ):
        return "it is not a list of calls with name and arguments"
    if len(calls) != len(task.expected):
        return f"there are {len(calls)} calls, and {len(task.expected)} are needed"
    open_calls = list(task.expected)
    for call in calls:
        faults = [_call_fault(task, call, expected) for expected in open_calls]
        if None not in faults:
            return faults[0]
        open_calls.pop(faults.index(None))
    return None


def _call_fault(task: ToolTask, call: Call, expected: Mapping[str, Mapping[str, list[Any]]]) -> str | None:
    ((name, accepted),) = expected.items()
    function = task.function(call["name"])
    if function is None or call["name"] != name:
        return f"{call['name']} is called, not {name}"
    for argument, value in call["arguments"].items():
        schema = properties(function).get(argument)
        if schema is None or argument not in accepted:
            return f"{name} has no argument {argument}"
        if not has_type(value, str(schema.get("type", "any"))):
            return f"{argument} has the wrong type"
        if not any(_same(value, one) for one in accepted[argument] if one != LEFT_OUT):
            return f"{argument} has a wrong value"
    missing = [
        argument for argument, values in accepted.items()
        if argument not in call["arguments"] and LEFT_OUT not in values
    ]  # fmt: skip
    missing += [argument for argument in required(function) if argument not in call["arguments"]]
    return f"{missing[0]} is missing" if missing else None


def has_type(value: Any, name: str) -> bool:
    """Whether a JSON value has a type of a schema; types of other languages (HashMap) and `any` take everything."""
    types = _TYPES.get(name)
    return types is None or (isinstance(value, types) and (isinstance(value, bool) == (bool in types)))


def _same(value: Any, accepted: Any) -> bool:
    """Whether a value is an accepted one: texts without regard to case, spaces and marks, as the leaderboard compares
    them; inside an object every entry has its own accepted values."""
    if isinstance(value, str) and isinstance(accepted, str):
        return _plain(value) == _plain(accepted)
    if isinstance(value, bool) or isinstance(accepted, bool):
        return value is accepted
    if isinstance(value, int | float) and isinstance(accepted, int | float):
        return value == accepted
    if isinstance(value, list) and isinstance(accepted, list):
        return len(value) == len(accepted) and all(map(_same, value, accepted))
    if isinstance(value, dict) and isinstance(accepted, dict):
        known = all(
            name in accepted and any(_same(one, each) for each in _listed(accepted[name]) if each != LEFT_OUT)
            for name, one in value.items()
        )
        return known and all(name in value or LEFT_OUT in _listed(values) for name, values in accepted.items())
    return value is None and accepted is None


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _plain(text: str) -> str:
    return re.sub(r"[ ,./\-_*^'\"]", "", text).casefold()


def right_calls(task: ToolTask, *, with_optional: bool) -> list[Call]:
    """Calls with the first accepted value of each argument; those that may be left out are there on demand."""
    return [
        {
            "name": name,
            "arguments": {
                argument: _first(values)
                for argument, values in accepted.items()
                if (with_optional or LEFT_OUT not in values) and any(one != LEFT_OUT for one in values)
            },
        }
        for expected in task.expected
        for name, accepted in expected.items()
    ]


def _first(values: list[Any]) -> Any:
    value = next(one for one in values if one != LEFT_OUT)
    return _settled(value)


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _first(_listed(inner))
            for name, inner in value.items()
            if any(one != LEFT_OUT for one in _listed(inner))
        }
    if isinstance(value, list):
        return [_settled(inner) for inner in value]
    return value


def text_of(calls: Sequence[Call]) -> str:
    """Calls as a judge sees them: a list in JSON on one line."""
    return json.dumps(list(calls), ensure_ascii=False)
