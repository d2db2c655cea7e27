"""How common and how round numbers are, so that wrong ones can be drawn that look like right ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction

from training.form.numbers import Form, form
from training.injection.solution import Solution


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
