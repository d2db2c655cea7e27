"""Planted errors: records with a mistake that the judge must notice, made from answers that are right."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fare_cli.records import PairwiseRecord, Record, ScoreRecord, StepRecord, VerifyRecord
from fare_cli.studies.audit.broken_code import broken_code
from fare_cli.studies.audit.mistake import Material, Mistake
from fare_cli.studies.audit.perturbation import ALL_TASKS
from fare_cli.studies.audit.wrong_numbers import changed_number, deleted_step
from fare_cli.studies.audit.wrong_words import negated_sentence, swapped_entity


class Planted(NamedTuple):
    """A record with a mistake in it; its gold is the label that shows that the judge has noticed (None for a score,
    which must be lower than that of `untouched`). `untouched` is the same without it; None for a pair, which holds
    both."""

    record: Record
    untouched: Record | None


@dataclass(frozen=True, slots=True)
class Planting:
    """A kind of mistake, and the tasks it can be noticed in."""

    name: str
    tasks: tuple[str, ...]
    description: str
    make: Callable[[Material], Mistake | None]

    def apply(self, record: Record, seed: int = 0) -> Planted | None:
        """The record with the mistake; None where no answer is known to be right, or the mistake cannot be made.

        The same arguments give the same record.
        """
        if record.task not in self.tasks:
            return None
        draw = random.Random(f"{self.name}/{record.content_id()}/{seed}")
        planted = _PLANT[record.task](self.make, record, draw)
        return planted if planted is None or not self._unchanged(planted) else None

    def _unchanged(self, planted: Planted) -> bool:
        if isinstance(planted.record, PairwiseRecord):
            return planted.record.answer_a.split() == planted.record.answer_b.split()
        return planted.untouched is not None and planted.record.content_id() == planted.untouched.content_id()


_Make = Callable[[Material], Mistake | None]


def _pair(make: _Make, record: Record, draw: random.Random) -> Planted | None:
    """The right answer beside itself with the mistake; the sides are drawn by chance."""
    assert isinstance(record, PairwiseRecord)
    right = {"A": record.answer_a, "B": record.answer_b}.get(record.gold or "", record.reference)
    if right is None:
        return None
    mistake = make(Material([right], record.question, None, False, draw))
    if mistake is None:
        return None
    wrong = mistake.parts[0]
    side = draw.choice("AB")
    pair = {"answer_a": right, "answer_b": wrong} if side == "A" else {"answer_a": wrong, "answer_b": right}
    # A reference that is the right answer itself would give it away.
    reference = None if record.reference == right else record.reference
    update = {**pair, **_UNLABELLED, "gold": side, "reference": reference, "system_a": None, "system_b": None}
    return Planted(record.model_copy(update=update), None)


def _verify(make: _Make, record: Record, draw: random.Random) -> Planted | None:
    """A right answer, or the reference in its place, with the mistake in what it comes to."""
    assert isinstance(record, VerifyRecord)
    right = record.answer if record.gold == "yes" else record.reference
    if right is None:
        return None
    untouched = record.model_copy(update={**_UNLABELLED, "answer": right, "gold": "yes"})
    mistake = make(Material([right], record.question, record.reference, True, draw))
    if mistake is None or not mistake.parts[0].strip():
        return None
    return Planted(untouched.model_copy(update={"answer": mistake.parts[0], "gold": "no"}), untouched)


def _steps(make: _Make, record: Record, draw: random.Random) -> Planted | None:
    """A solution without a wrong step, with one."""
    assert isinstance(record, StepRecord)
    if record.gold != -1:
        return None
    untouched = record.model_copy(update=_UNLABELLED)
    mistake = make(Material(record.steps, record.question, record.reference, False, draw))
    if mistake is None:
        return None
    return Planted(untouched.model_copy(update={"steps": mistake.parts, "gold": mistake.at}), untouched)


def _score(make: _Make, record: Record, draw: random.Random) -> Planted | None:
    """An answer in the upper half of the scale, with the mistake."""
    assert isinstance(record, ScoreRecord)
    if record.gold is None or record.gold < sum(record.scale) / 2:
        return None
    untouched = record.model_copy(update=_UNLABELLED)
    mistake = make(Material([record.answer], record.question, record.reference, False, draw))
    if mistake is None:
        return None
    return Planted(untouched.model_copy(update={"answer": mistake.parts[0], "gold": None}), untouched)


# Labels of people are of the answer as it was.
_UNLABELLED = {"annotations": None}
_PLANT: dict[str, Callable[[_Make, Record, random.Random], Planted | None]] = {
    "pairwise": _pair,
    "verify": _verify,
    "step": _steps,
    "score": _score,
}

PLANTED = (
    Planting(
        "changed_number",
        ALL_TASKS,
        "One number is another one, with the same count of digits, decimals and zeros at its end, and none that "
        "occurs in the record; it does not stand behind a word such as `about`. Where the answer repeats the number "
        "behind that place, it repeats the changed one, so that the mistake cannot be found by comparing. In verify "
        "it is the result, wherever it stands: the last number, if the reference has it or, without one, if it is "
        "none of the question's and at most two words follow it.",
        changed_number,
    ),
    Planting(
        "negated_sentence",
        ALL_TASKS,
        "One sentence says the opposite: a `not` is added behind is, are, was, were, can or will, or one is taken "
        "away. Questions, conditions, clauses with who, which or that, and code are left alone. In verify it is "
        "the last sentence.",
        negated_sentence,
    ),
    Planting(
        "swapped_entity",
        ALL_TASKS,
        "In one sentence a name stands for another one of the same record that does not occur in it. Names are "
        "capitalised words that occur at least twice, once of it inside a sentence; those with `the` are exchanged "
        "with each other only. In verify it is the last sentence.",
        swapped_entity,
    ),
    Planting(
        "deleted_step",
        ("pairwise", "verify", "score"),
        "A line (of one line: a sentence) is missing whose result, `= N`, the next one computes with and nothing "
        "before has: what is now there follows from nothing. In verify the end is missing, from the first mention of "
        "the result on, which leaves the question open. It is not for step, whose protocol says that missing detail "
        "makes no step wrong.",
        deleted_step,
    ),
    Planting(
        "broken_code",
        ("pairwise", "verify", "score"),
        "Python code (a fenced block, or the whole answer) does not compile any more: a colon or a closing bracket "
        "less, or a misspelt keyword. It compiled before, and that it does not now is checked with Python's parser.",
        broken_code,
    ),
)
