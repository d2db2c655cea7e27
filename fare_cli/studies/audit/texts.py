"""Looking at text without a language library: sentences, and what is code."""

from __future__ import annotations

import re
from typing import NamedTuple

_SENTENCE_END = re.compile(r"(?<=[.!?])[ \t]+(?=[\"'(\[]?[A-Z0-9])|\s*\n\s*")
_CODE = re.compile(
    r"```|\bprint\(|\w = \w{2,}\(|"
    r"^\s*(def |class |import |from \w+ import |return\b|#include|public |function |var |let |const )|[;{}]\s*$",
    re.M,
)
_MARKUP = re.compile(r"^\s*(#{1,6} |[-*+] |\d+[.)] |\|.*\||>)|\*\*|__", re.M)


class Span(NamedTuple):
    """A piece of a text by its offsets."""

    start: int
    end: int


def sentences(text: str) -> list[Span]:
    """The sentences and lines of a text, without the space between them; empty ones left out."""
    spans, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        spans.append(Span(start, match.start()))
        start = match.end()
    spans.append(Span(start, len(text)))
    return [span for span in spans if text[span.start : span.end].strip()]


def has_code(text: str) -> bool:
    """Whether the text looks like code in part: a fence, or lines that begin or end as those of programs do."""
    return _CODE.search(text) is not None


def has_markup(text: str) -> bool:
    """Whether the text is formatted already: headings, lists, tables, bold type."""
    return _MARKUP.search(text) is not None
