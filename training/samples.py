"""Samples: what is trained, in token ids from fare's own rendering, with a mask over what the judge itself writes.

The prompt is what `fare judge` sends for the same record, the completion what the engine reads: the words of a
critique, or of a direct judgment the path of its label in the label trie, and the token that ends the turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fare_cli.asks import Message
from fare_cli.engine.choice import Choice
from fare_cli.engine.native import Model
from fare_cli.engine.template import ChatTemplate
from fare_cli.engine.turns import Turns
from fare_cli.errors import InputError, InvalidRecordsError, ModelError
from fare_cli.records import TaskName
from training.questions import Question, Side

Kind = Literal["critique", "direct"]


class Sample(BaseModel):
    """One line of a file of samples.

    `id` is the record's. `order` is the order in which a pair was shown. `pass_rate` is the share of the policy's
    tries at this record that were right, None where nothing was tried. `target` is the text that is learnt, which
    `completion_mask` (0 or 1 for each of `input_ids`) marks with the token that ends the turn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    task: TaskName
    kind: Kind
    order: Side | None = None
    pass_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    target: str
    input_ids: list[Annotated[int, Field(ge=0)]]
    completion_mask: list[Literal[0, 1]]

    @model_validator(mode="after")
    def _mask_fits(self) -> Self:
        if len(self.input_ids) != len(self.completion_mask):
            raise ValueError("input_ids and completion_mask differ in length")
        if sorted(self.completion_mask) != self.completion_mask or 1 not in self.completion_mask[1:]:
            raise ValueError("completion_mask is not a prompt of zeros and then a completion of ones")
        return self

    def to_line(self) -> str:
        return self.model_dump_json(exclude_none=True)


class Tokeniser:
    """Questions and targets in the ids of one model's vocabulary and chat template, read from its GGUF file without
    its weights. Close it.

    Raises ModelError for a file without a usable template.
    """

    def __init__(self, gguf: Path) -> None:
        self._model = Model(gguf, gpu_layers=0, vocabulary_only=True)
        try:
            self._template = ChatTemplate(self._model)
            self._turns = Turns(self._model, self._template)
            self.end = self._template.turn_end()
        except ModelError:
            self._model.close()
            raise

    def critique(self, question: Question, target: str, pass_rate: float | None = None) -> Sample:
        """The sample whose target is a whole turn: a critique with its verdict."""
        return self._sample(question, "critique", question.critique, self._template.plain(target), target, pass_rate)

    def direct(self, question: Question, pass_rate: float | None = None) -> Sample:
        """The sample whose target is the right verdict alone, in the very ids that the engine reads labels by."""
        marker, choice = self._turns.choice(question.marker, question.labels)
        completion = [*marker, *choice.paths[question.right]]
        return self._sample(
            question, "direct", question.direct, completion, question.marker + question.right, pass_rate
        )

    def judged(self, question: Question) -> tuple[list[int], Choice]:
        """The ids of a direct judgment up to its label, and the trie that the label is read by."""
        marker, choice = self._turns.choice(question.marker, question.labels)
        return [*self._template.prompt(question.direct).tokens, *marker], choice

    def expresses(self, text: str) -> bool:
        """Whether the vocabulary can say `text`: SmolLM2's, for one, lacks bytes of rare characters."""
        return self.text(self._template.plain(text)) == text

    def text(self, tokens: list[int]) -> str:
        """The text of ids, special tokens left out."""
        return b"".join(map(self._model.piece, tokens)).decode("utf-8", "replace")

    def _sample(
        self,
        question: Question,
        kind: Kind,
        messages: tuple[Message, ...],
        completion: list[int],
        target: str,
        pass_rate: float | None,
    ) -> Sample:
        prompt = self._template.prompt(messages).tokens
        return Sample.model_construct(
            id=question.record.id,
            task=question.record.task,
            kind=kind,
            order=question.order,
            pass_rate=pass_rate,
            target=target,
            input_ids=[*prompt, *completion, self.end],
            completion_mask=[0] * len(prompt) + [1] * (len(completion) + 1),
        )

    def close(self) -> None:
        self._model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples in a file, in its order. Raises InputError for a file that cannot be read, InvalidRecordsError naming
    the line for one that is no sample."""
    try:
        lines = path.open(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", "check the path") from None
    with lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield Sample.model_validate(json.loads(line))
            except (ValidationError, ValueError) as error:
                first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
                where = ".".join(map(str, first["loc"])) or "the line"
                raise InvalidRecordsError(
                    f"{path}, line {number}: {where}: {first['msg']}", "files of samples are made by: rollout"
                ) from None
