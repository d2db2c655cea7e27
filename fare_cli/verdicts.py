"""The verdict: one line of output, and its published schema."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fare_cli.errors import RecordError
from fare_cli.record_fields import printable

if TYPE_CHECKING:
    from fare_cli.records import Record

_LINE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DIGITS = 6
#: What a probability that a file has as 0 is taken for where its logarithm is needed: half of the last digit.
SMALLEST = 5e-7
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})

Probabilities = dict[str, float]


class Source(BaseModel):
    """Where a record was read: file as it was named, 1-based line."""

    file: str
    line: int = Field(ge=1)


class Usage(BaseModel):
    """Tokens of all asks of a record; shared prefixes are counted once for each ask."""

    prompt_tokens: int = 0
    generated_tokens: int = 0


class VerdictError(BaseModel):
    """Why there is no verdict; `field` is the dotted path of the field at fault, if it is one."""

    kind: str
    message: str
    field: str | None = None


class CriterionScore(BaseModel):
    """The score for one of several criteria."""

    score: int
    expected_score: float | None
    probabilities: Probabilities | None


class Judgement(BaseModel):
    """What one ask gave."""

    order: Literal["ab", "ba"] | None = Field(default=None, description="Pairwise: which answer was shown as A.")
    vote: int = Field(default=0, ge=0, description="0-based.")
    criterion: str | None = Field(default=None, description="Score with `criteria`: its name.")
    label: str = Field(description="The label as the model said it.")
    means: str = Field(description="The label as it means for the record: with the swap of order ba undone.")
    probabilities: Probabilities | None = Field(
        description="Over the labels as the model says them; null where a server does not tell."
    )
    margin: float | None = Field(
        description="Nats between this label and the next; null where there is one label only, or no probabilities."
    )
    reasoning: str | None = Field(
        default=None, description="What the model thought before it answered; null where nothing."
    )
    reasoning_truncated: bool = Field(default=False, description="The thinking was closed at its limit of tokens.")
    critique: str | None = Field(
        default=None, description="What the model wrote before its verdict; null in direct mode."
    )
    forced: bool = Field(default=False, description="The model wrote no verdict line: it was put there for it.")
    truncated: bool = Field(default=False, description="The critique was cut by max_tokens.")


Stage = Literal["direct", "critique", "votes"]


class StageSaid(BaseModel):
    """What one stage of a cascade said of a record, and its tokens; `votes` are the most that an order or a criterion
    got."""

    stage: Stage
    verdict: str | None
    confidence: float | None
    consistent: bool | None
    votes: int = Field(ge=0)
    usage: Usage


class Cascaded(BaseModel):
    """The stages that were asked, in order; the last of them decided."""

    decided_by: Stage
    stages: list[StageSaid]


class MemberSaid(BaseModel):
    """What one member of a panel said of a record; `judge` is its fingerprint."""

    model: str
    judge: str
    status: Literal["ok", "invalid"]
    verdict: str | None
    probabilities: Probabilities | None
    confidence: float | None
    consistent: bool | None
    judgments: list[Judgement]
    usage: Usage
    error: VerdictError | None


class PanelSaid(BaseModel):
    """What the members of a panel said of a record, in the order in which they were named."""

    agreeing: int = Field(ge=0, description="How many members gave the panel's verdict.")
    members: list[MemberSaid]


class Verdict(BaseModel):
    """One judged record. What is at its top follows from `judgments` by `rule`."""

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    id: str
    source: Source | None = Field(default=None, description="Where the record was read.")
    task: Literal["pairwise", "step", "verify", "score"]
    status: Literal["ok", "invalid"]
    verdict: str | None = Field(default=None, description="The label; null where the judge gives none.")
    step: int | None = Field(default=None, description="Step: 0-based index of the first wrong step, -1 if none.")
    score: int | None = Field(default=None, description="Score: the most probable one; null with several criteria.")
    expected_score: float | None = Field(default=None, description="Score: mean weighted by probability.")
    criteria: dict[str, CriterionScore] | None = Field(default=None, description="Score with `criteria`: each one's.")
    probabilities: Probabilities | None = Field(default=None, description="Label to probability, combined; sums to 1.")
    confidence: float | None = Field(default=None, description="The probability of `verdict`.")
    consistent: bool | None = Field(default=None, description="Pairwise: both orders said the same.")
    rule: str | None = Field(default=None, description="How `judgments` became the fields above.")
    judgments: list[Judgement] = Field(default_factory=list)
    gold: str | int | float | None = None
    correct: bool | None = Field(
        default=None, description="Whether `verdict` is `gold`; null where that cannot be said."
    )
    usage: Usage = Field(default_factory=Usage)
    injection_guard: bool | None = Field(
        default=None,
        description="Whether text of the record could not act as a special token; null where no model was asked.",
    )
    cascade: Cascaded | None = Field(
        default=None,
        description="Mode auto: which stage decided and what each said and cost; `judgments` are those of the last.",
    )
    panel: PanelSaid | None = Field(
        default=None, description="Of a panel: its members, with their `judgments`; that of the verdict is empty."
    )
    judge: str = Field(default="", description="Fingerprint of the judge.")
    contract: Literal["fare", "own"] | None = Field(
        default=None, description='"own": not the layout of FARE\'s training.'
    )
    error: VerdictError | None = Field(default=None, description="Why `status` is invalid.")
    record: dict[str, Any] | None = Field(default=None, description="The canonical input.")

    def shares(self) -> dict[str, float]:
        """The probabilities; where the judge hides them, all of it on its label, and {} where it gave none."""
        if self.probabilities is not None:
            return self.probabilities
        return {} if self.verdict is None else {self.verdict: 1.0}

    def points(self) -> float | None:
        """The expected score; where the judge hides its probabilities, the score, or the mean of its criteria's."""
        if self.expected_score is not None or self.status == "invalid":
            return self.expected_score
        scores = [self.score] if self.criteria is None else [one.score for one in self.criteria.values()]
        known = [one for one in scores if one is not None]
        return math.fsum(known) / len(known) if known else None

    def to_line(self, include_record: bool = True) -> str:
        """The verdict as one JSON line, no newline: fields in fixed order, floats rounded to 6 digits, never NaN."""
        values = {
            _JSON_NAMES.get(name, name): _plain(value) for name, value in self.__dict__.items() if name != "record"
        }
        if include_record:
            values["record"] = self.record
        return _LINE.encode(values)

    @classmethod
    def from_line(cls, line: str | bytes) -> Verdict:
        """The verdict in a line that `to_line` wrote. Raises pydantic's ValidationError on anything else."""
        return cls.model_validate_json(line)


_JSON_NAMES = {"schema_version": "schema"}


def _plain(value: Any) -> Any:
    """JSON values of a field: models as dicts, floats rounded, floats that JSON does not know as null."""
    kind = type(value)
    if kind is float:
        return round(value, _DIGITS) if math.isfinite(value) else None
    if kind in _AS_THEY_ARE:
        return value
    if kind is list:
        return [_plain(inner) for inner in value]
    if isinstance(value, dict | BaseModel):
        values = value if isinstance(value, dict) else value.__dict__
        return {name: _plain(inner) for name, inner in values.items()}
    return value


def invalid_verdict(
    task: str, error: RecordError, *, record: Record | None = None, id: str | None = None, usage: Usage | None = None
) -> Verdict:
    """The verdict on a record that could not be judged; `id` goes before the record's own, which may be unreadable."""
    values: Mapping[str, Any] = {} if record is None else {"record": record.to_json(), "gold": record.gold}
    field = None if error.field is None else printable(error.field)
    name = id if id is not None else (record.id if record is not None else "")
    return Verdict(
        id=printable(name),
        task=task,  # type: ignore[arg-type]
        status="invalid",
        usage=usage or Usage(),
        error=VerdictError(kind=error.kind, message=printable(error.message), field=field),
        **values,
    )


def verdict_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one line of output."""
    schema = Verdict.model_json_schema(by_alias=True, mode="serialization")
    schema["required"] = [name for name in schema["properties"] if name != "record"]
    schema["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
