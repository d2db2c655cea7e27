"""What a mistake in a right answer is, and what it is made in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from fare_cli.studies.audit.texts import Span


class Mistake(NamedTuple):
    """The parts with a mistake in them, and the index of the part where it is first seen."""

    parts: list[str]
    at: int


class Material(NamedTuple):
    """What a mistake is made in. `conclusion` asks for one in what the answer comes to, so that the whole answer is
    wrong and not only a word on the way."""

    parts: Sequence[str]
    question: str
    reference: str | None
    conclusion: bool
    draw: random.Random

    @property
    def around(self) -> tuple[str, ...]:
        """The texts of the record beside the answer."""
        return (self.question, self.reference or "")


def with_text(parts: Sequence[str], part: int, span: Span, text: str) -> list[str]:
    """The parts with another text at the span of one of them."""
    changed = list(parts)
    changed[part] = changed[part][: span.start] + text + changed[part][span.end :]
    return changed
