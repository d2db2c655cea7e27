"""Requests of trainers as records: what each calls the question, the answer and what is known to be right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fare_cli.errors import RecordError
from fare_cli.record_fields import what
from fare_cli.records import record_fields

# What is judged comes from the policy, and no label is needed: a data set's own fields of these names mean others.
_NOT_GIVEN = frozenset({"answer", "gold", "annotations", "id"})


def given_fields(task: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What `values` say of a record of `task`, besides its answer: the fields that fare knows, by their names."""
    return {name: values[name] for name in record_fields(task) if name in values and name not in _NOT_GIVEN}


@dataclass(frozen=True, slots=True)
class Marks:
    """Where question and answer stand in texts that a chat template has been through.

    The question follows the last `question_after` of the prompt and ends before the next `question_before`; the answer
    ends before the first `answer_before`. None: there is nothing to cut off.
    """

    question_after: str | None = None
    question_before: str | None = None
    answer_before: str | None = None

    def question(self, prompt: str) -> str:
        """The question in a prompt. Raises RecordError where a mark is missing."""
        if self.question_after is not None:
            _, mark, prompt = prompt.rpartition(self.question_after)
            if not mark:
                raise _no_mark("question_after", self.question_after)
        if self.question_before is not None:
            prompt, mark, _ = prompt.partition(self.question_before)
            if not mark:
                raise _no_mark("question_before", self.question_before)
        return prompt

    def answer(self, text: str) -> str:
        """The answer in what followed the prompt; whole where it was cut before its end."""
        return text if self.answer_before is None else text.partition(self.answer_before)[0]


def _no_mark(name: str, mark: str) -> RecordError:
    return RecordError("bad_value", f"the prompt has no {mark!r}, the {name} of this endpoint", "prompts")


class Rollout(NamedTuple):
    """What OpenRLHF sends of a rollout. `query` is the prompt and what the policy wrote, special tokens included;
    `label` is the reference, or fields of the record: an object, or the text of one."""

    query: str
    prompt: str
    label: Any


def from_openrlhf(task: str, rollout: Rollout, marks: Marks) -> dict[str, Any]:
    """The record of a rollout of OpenRLHF. A `question` in the label goes before that in the prompt.

    Raises RecordError where the query does not begin with the prompt, or the prompt lacks a mark.
    """
    if not rollout.query.startswith(rollout.prompt):
        raise RecordError("bad_value", "the query does not begin with its prompt", "query")
    fields = _of_label(task, rollout.label)
    if "question" not in fields:
        fields["question"] = marks.question(rollout.prompt)
    return {**fields, "answer": marks.answer(rollout.query[len(rollout.prompt) :])}


def _of_label(task: str, label: Any) -> dict[str, Any]:
    if isinstance(label, str) and label.lstrip().startswith("{"):
        try:
            value = json.loads(label)
        except (ValueError, RecursionError):
            value = None  # a set in braces is a fine answer
        if isinstance(value, Mapping) and (fields := given_fields(task, value)):
            return fields
    if isinstance(label, Mapping):
        return given_fields(task, label)
    return {} if label is None or label == "" else {"reference": label}


def from_verl(task: str, values: Any) -> dict[str, Any]:
    """The record of what verl gives a reward function: `solution_str` is the answer, `ground_truth` the reference.

    verl gives no prompt: the question is that of `extra_info`, as are all other fields. `data_source` is the category.
    Raises RecordError for what is no such call.
    """
    if not isinstance(values, Mapping):
        raise RecordError("bad_type", f"expected the arguments of compute_score, not {what(values)}")
    extra = values.get("extra_info")
    if extra is not None and not isinstance(extra, Mapping):
        raise RecordError("bad_type", f"expected an object, not {what(extra)}", "extra_info")
    fields = given_fields(task, extra or {})
    if values.get("solution_str") is None:
        raise RecordError("missing_field", "`solution_str` is missing", "solution_str")
    if fields.get("question") is None:
        message = "`question` is missing in `extra_info`: verl gives a reward function no prompt"
        raise RecordError("missing_field", message, "extra_info.question")
    truth, source = values.get("ground_truth"), values.get("data_source")
    if truth is not None and truth != "":
        fields["reference"] = truth
    if isinstance(source, str) and source:
        fields["category"] = source
    return {**fields, "answer": values["solution_str"]}
