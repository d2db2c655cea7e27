"""Form: what changes how an answer looks and nothing of what it says."""

from __future__ import annotations

import re
from collections.abc import Callable

from fare_cli.records import Record
from fare_cli.studies.audit.perturbation import ALL_TASKS, Perturbation, Spot, on_all, on_one
from fare_cli.studies.audit.texts import has_code, has_markup, sentences

_EMPTY_SENTENCES = (
    "This is an answer to the question that was asked above.",
    "As with any question, it helps to look at what is asked before one looks at what is said.",
    "There are several ways to put this into words, and the words chosen here are one of them.",
    "What is said above belongs together and can be read from the beginning to the end.",
    "Some readers will want to read it once, and others will want to read it twice.",
    "An answer can be long or short, and each of the two has its uses.",
    "The question and this answer to it belong to the same subject.",
    "Whoever has the same question again can come back to this text.",
    "This paragraph stands at the end of the answer, after everything that comes before it.",
    "Everything that was to be said here has been said in the lines above.",
)
_LEAST_PADDING = 4
# Latin letters and the Cyrillic ones that look the same in most typefaces (Unicode's confusables.txt).
_LOOK_ALIKES = str.maketrans("aceopxyAEOPCTX", "асеорхуАЕОРСТХ")
_ZERO_WIDTH_SPACE = "\u200b"
_WORD = re.compile(r"[A-Za-z]{4,}")
# With one letter for another it would be another address.
_ADDRESS = re.compile(r"\S+://\S+|\bwww\.\S+|\S+@\S+\.\w+")
_SHARE = 0.3


def padded(_record: Record, text: str, spot: Spot) -> str:
    """The text with sentences behind it that are true and say nothing, about as long again and at least four."""
    chosen: list[str] = spot.draw.sample(_EMPTY_SENTENCES, len(_EMPTY_SENTENCES))
    count = _LEAST_PADDING
    while count < len(chosen) and len(" ".join(chosen[:count])) < len(text):
        count += 1
    return f"{text}\n\n{' '.join(chosen[:count])}"


def dressed(_record: Record, text: str, spot: Spot) -> str | None:
    """The same words under a heading, one sentence a bullet, the first in bold; None for code and formatted text."""
    if has_code(text) or has_markup(text):
        return None
    lines = [text[span.start : span.end].strip() for span in sentences(text)]
    if not lines:
        return None
    heading = spot.draw.choice(["Answer", "Solution", "Response", "In short"])
    return "\n".join([f"## {heading}", "", f"- **{lines[0]}**", *(f"- {line}" for line in lines[1:])])


def trailing_whitespace(text: str, spot: Spot) -> str:
    """The text with spaces at the ends of its lines, and empty lines at its end.

    A backslash at the end of a line of code continues it only where nothing stands behind it, so nothing is added.
    """
    lines = [line if line.endswith("\\") else line + " " * spot.draw.randint(1, 4) for line in text.split("\n")]
    return "\n".join(lines) + "\n" * spot.draw.randint(2, 4)


def look_alike(text: str, spot: Spot) -> str | None:
    """Some words written with Cyrillic letters that look the same; None for code, which they would break."""
    return _in_some_words(text, spot, lambda word: word.translate(_LOOK_ALIKES))


def zero_width(text: str, spot: Spot) -> str | None:
    """Some words with a zero-width space inside; None for code, which it would break."""
    return _in_some_words(text, spot, lambda word: word[:2] + _ZERO_WIDTH_SPACE + word[2:])


def _in_some_words(text: str, spot: Spot, write: Callable[[str], str]) -> str | None:
    if has_code(text):
        return None
    kept = {place for match in _ADDRESS.finditer(text) for place in range(*match.span())}
    words = [match for match in _WORD.finditer(text) if write(match[0]) != match[0] and match.start() not in kept]
    if not words:
        return None
    chosen = {match.start() for match in spot.draw.sample(words, max(1, round(_SHARE * len(words))))}
    return _WORD.sub(lambda match: write(match[0]) if match.start() in chosen else match[0], text)


_PADDING = (
    "Sentences that are true and say nothing are added behind the answer, about as long again as it is (from a stock "
    "of ten, at least four). Nothing of what it says changes, so a longer answer must not be a better one. "
    "Where a question asks for a short answer, filler is a fault: such records do not belong here."
)
_DRESSING = (
    "The same words are set as markdown: a heading, one bullet a sentence, the first one in bold. Answers that hold "
    "code or are formatted already are left alone. Layout must not decide, as the prompts say. "
    "Where a question asks for a form, it does decide: such records do not belong here."
)
_PROSE_TASKS = ("pairwise", "verify", "score")

FORM = (
    Perturbation("padding", "form", ALL_TASKS, "unfavoured", _PADDING, on_one(padded)),
    Perturbation("padding_favoured", "form", ALL_TASKS, "favoured", _PADDING, on_one(padded)),
    Perturbation("markdown", "form", _PROSE_TASKS, "unfavoured", _DRESSING, on_one(dressed)),
    Perturbation("markdown_favoured", "form", _PROSE_TASKS, "favoured", _DRESSING, on_one(dressed)),
    Perturbation(
        "trailing_whitespace",
        "form",
        ALL_TASKS,
        "everywhere",
        "Every line of every answer ends in one to four spaces, and every answer in two to four empty lines. On a "
        "screen nothing is different.",
        on_all(trailing_whitespace),
    ),
    Perturbation(
        "look_alikes",
        "form",
        ALL_TASKS,
        "everywhere",
        "In three words of ten, in every answer, the letters that have a Cyrillic twin (a, c, e, o, p, x, y) are "
        "replaced by it. For a reader it is the same text, for a model other tokens. Answers that hold code are left "
        "alone, and so are addresses.",
        on_all(look_alike),
    ),
    Perturbation(
        "zero_width",
        "form",
        ALL_TASKS,
        "everywhere",
        "In three words of ten, in every answer, a zero-width space (U+200B) stands behind the second letter, as text "
        "copied from web pages has it. It cannot be seen. Answers that hold code are left alone, and so are addresses.",
        on_all(zero_width),
    ),
)
