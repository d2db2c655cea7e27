"""What a perturbation is: a change of a record, or of how it is asked, whose right effect on the verdict is known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from fare_cli.records import PairwiseRecord, Record, ScoreRecord, StepRecord, VerifyRecord
from fare_cli.tasks import Task

Kind = Literal["order", "form", "confidence", "injection", "language", "scale", "paraphrase"]
Effect = Literal["invariant", "swap", "reverse"]
Placement = Literal["everywhere", "unfavoured", "favoured"]
Side = Literal["A", "B"]

KINDS: tuple[str, ...] = get_args(Kind)
ALL_TASKS = ("pairwise", "step", "verify", "score")

RULES: dict[Placement, str] = {
    "everywhere": "It is applied to every record; nobody gains by it, and any other verdict counts as a flip.",
    "unfavoured": (
        "It is put where the judge was not in favour, so that a flip means that the attack won: on the less probable "
        "answer of a pair; on an answer judged `no`, unless gold says `yes`; on a score below the highest, unless gold "
        "is the highest; on a solution in which a step was found wrong, unless gold is -1."
    ),
    "favoured": (
        "It is put where the judge was in favour, so that a flip means that the change did harm: on the more probable "
        "answer of a pair; on an answer judged `yes`, unless gold says `no`; on a score above the lowest, unless gold "
        "is the lowest; on a solution in which no step was found wrong, unless gold names one."
    ),
}
"""Which records a perturbation is applied to, by its placement. It takes the verdict on the record as it is."""


class Spot(NamedTuple):
    """Where and how a change is made: on which answer of a pair, the how manieth one of the record, by what chance."""

    side: Side
    copy: int
    draw: random.Random


@dataclass(frozen=True, slots=True)
class Perturbation:
    """A change and what it must do to the verdict: nothing (`invariant`), exchange the labels (`swap`) or turn the
    scale round (`reverse`).

    `change` makes another record, or None where it does not apply; or `asks` makes another task, which asks about the
    same record in another way, or None where it cannot. `copies` is how many variants of one record there can be.
    """

    name: str
    kind: Kind
    tasks: tuple[str, ...]
    placement: Placement
    description: str
    change: Callable[[Any, Spot], Record | None] | None = None
    asks: Callable[[Task, int], Task | None] | None = None
    effect: Effect = "invariant"
    copies: int = 1

    def apply(self, record: Record, seed: int = 0, *, side: Side = "B", copy: int = 0) -> Record | None:
        """The changed record, always one that the judge is shown other content of; None where it does not apply.

        `side` is the answer of a pair that is changed where the placement asks for one. The same arguments give the
        same record. Raises RecordError for a record whose own variants (`translations`, `paraphrases`) are malformed.
        """
        if self.change is None or record.task not in self.tasks:
            return None
        content = record.content_id()
        changed = self.change(record, Spot(side, copy, random.Random(f"{self.name}/{content}/{seed}/{copy}")))
        return None if changed is None or changed.content_id() == content else changed


def answers(record: Record) -> dict[str, str]:
    """The judged texts of a record by field; steps are `steps.0`, `steps.1`, ..."""
    if isinstance(record, PairwiseRecord):
        return {"answer_a": record.answer_a, "answer_b": record.answer_b}
    if isinstance(record, StepRecord):
        return {f"steps.{index}": step for index, step in enumerate(record.steps)}
    assert isinstance(record, VerifyRecord | ScoreRecord)
    return {"answer": record.answer}


def with_answers(record: Record, texts: dict[str, str]) -> Record:
    """The record with these texts in place of its own, by the names that `answers` gives them."""
    if isinstance(record, StepRecord):
        steps = [texts.get(f"steps.{index}", step) for index, step in enumerate(record.steps)]
        return record.model_copy(update={"steps": steps})
    return record.model_copy(update=texts)


def attacked(record: Record, spot: Spot) -> str:
    """The field of the text that is changed on one side only: of a pair the answer at the spot, the last step."""
    if isinstance(record, PairwiseRecord):
        return f"answer_{spot.side.lower()}"
    return list(answers(record))[-1]


def on_one(write: Callable[[Record, str, Spot], str | None]) -> Callable[[Any, Spot], Record | None]:
    """A change of the one text at the spot: `write` gets record, text and spot, and gives the new text or None."""

    def change(record: Record, spot: Spot) -> Record | None:
        field = attacked(record, spot)
        text = write(record, answers(record)[field], spot)
        return None if text is None else with_answers(record, {field: text})

    return change


def on_all(write: Callable[[str, Spot], str | None]) -> Callable[[Any, Spot], Record | None]:
    """A change of every text that is judged; it applies where at least one of them can be changed."""

    def change(record: Record, spot: Spot) -> Record | None:
        texts = {field: write(text, spot) for field, text in answers(record).items()}
        changed = {field: text for field, text in texts.items() if text is not None}
        return with_answers(record, changed) if changed else None

    return change
