"""Right and wrong answers of one question made into pairs, so chosen that form tells the two apart as little as can be,
and the records that follow from a pair."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fare_cli.errors import UsageError
from training.form.balance import choose
from training.form.shortcuts import Pair
from training.generation.grading import Answer, Graded
from training.generation.known import Known
from training.questions import draw

_MOST_CANDIDATES = 24


@dataclass(frozen=True, slots=True)
class PairingOptions:
    """At most `per_question` pairs of a question, no answer in two of them. `same_generator` pairs only answers of one
    generator. `reference_share` of the pairs have their two answers verified with the reference, the others without."""

    per_question: int = 1
    reference_share: float = 0.58
    same_generator: bool = False

    def __post_init__(self) -> None:
        if self.per_question < 1:
            raise UsageError(f"--per-question {self.per_question}: at least one pair is needed")
        if not 0 <= self.reference_share <= 1:
            raise UsageError(f"--reference-share {self.reference_share}: a share lies between 0 and 1")


class Paired(NamedTuple):
    """A right and a wrong answer to a question."""

    known: Known
    right: Answer
    wrong: Answer

    @property
    def pair(self) -> Pair:
        """As the baselines of form see it."""
        return Pair(
            self.known.name,
            self.known.question,
            self.right.text,
            self.wrong.text,
            self.right.generator,
            self.wrong.generator,
        )


def paired(
    questions: Sequence[Known], graded: Graded, options: PairingOptions, seed: int, counts: Counter[str]
) -> list[Paired]:
    """The pairs of all questions, in their order. `counts` says of how many questions all answers were right, all
    wrong, none could be graded, or no generator gave both."""
    hands = []
    for known in questions:
        right, wrong = graded.of(known)
        found = _hands(known, right, wrong, options, random.Random(f"{seed}/{known.name}"))
        hands += found
        if found:
            counts["paired"] += 1
        elif right and wrong:
            counts["both, but no generator gave both"] += 1
        else:
            counts["all right" if right else "all wrong" if wrong else "none graded"] += 1
    chosen = choose([[one.pair for one in hand] for hand in hands], seed)
    return [hand[index] for hand, index in zip(hands, chosen, strict=True)]


def _hands(
    known: Known, right: Sequence[Answer], wrong: Sequence[Answer], options: PairingOptions, rng: random.Random
) -> list[list[Paired]]:
    """The answers dealt to as many hands as there may be pairs; of each hand all pairs, or 24 drawn from them."""
    sides: dict[str, tuple[list[Answer], list[Answer]]] = {}
    for one in rng.sample([*right, *wrong], len(right) + len(wrong)):
        both = sides.setdefault(one.generator if options.same_generator else "", ([], []))
        both[not one.is_right].append(one)
    hands = []
    for name, most in _shared_out({name: min(map(len, both)) for name, both in sides.items()}, options.per_question):
        good, bad = sides[name]
        for first in range(most):
            pairs = [Paired(known, *two) for two in itertools.product(good[first::most], bad[first::most])]
            hands.append(rng.sample(pairs, min(len(pairs), _MOST_CANDIDATES)))
    return hands


def _shared_out(room: dict[str, int], most: int) -> Iterator[tuple[str, int]]:
    """How many pairs of at most so many each generator may have: one after the other, as far as there is room."""
    turns = itertools.chain.from_iterable([name for name in room if room[name] > turn] for turn in range(most))
    yield from Counter(itertools.islice(turns, most)).items()


def records_of(pairs: Sequence[Paired], options: PairingOptions, seed: int) -> Iterator[dict[str, Any]]:
    """The records of all pairs as JSON values: the pair, and both its answers to verify.

    The right answer is A in every second pair, in an order by chance; which pairs come with the reference is left to
    chance too, their share is exact.
    """
    half = [number % 2 == 0 for number in range(len(pairs))]
    random.Random(draw("sides", seed)).shuffle(half)
    by_chance = sorted(range(len(pairs)), key=lambda number: draw("reference", seed, pairs[number].known.name, number))
    with_reference = set(by_chance[: round(options.reference_share * len(pairs))])
    numbers: Counter[str] = Counter()
    for number, one in enumerate(pairs):
        numbers[one.known.name] += 1
        name = f"{one.known.name}-{numbers[one.known.name]}"
        yield from _records(one, name, right_is_a=half[number], with_reference=number in with_reference)


def _records(one: Paired, name: str, *, right_is_a: bool, with_reference: bool) -> Iterator[dict[str, Any]]:
    known, right, wrong = one
    both = {"group": known.name, "question": known.question}
    credit = {"source": known.source, "licence": known.licence}
    first, second = (right, wrong) if right_is_a else (wrong, right)
    yield {
        "id": f"{name}-pair", **both, "answer_a": first.text, "answer_b": second.text, "gold": "AB"[not right_is_a],
        "system_a": first.generator, "system_b": second.generator, **credit,
        # By side of the label, not of the page: it stays true where the answers change places.
        "generator": {"right": _generated(right), "wrong": _generated(wrong)},
    }  # fmt: skip
    reference = {"reference": known.answer} if with_reference else {}
    for answer in (right, wrong):
        yield {
            "id": f"{name}-{'right' if answer.is_right else 'wrong'}", **both, **reference,
            "answer": answer.text, "gold": "yes" if answer.is_right else "no",
            "system": answer.generator, **credit, "generator": _generated(answer),
        }  # fmt: skip


def _generated(answer: Answer) -> dict[str, Any]:
    return {"name": answer.generator, "seed": answer.seed}
