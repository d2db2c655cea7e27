"""What a field of a record may hold, and how it is brought into one form: the field types of `records`.

The functions are pydantic validators; they refuse with `refuse(kind, message)`, which `records.parse` turns into a
RecordError of that kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any, Literal, NamedTuple, NoReturn

from pydantic import BaseModel, BeforeValidator
from pydantic_core import PydanticCustomError

MAX_SCORES = 100
"""Most labels of a scale."""
MAX_STEPS = 1000
"""Most steps of a solution; each is a label that the model may answer with."""
MAX_CRITERIA = 100
MAX_DEPTH = 100
"""Deepest nesting of an unknown field; json's own limit depends on how deep the caller's stack already is."""
_STRICT = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


class ChatMessage(BaseModel):
    """One entry of a chat-style message list; content may also be a list of text parts."""

    role: str
    content: str | list[dict[str, Any]]


def refuse(kind: str, message: str, field: str | None = None) -> NoReturn:
    """Raises what `records.parse` turns into a RecordError of `kind`; `field` where pydantic cannot tell it."""
    # The text is a value of the template, not the template: pydantic formats braces in that.
    raise PydanticCustomError("record", "{text}", {"kind": kind, "text": message, "field": field})


def _whole_text(text: str) -> str:
    """The text, refused if it holds half a surrogate pair: JSON can say that (`"\\ud800"`), UTF-8 cannot."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            refuse("bad_value", "the text holds half a surrogate pair (such as \\ud800)")
    return text


def what(value: Any) -> str:
    """The JSON type of a value in words."""
    names = {str: "text", bool: "a boolean", int: "a number", float: "a number", type(None): "null"}
    if isinstance(value, Mapping):
        return "an object"
    return names.get(type(value), "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}")


def _number_text(value: Any) -> str | None:
    """A number as JSON writes it; None for what is none, or none that JSON knows."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (type(value) is float and not isfinite(value)):
        return None
    return json.dumps(value)


def _message(message: Any, index: int) -> tuple[str, str]:
    """(role, text) of one chat message; content may be text or a list of text parts."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        refuse("bad_type", f"message {index} is not an object with role and content")
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        content = "\n".join(texts) if texts and len(texts) == len(parts) else None
    if not isinstance(content, str):
        refuse("bad_type", f"the content of message {index} is not text")
    return message["role"], content


def _dialogue(messages: Sequence[tuple[str, str]]) -> str:
    if len(messages) == 1:
        return messages[0][1]
    return "\n\n".join(f"{role[:1].upper()}{role[1:]}: {text}" for role, text in messages)


def _question(value: Any) -> Any:
    """Text as it is; a message list as `User: ...` and `Assistant: ...`, an empty line between (one message: bare)."""
    if isinstance(value, (list, tuple)):
        value = _dialogue([_message(message, index) for index, message in enumerate(value)]) if value else ""
    if not isinstance(value, str):
        refuse("bad_type", f"expected text or a list of chat messages, not {what(value)}")
    if not value.strip():
        refuse("empty", "the question is empty")
    return _whole_text(value)


def answer_text(value: Any) -> Any:
    """Text as it is; of a message list what follows the last user message; a number as JSON writes it."""
    if isinstance(value, str):
        return _whole_text(value)
    if isinstance(value, (list, tuple)):
        messages = [_message(message, index) for index, message in enumerate(value)]
        last_user = max((index for index, (role, _) in enumerate(messages) if role == "user"), default=-1)
        if last_user + 1 == len(messages):
            refuse("empty", "the list of chat messages holds no answer after the last user message")
        return _whole_text(_dialogue(messages[last_user + 1 :]))
    if (text := _number_text(value)) is not None:
        return text
    refuse("bad_type", f"expected text or a list of chat messages, not {what(value)}")


def _name(value: Any) -> Any:
    if isinstance(value, str):
        return _whole_text(value)
    if (text := _number_text(value)) is not None:
        return text
    refuse("bad_type", f"expected text, not {what(value)}")


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        refuse("bad_type", f"expected text, not {what(value)}")
    return _whole_text(value)


def _pair_label(value: Any) -> Any:
    label = value.strip().casefold() if isinstance(value, str) else None
    found = {"a": "A", "b": "B", "tie": "tie"}.get(label or "")
    return found or refuse("bad_value", f'expected "A", "B" or "tie", not {shown(value)}')


def _verify_label(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    label = value.strip().casefold() if isinstance(value, str) else ""
    found = {"yes": "yes", "no": "no", "true": "yes", "false": "no"}.get(label)
    return found or refuse("bad_value", f'expected "yes", "no" or a boolean, not {shown(value)}')


def _step_label(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < MAX_STEPS:
        refuse("bad_value", f"expected a 0-based index or -1, not {shown(value)}")
    return value


def _score_label(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e15:
        refuse("bad_value", f"expected a number, not {shown(value)}")
    return value


def _annotations(value: Any) -> Any:
    """A mapping from annotator to label; of a list the annotators are called "1", "2", ..."""
    if isinstance(value, (list, tuple)):
        return {str(number): label for number, label in enumerate(value, start=1)}
    if not isinstance(value, Mapping):
        refuse("bad_type", f"expected a mapping from annotator to label, or a list of labels, not {what(value)}")
    if not all(isinstance(name, str) for name in value):
        refuse("bad_type", "the names of annotators are text")
    return {_whole_text(name): label for name, label in value.items()}


def _rubric(value: Any) -> Any:
    """Text, or a mapping from score to description ordered by score (keys as text)."""
    if isinstance(value, Mapping):
        if not value:
            refuse("empty", "the rubric is empty")
        scores: dict[int, str] = {}
        for key, description in value.items():
            if not re.fullmatch(r"-?[0-9]{1,9}", str(key)) or isinstance(key, bool):
                refuse("bad_value", f"the scores of a rubric are whole numbers, not {shown(key)}")
            if not isinstance(description, str):
                refuse("bad_type", f"the description of score {key} is not text but {what(description)}")
            scores[int(key)] = _whole_text(description)
        return {str(score): scores[score] for score in sorted(scores)}
    if not isinstance(value, str):
        refuse("bad_type", f"expected text or a mapping from score to description, not {what(value)}")
    return _whole_text(value) if value.strip() else refuse("empty", "the rubric is empty")


def _criteria(value: Any) -> Any:
    """A mapping from name to rubric; a list of {name, rubric} is turned into one."""
    if isinstance(value, (list, tuple)):
        pairs = [
            (item.get("name"), item.get("rubric")) if isinstance(item, Mapping) else (None, None) for item in value
        ]
        if not all(isinstance(name, str) for name, _ in pairs):
            refuse("bad_type", "every entry of a list of criteria is an object with name and rubric")
        value = dict(pairs)
        if len(value) < len(pairs):
            refuse("bad_value", "two criteria have the same name")
    if not isinstance(value, Mapping):
        refuse("bad_type", f"expected a mapping from name to rubric, not {what(value)}")
    if not value or len(value) > MAX_CRITERIA:
        refuse("bad_value", f"expected 1 to {MAX_CRITERIA} criteria, not {len(value)}")
    if not all(isinstance(name, str) and name.strip() for name in value):
        refuse("bad_value", "every criterion has a name")
    return {_whole_text(name): rubric for name, rubric in value.items()}


def _scale(value: Any) -> Any:
    whole = isinstance(value, (list, tuple)) and all(type(end) is int and abs(end) < 10**6 for end in value)
    if not whole or len(value) != 2 or not value[0] < value[1]:
        refuse("bad_value", f"expected two whole numbers [low, high] with low below high, not {shown(value)}")
    if value[1] - value[0] >= MAX_SCORES:
        refuse("bad_value", f"a scale has at most {MAX_SCORES} scores, this one {value[1] - value[0] + 1}")
    return tuple(value)


def shown(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, (str, bool, int, float, type(None))) else what(value)
    return text if len(text) <= 60 else text[:57] + "..."


Question = Annotated[str, BeforeValidator(_question, json_schema_input_type=str | list[ChatMessage])]
AnswerText = Annotated[str, BeforeValidator(answer_text, json_schema_input_type=str | float | list[ChatMessage])]
Name = Annotated[str, BeforeValidator(_name, json_schema_input_type=str | float)]
Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str)]
Rubric = Annotated[str | dict[str, str], BeforeValidator(_rubric, json_schema_input_type=str | dict[str, str])]
PairLabel = Annotated[Literal["A", "B", "tie"], BeforeValidator(_pair_label, json_schema_input_type=str)]
VerifyLabel = Annotated[Literal["yes", "no"], BeforeValidator(_verify_label, json_schema_input_type=str | bool)]
StepLabel = Annotated[int, BeforeValidator(_step_label, json_schema_input_type=int | str)]
ScoreLabel = Annotated[int | float, BeforeValidator(_score_label, json_schema_input_type=float)]
PerAnnotator = BeforeValidator(_annotations, json_schema_input_type=dict[str, Any] | list[Any])
Criteria = Annotated[
    dict[str, Rubric], BeforeValidator(_criteria, json_schema_input_type=dict[str, Any] | list[dict[str, Any]])
]
Scale = Annotated[tuple[int, int], BeforeValidator(_scale, json_schema_input_type=list[int])]


class Unfit(NamedTuple):
    """An unknown field that no line of JSON can hold, and why."""

    field: str
    reason: str


def unfit_for_json(fields: Mapping[str, Any]) -> Unfit | None:
    """The first field that holds what a line of JSON in UTF-8 cannot, or is nested too deep; None if all is well."""
    if _reason(fields) is None:
        return None
    for name, value in fields.items():
        reason = _reason({name: value})
        if reason is not None:
            return Unfit(printable(str(name)), reason)
    return None


def _reason(fields: Mapping[str, Any]) -> str | None:
    try:
        text = _STRICT.encode(fields)
        text.encode()
    except RecursionError:
        return f"it is nested more than {MAX_DEPTH} deep"
    except UnicodeEncodeError:
        return "it holds half a surrogate pair (such as \\ud800)"
    except (ValueError, TypeError, OverflowError) as error:
        return printable(str(error))
    # Only text with so many brackets can be so deep; looking is slower than counting.
    if text.count("[") + text.count("{") > MAX_DEPTH and _too_deep(fields):
        return f"it is nested more than {MAX_DEPTH} deep"
    return None


def _too_deep(fields: Mapping[str, Any]) -> bool:
    level: list[Any] = list(fields.values())
    for _ in range(MAX_DEPTH):
        inside = [value for value in level if isinstance(value, (dict, list, tuple))]
        level = [inner for value in inside for inner in (value.values() if isinstance(value, dict) else value)]
        if not inside:
            return False
    return True


def printable(text: str) -> str:
    """The text with what UTF-8 cannot hold written as `\\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode()
