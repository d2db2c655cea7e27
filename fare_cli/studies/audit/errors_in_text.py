"""Mistakes put into right text: a changed number, a negated sentence, a swapped entity, a deleted step, broken code.

All take the parts of an answer (its steps, or itself as the only one) and give them back with one mistake, and where.
"""

from __future__ import annotations

import ast
import random
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from fare_cli.studies.audit.texts import Span, has_code, sentences


class Mistake(NamedTuple):
    """The parts with a mistake in them, and the index of the part where it is first seen."""

    parts: list[str]
    at: int


class Material(NamedTuple):
    """What a mistake is made in. `around` is the rest of the record (question, reference), which says what is known;
    `conclusion` asks for a mistake in what the answer comes to, where it makes the whole answer wrong."""

    parts: Sequence[str]
    around: str
    conclusion: bool
    draw: random.Random


# Not glued to a word or to another number, and not the number of a list entry or of a step.
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w]|[.,]\d)")
_COUNTING = re.compile(r"(?:^|\n)[ \t]*\(?$|\b(?:[Ss]tep|#|No\.|[Cc]hapter|[Ff]igure|[Tt]able) ?$")


def _numbers(text: str) -> list[re.Match[str]]:
    found = []
    for match in _NUMBER.finditer(text):
        before, after = text[: match.start()], text[match.end() : match.end() + 1]
        if not (_COUNTING.search(before) and (after in (".", ")", ":") or not before.endswith("\n"))):
            found.append(match)
    return found


def changed_number(material: Material) -> Mistake | None:
    """One number is another from some place on. With `conclusion` it is the last number of the answer, everywhere."""
    places = [(part, match) for part, text in enumerate(material.parts) for match in _numbers(text)]
    if not places:
        return None
    part, match = places[-1] if material.conclusion else material.draw.choice(places)
    number = match[0]
    other = _another(number, material)
    if other is None:
        return None
    start = match.start()
    if material.conclusion:
        part = next(index for index, one in places if one[0] == number)
        start = 0
    # The result inside a calculator mark, `<<3*4=12>>12`, stands right before the number.
    elif material.parts[part][:start].endswith(f"={number}>>"):
        start -= len(number) + 2
    parts = list(material.parts)
    for index in range(part, len(parts)):
        parts[index] = _replaced(parts[index], number, other, start if index == part else 0)
    return Mistake(parts, part)


def _replaced(text: str, number: str, other: str, start: int) -> str:
    for match in reversed(_numbers(text)):
        if match[0] == number and match.start() >= start:
            text = text[: match.start()] + other + text[match.end() :]
    return text


def _another(number: str, material: Material) -> str | None:
    """A number of the same look (digits, decimals, zeros at its end) that occurs nowhere in the record."""
    known = " ".join([*material.parts, material.around])
    digits = [index for index, character in enumerate(number) if character.isdigit()]
    changeable = [index for index in digits if number[index] != "0"] or digits
    candidates = [
        number[:index] + digit + number[index + 1 :]
        for index in changeable
        for digit in "123456789"
        if digit != number[index]
    ]
    material.draw.shuffle(candidates)
    taken = {match[0] for match in _NUMBER.finditer(known)}
    return next((one for one in candidates if one not in taken), None)


# Of verbs that carry a sentence; what `may` and `could` say is hardly denied by a `not`.
_NEGATED = re.compile(r"\b(is|are|was|were|can|will|do|does|did)( not|n't)\b|\b(can)not\b|\bcan't\b|\bwon't\b")
_PLAIN = re.compile(r"\b(is|are|was|were|can|will)\b(?! (?:not|never|no|nothing|none|hardly|only)\b)(?!n't|not)")
_NO_STATEMENT = re.compile(
    r"\?$|^\W*(?:if|whether|when|while|unless|although|though|what|which|who|how|why|let|where)\b", re.I
)


def negated_sentence(material: Material) -> Mistake | None:
    """One sentence says the opposite: a `not` more, or one less. With `conclusion` it is the last that can be."""
    places = []
    for part, text in enumerate(material.parts):
        for span in [] if has_code(text) else sentences(text):
            turned = _negated(text[span.start : span.end])
            if turned is not None:
                places.append((part, span, turned))
    if not places:
        return None
    part, span, turned = places[-1] if material.conclusion else material.draw.choice(places)
    return Mistake(_with(material.parts, part, span, turned), part)


def _negated(sentence: str) -> str | None:
    if _NO_STATEMENT.search(sentence.strip()):
        return None
    match = _NEGATED.search(sentence)
    if match is not None:
        verb = {"can't": "can", "won't": "will"}.get(match[0], match[1] or match[3])
        return sentence[: match.start()] + verb + sentence[match.end() :]
    match = _PLAIN.search(sentence)
    if match is None:
        return None
    denied = "cannot" if match[0] == "can" else f"{match[0]} not"
    return sentence[: match.start()] + denied + sentence[match.end() :]


_NAME = re.compile(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)*\b")
# Words that are capitalised without being names.
_CAPITALISED = """
A After All Also An And Answer Are As At Be Because Before Both But By Can Do Does Each Every Finally First For From
He Her Here His How However I If In Is It Its Let Many My Next No Not Now Of On One Only Options Or Our Question
Second She Since So Some Step Than That The Their Then There Therefore These They Third This Those Three Thus To
Total Two Was We Were What When Where Which While Who Why Will With Yes You Your
"""
_NO_NAMES = frozenset(_CAPITALISED.split())


def swapped_entity(material: Material) -> Mistake | None:
    """In one sentence, one name of the record stands for another. Names are capitalised and occur twice at least."""
    names = _names(" \n".join([*material.parts, material.around]))
    places = []
    for part, text in enumerate(material.parts):
        for span in sentences(text):
            sentence = text[span.start : span.end]
            here = [name for name in names if _mentions(sentence, name)]
            others = [name for name in names if name not in here and not any(_overlap(name, one) for one in here)]
            if here and others:
                places.append((part, span, here, others))
    if not places:
        return None
    part, span, here, others = places[-1] if material.conclusion else material.draw.choice(places)
    name, other = material.draw.choice(here), material.draw.choice(others)
    sentence = material.parts[part][span.start : span.end]
    return Mistake(_with(material.parts, part, span, re.sub(rf"\b{name}\b", other, sentence)), part)


def _names(text: str) -> list[str]:
    """Capitalised names that occur twice at least, once of it not at the beginning of a sentence."""
    starts = {span.start for span in sentences(text)}
    counts: Counter[str] = Counter()
    inside = set()
    for match in _NAME.finditer(text):
        words = match[0].split()
        at = match.start()
        while words and words[0] in _NO_NAMES:
            at += len(words.pop(0)) + 1
        if not words or any(word in _NO_NAMES for word in words):
            continue
        name = " ".join(words)
        counts[name] += 1
        if at not in starts:
            inside.add(name)
    return [name for name, count in counts.items() if count > 1 and name in inside]


def _mentions(sentence: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", sentence) is not None


def _overlap(one: str, other: str) -> bool:
    return bool(set(one.split()) & set(other.split()))


def deleted_step(material: Material) -> Mistake | None:
    """A step is missing whose result the next one uses, so that this one follows from nothing.

    With `conclusion` the end is missing, from the first mention of the result on, so that the question stays open.
    Answers that are one text are cut into lines, or into sentences where they have one line.
    """
    cut = len(material.parts) == 1
    steps = _lines(material.parts[0]) if cut else list(material.parts)
    index = _open_end(steps, material.around) if material.conclusion else _needed(steps, material)
    if index is None:
        return None
    kept = steps[:index] if material.conclusion else steps[:index] + steps[index + 1 :]
    return Mistake(["".join(kept).rstrip()] if cut else kept, index)


def _lines(text: str) -> list[str]:
    """The lines of a text, or its sentences if it has only one, each with the space behind it."""
    if len(text.strip().split("\n")) > 1:
        return [line for line in text.splitlines(keepends=True) if line.strip()]
    spans = sentences(text)
    ends = [span.start for span in spans[1:]] + [len(text)]
    return [text[span.start : end] for span, end in zip(spans, ends, strict=True)]


def _values(text: str) -> set[str]:
    return {match[0] for match in _NUMBER.finditer(text)}


def _needed(steps: Sequence[str], material: Material) -> int | None:
    """A step that brings a number in which nothing before has and which the step behind it uses."""
    found = []
    known = _values(material.around)
    for index, step in enumerate(steps[:-1]):
        if (_values(step) - known) & _values(steps[index + 1]):
            found.append(index)
        known |= _values(step)
    return material.draw.choice(found) if found else None


def _open_end(steps: Sequence[str], around: str) -> int | None:
    results = [match[0] for step in steps for match in _NUMBER.finditer(step)]
    if not results or results[-1] in _values(around):
        return None
    index = next(number for number, step in enumerate(steps) if results[-1] in _values(step))
    return index or None


_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.S)
_BLOCK = re.compile(r"^(\s*(?:def|class|if|elif|else|for|while|try|except|with)\b.*):[ \t]*$", re.M)
_CLOSING = re.compile(r"[)\]}]")
_KEYWORD = re.compile(r"^(\s*)(return|def|for|while|import)\b", re.M)


def broken_code(material: Material) -> Mistake | None:
    """Python that does not compile any more: a colon or a bracket less, or a misspelt keyword.

    It is in a fenced block, or all of the answer; what did not compile before is left alone.
    """
    places = [(part, span) for part, text in enumerate(material.parts) for span in _python(text)]
    if not places:
        return None
    part, span = material.draw.choice(places)
    code = material.parts[part][span.start : span.end]
    candidates = [code[: match.end(1)] + code[match.end(1) + 1 :] for match in _BLOCK.finditer(code)]
    candidates += [code[: match.start()] + code[match.end() :] for match in _CLOSING.finditer(code)]
    for match in _KEYWORD.finditer(code):
        word = match[2]
        candidates.append(code[: match.start(2)] + word[:-2] + word[-1] + word[-2] + code[match.end(2) :])
    material.draw.shuffle(candidates)
    broken = next((one for one in candidates if not _compiles(one)), None)
    return None if broken is None else Mistake(_with(material.parts, part, span, broken), part)


def _python(text: str) -> list[Span]:
    """Where Python that compiles stands: fenced blocks, or the whole text if it has two lines and a statement."""
    fenced = [Span(*match.span(1)) for match in _FENCED.finditer(text)]
    if not fenced and "\n" in text.strip() and has_code(text):
        fenced = [Span(0, len(text))]
    return [span for span in fenced if text[span.start : span.end].strip() and _compiles(text[span.start : span.end])]


def _compiles(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _with(parts: Sequence[str], part: int, span: Span, text: str) -> list[str]:
    changed = list(parts)
    changed[part] = changed[part][: span.start] + text + changed[part][span.end :]
    return changed
