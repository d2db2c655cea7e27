"""How common and how round numbers are, so that wrong ones can be drawn that look like right ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from training.injection.solution import Solution


class Form(NamedTuple):
    """What a number looks like: digits before and after the point, and how many of them are left without the zeros at
    the end (150 has two): the fewer, the rounder."""

    digits: int
    decimals: int
    significant: int


def form(text: str) -> Form:
    """The form of a number as it is written."""
    whole, _, decimals = text.replace(",", "").partition(".")
    digits = (whole + decimals).lstrip("0")
    return Form(len(whole.lstrip("0")), len(decimals), len(digits.rstrip("0")))


class Frequencies:
    """How often each number is the result of a step in right solutions."""

    def __init__(self, solutions: Iterable[Solution]) -> None:
        forms: defaultdict[Form, Counter[Fraction]] = defaultdict(Counter)
        for solution in solutions:
            for step in solution.steps:
                if step.result is not None:
                    result = step.tokens[step.result]
                    assert not isinstance(result, str)
                    forms[form(result.text)][step.value] += 1
        self._forms = {name: sorted(found.items()) for name, found in forms.items()}

    def like(self, text: str) -> tuple[Sequence[Fraction], Sequence[int]]:
        """The results of right solutions that have the form of `text`, and how often each is one."""
        pairs = self._forms.get(form(text), [])
        return [value for value, _ in pairs], [count for _, count in pairs]
