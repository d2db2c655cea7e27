"""The four shapes of input records, and `parse`, which makes one from any JSON object or says why it cannot."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from fare_cli.errors import RecordError, UsageError
from fare_cli.record_fields import (
    MAX_STEPS,
    AnswerText,
    Criteria,
    Name,
    PairLabel,
    PerAnnotator,
    Question,
    Rubric,
    Scale,
    ScoreLabel,
    StepLabel,
    Text,
    VerifyLabel,
    answer_text,
    printable,
    refuse,
    unfit_for_json,
    what,
)
from fare_cli.unknown_fields import near_miss
from fare_cli.verdicts import Judgement, Source, Usage, Verdict, VerdictError, invalid_verdict, verdict_schema

__all__ = [
    "RECORDS",
    "Judgement",
    "PairwiseRecord",
    "Record",
    "ScoreRecord",
    "Source",
    "Split",
    "StepRecord",
    "TaskName",
    "Usage",
    "Verdict",
    "VerdictError",
    "VerifyRecord",
    "check_field_map",
    "invalid_verdict",
    "parse",
    "record_fields",
    "record_schema",
    "task_told_by",
    "verdict_schema",
]

TaskName = Literal["pairwise", "step", "verify", "score"]
Split = Literal["lines", "paragraphs"]


class Record(BaseModel):
    """What the records of all tasks have. Unknown fields are kept, see `extra`; `id` is "" where none was given."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    task: ClassVar[TaskName]
    judged: ClassVar[tuple[str, ...]] = ("question", "context", "reference", "protocol")
    """Fields that the judge is shown: the content of which `content_id` is the hash."""

    id: Name = Field(default="", description="Name of the record; a hash of its content where it is left out.")
    group: Name | None = Field(default=None, description="Records of one question share it.")
    category: Name | None = Field(default=None, description="Kind of record, for counts by category.")
    system: Name | None = Field(default=None, description="Who answered.")
    question: Question = Field(description="Text or chat messages.")
    protocol: Text | None = Field(default=None, description="Extra instructions to the judge.")
    context: Text | None = Field(default=None, description="A document that the answers must keep to.")
    reference: AnswerText | None = Field(default=None, description="A right answer.")
    gold: Any = None
    annotations: Any = None

    @property
    def extra(self) -> dict[str, Any]:
        """Fields that fare does not know, as they were given."""
        return self.model_extra or {}

    @model_validator(mode="after")
    def _extra_fits_in_a_line(self) -> Self:
        unfit = unfit_for_json(self.__pydantic_extra__) if self.__pydantic_extra__ else None
        if unfit is not None:
            refuse("bad_value", f"the field cannot be kept: {unfit.reason}", unfit.field)
        return self

    def to_json(self) -> dict[str, Any]:
        """The canonical record as JSON values, fields without a value left out; `parse` gives an equal record back."""
        values = {key: value for key, value in self.__dict__.items() if value is not None}
        if not self.id:
            del values["id"]
        if "scale" in values:
            values["scale"] = list(values["scale"])
        if self.__pydantic_extra__:
            values.update(self.__pydantic_extra__)
        return values

    def labels(self) -> list[tuple[str, Any]]:
        """The known labels with the dotted path of each: gold, then every annotator's."""
        labels = [("gold", self.gold)] if self.gold is not None else []
        if self.annotations:
            labels += [(f"annotations.{name}", label) for name, label in self.annotations.items() if label is not None]
        return labels

    def content_id(self) -> str:
        """16 hex digits over the task and everything that the judge is shown: not id, gold or unknown fields."""
        fields = self.__dict__
        content = [self.task, {name: fields[name] for name in self.judged if fields[name] is not None}]
        return hashlib.sha256(_COMPACT.encode(content).encode()).hexdigest()[:16]

    def cluster(self) -> str:
        """What the record belongs to: records of one group, or else of one question, are not independent."""
        if self.group is not None:
            return f"group {self.group}"
        return f"question {hashlib.sha256(_COMPACT.encode(self.question).encode()).hexdigest()[:16]}"

    def with_id(self, id: str) -> Self:
        return self.model_copy(update={"id": id})


class PairwiseRecord(Record):
    """A question and two answers."""

    task: ClassVar[TaskName] = "pairwise"
    judged: ClassVar[tuple[str, ...]] = (*Record.judged, "answer_a", "answer_b")

    answer_a: AnswerText = Field(description="Text or chat messages.")
    answer_b: AnswerText = Field(description="Text or chat messages.")
    system_a: Name | None = Field(default=None, description="Who gave answer A.")
    system_b: Name | None = Field(default=None, description="Who gave answer B.")
    gold: PairLabel | None = Field(default=None, description="The better answer, or a tie.")
    annotations: Annotated[dict[str, PairLabel | None], PerAnnotator] | None = None


class StepRecord(Record):
    """A question and a solution cut into steps."""

    task: ClassVar[TaskName] = "step"
    judged: ClassVar[tuple[str, ...]] = (*Record.judged, "steps")

    steps: list[Text] = Field(min_length=1, max_length=MAX_STEPS, description="The steps in order.")
    gold: StepLabel | None = Field(
        default=None, description="0-based index of the first wrong step, -1 if there is none."
    )
    annotations: Annotated[dict[str, StepLabel | None], PerAnnotator] | None = None

    @model_validator(mode="after")
    def _labels_are_steps(self) -> Self:
        last = len(self.steps) - 1
        for field, label in self.labels():
            if label > last:
                refuse("bad_value", f"{label} is no step: the last one is {last}", field)
        return self


class VerifyRecord(Record):
    """A question and an answer that is right or wrong; a reference makes it another prompt."""

    task: ClassVar[TaskName] = "verify"
    judged: ClassVar[tuple[str, ...]] = (*Record.judged, "answer")

    answer: AnswerText = Field(description="Text or chat messages.")
    gold: VerifyLabel | None = Field(default=None, description="Whether the answer is right.")
    annotations: Annotated[dict[str, VerifyLabel | None], PerAnnotator] | None = None


class ScoreRecord(Record):
    """A question, an answer, and what to score it by: `rubric`, or several named ones in `criteria`."""

    task: ClassVar[TaskName] = "score"
    judged: ClassVar[tuple[str, ...]] = (*Record.judged, "answer", "rubric", "criteria", "scale")

    answer: AnswerText = Field(description="Text or chat messages.")
    rubric: Rubric | None = Field(default=None, description="Text, or a mapping from score to description.")
    criteria: Criteria | None = Field(default=None, description="Several named rubrics, each its own score.")
    scale: Scale = Field(default=(1, 5), description="Lowest and highest score, whole numbers.")
    gold: ScoreLabel | None = Field(
        default=None, description="The right score; fractional if it is a mean over people."
    )
    annotations: Annotated[dict[str, ScoreLabel | None], PerAnnotator] | None = None

    @model_validator(mode="after")
    def _fits_its_scale(self) -> Self:
        if self.rubric is None and self.criteria is None:
            refuse("missing_field", "a score record has `rubric` or `criteria`", "rubric")
        if self.rubric is not None and self.criteria is not None:
            refuse("bad_value", "a score record has either `rubric` or `criteria`, not both", "criteria")
        low, high = self.scale
        for rubric in (self.rubric, *(self.criteria or {}).values()):
            for score in rubric if isinstance(rubric, dict) else ():
                if not low <= int(score) <= high:
                    refuse("bad_value", f"score {score} of the rubric is not on the scale [{low}, {high}]", "rubric")
        for field, label in self.labels():
            if not low <= label <= high:
                refuse("bad_value", f"{label} is not on the scale [{low}, {high}]", field)
        return self


RECORDS: dict[str, type[Record]] = {
    "pairwise": PairwiseRecord,
    "step": StepRecord,
    "verify": VerifyRecord,
    "score": ScoreRecord,
}
_FIELDS = {task: tuple(shape.model_fields) + (("answer",) if task == "step" else ()) for task, shape in RECORDS.items()}
_KNOWN = {task: frozenset(fields) for task, fields in _FIELDS.items()}
# The fields that only records of one task have, in the order in which they decide.
_TELLING: tuple[tuple[TaskName, frozenset[str]], ...] = (
    ("step", frozenset({"steps"})),
    ("pairwise", frozenset({"answer_a", "answer_b"})),
    ("score", frozenset({"rubric", "criteria"})),
    ("verify", frozenset({"answer"})),
)
_NOT_TEXT = frozenset({"annotations", "criteria", "gold", "rubric", "scale", "steps"})
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def task_told_by(fields: Collection[str]) -> TaskName | None:
    """The task that the names of a record's fields speak for; None where they speak for none."""
    return next((task for task, telling in _TELLING if not telling.isdisjoint(fields)), None)


def record_fields(task: str) -> tuple[str, ...]:
    """Names of the fields that records of `task` have; the targets of a field map."""
    return _FIELDS[task]


def record_schema(task: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what `parse(task, ...)` takes without a field map."""
    schema = RECORDS[task].model_json_schema(mode="validation")
    if task == "step":
        answer = {"type": "string", "description": "A whole solution, cut into steps by --split, in place of `steps`."}
        schema["properties"]["answer"] = answer
        schema["required"] = [name for name in schema["required"] if name != "steps"]
        schema["anyOf"] = [{"required": ["steps"]}, {"required": ["answer"]}]
    if task == "score":
        schema["anyOf"] = [{"required": ["rubric"]}, {"required": ["criteria"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def check_field_map(task: str, field_map: Mapping[str, str]) -> None:
    """Raises UsageError for a target that is no field of `task`."""
    for target, path in field_map.items():
        if target not in _KNOWN[task]:
            like = near_miss(target, _FIELDS[task])
            hint = f"did you mean {like}?" if like else f"fields of {task}: {', '.join(_FIELDS[task])}"
            raise UsageError(f"--map {target}={path}: `{target}` is not a field of {task} records", hint)
        if not path:
            raise UsageError(f"--map {target}=: the path is empty", f"write --map {target}=FIELD")


def parse(task: str, values: Any, *, field_map: Mapping[str, str] | None = None, split: Split | None = None) -> Record:
    """The record of `task` in a JSON object.

    `field_map` takes fields from elsewhere: known name -> dotted path (`choices.0.text`), checked by `check_field_map`.
    `split` cuts the `answer` of a step record into `steps`. Raises RecordError: `bad_type`, `bad_value`, `empty`,
    `missing_field`, `unknown_field` (an unknown name that looks like a known one; other unknown fields are kept).
    """
    if not isinstance(values, Mapping):
        raise RecordError("bad_type", f"a record is a JSON object, not {what(values)}")
    known = _KNOWN[task]
    fields = {}
    extra = {}
    for key, value in values.items():
        if key not in known:
            extra[key] = value
        elif value is not None:
            fields[key] = value
    if field_map:
        _map_fields(values, field_map, fields, extra)
    if task == "step":
        _split_answer(fields, extra, split)
    if extra:
        _refuse_near_misses(task, fields, extra)
        fields.update(extra)
    try:
        return RECORDS[task].model_validate(fields)
    except ValidationError as error:
        raise _record_error(task, error, values) from None


def _map_fields(
    values: Mapping[str, Any], field_map: Mapping[str, str], fields: dict[str, Any], extra: dict[str, Any]
) -> None:
    for target, path in field_map.items():
        try:
            value = values[path] if path in values else _follow(values, path)
        except (LookupError, TypeError, ValueError):
            message = f"`{target}` is mapped to `{path}`, which this record does not have"
            raise RecordError("missing_field", message, target) from None
        fields[target] = value
        extra.pop(path, None)
        if value is None:
            del fields[target]


def _follow(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[int(name)] if isinstance(values, (list, tuple)) else values[name]
    return values


def _split_answer(fields: dict[str, Any], extra: dict[str, Any], split: Split | None) -> None:
    answer = fields.pop("answer", None)
    if answer is None:
        return
    if "steps" in fields:
        extra["answer"] = answer
        return
    if split is None:
        message = "`steps` is missing; `answer` can be cut with --split lines or paragraphs"
        raise RecordError("missing_field", message, "steps")
    try:
        text: str = answer_text(answer)
    except PydanticCustomError as error:
        context = error.context or {}
        raise RecordError(context["kind"], f"`answer`: {context['text']}", "answer") from None
    text = text.replace("\r\n", "\n")
    cuts = text.split("\n") if split == "lines" else re.split(r"\n[^\S\n]*\n", text)
    steps = [cut.strip() if split == "paragraphs" else cut.rstrip() for cut in cuts if cut.strip()]
    if not steps:
        raise RecordError("empty", "`answer` holds no step", "answer")
    fields["steps"] = steps


def _refuse_near_misses(task: str, fields: Mapping[str, Any], extra: Mapping[str, Any]) -> None:
    for name, value in extra.items():
        if not isinstance(name, str):
            raise RecordError("bad_type", f"field names are text, not {what(name)}")
        like = near_miss(name, _FIELDS[task])
        if like is None or like in fields or (like == "answer" and "steps" in fields):
            continue
        if name.casefold() == like + "s" and like not in _NOT_TEXT and not isinstance(value, str):
            continue  # `contexts: [...]` of somebody's data set is no misspelt `context`
        message = f"unknown field `{name}`: did you mean `{like}`? (or --map {like}={name})"
        raise RecordError("unknown_field", message, name)


_PYDANTIC_KINDS = {"missing": "missing_field", "too_short": "empty", "too_long": "bad_value"}


def _record_error(task: str, error: ValidationError, values: Mapping[str, Any]) -> RecordError:
    first = error.errors(include_url=False)[0]
    context = first.get("ctx", {})
    where = [str(part) for part in first["loc"] if not _is_branch(part)]
    field = printable(".".join(where)) or context.get("field")
    if first["type"] == "record":
        kind, text = context["kind"], context["text"]
    else:
        kind = _PYDANTIC_KINDS.get(first["type"], "bad_type" if first["type"].endswith("_type") else "bad_value")
        text = first["msg"]
    if kind == "missing_field" and field:
        there = ", ".join(printable(str(name)) for name in list(values)[:12])
        return RecordError(kind, f"`{field}` is missing; the record has {there or 'no fields'} (see --map)", field)
    return RecordError(kind, printable(f"`{field}`: {text}" if field else text), field)


def _is_branch(part: str | int) -> bool:
    """Whether a part of pydantic's location names a branch of a union rather than a field."""
    return isinstance(part, str) and (
        part in ("str", "int", "float") or part.startswith(("dict[", "function-", "literal["))
    )
