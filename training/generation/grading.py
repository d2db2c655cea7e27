"""Replies graded against the known answer; what cannot be graded is counted, never guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, MutableMapping
from typing import NamedTuple

from fare_cli.asks import Reply
from fare_cli.rank.final_answers import closing_answer
from training.generation.equivalence import Equivalence
from training.generation.known import Known
from training.generation.sampling import Try


class Answer(NamedTuple):
    """A complete answer of a generator, known to be right or wrong."""

    text: str
    generator: str
    seed: int
    is_right: bool


def grade(reply: Reply, known: Known, equivalence: Equivalence) -> str:
    """What a reply is: `right` or `wrong`; or why that is not known: `failed`, `cut` (no end of turn before the limit),
    `unmarked` (it does not end with a final answer), or what `Equivalence.compare` says of the one it names."""
    if reply.error is not None:
        return "failed"
    if reply.truncated:
        return "cut"
    # U+FFFD stands for bytes that are no text.
    said = closing_answer(reply.text) if "\ufffd" not in reply.text else None
    if said is None:
        return "unmarked"
    outcome = equivalence.compare(known.answer, said)
    return {"same": "right", "different": "wrong"}.get(outcome, outcome)


class Graded:
    """The graded answers to each question, every text once. `counts` says by generator what became of its tries."""

    def __init__(self, equivalence: Equivalence) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self._equivalence = equivalence
        self._answers: dict[str, dict[str, Answer]] = {}

    def add(self, known: Known, generator: str, tries: Iterable[Try]) -> None:
        """Grades the tries of a generator on a question. A text that is there already counts as `repeated`."""
        counts: MutableMapping[str, int] = self.counts.setdefault(generator, Counter())
        answers = self._answers.setdefault(known.name, {})
        for one in tries:
            text = one.reply.text.strip()
            same = " ".join(text.split())
            result = grade(one.reply, known, self._equivalence)
            counts[result] += 1
            if result in ("right", "wrong"):
                if same in answers:
                    counts["repeated"] += 1
                else:
                    answers[same] = Answer(text, generator, one.seed, result == "right")

    def of(self, known: Known) -> tuple[list[Answer], list[Answer]]:
        """The right and the wrong answers to a question."""
        found = self._answers.get(known.name, {}).values()
        return [one for one in found if one.is_right], [one for one in found if not one.is_right]
