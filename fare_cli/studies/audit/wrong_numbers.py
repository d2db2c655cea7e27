"""Mistakes in a calculation: a changed number, a deleted step."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fare_cli.studies.audit.mistake import Material, Mistake
from fare_cli.studies.audit.texts import has_code, sentences

# Not glued to a word, to another number or to a colon, as the parts of a time are.
_NUMBER = re.compile(r"(?<![\w.,:])\d+(?:,\d{3})*(?:\.\d+)?(?![\w:]|[.,]\d)")
# What stands before a number that only counts: the entries of a list, steps, figures.
_COUNTING = re.compile(r"(?:^|\n)[ \t]*\(?$|\b(?:step|no\.|chapter|figure|table) $|#$", re.I)
_ENTRY = re.compile(r"[.):](?:\s|$)")
_WORDS_BEHIND_A_RESULT = 2
# Of what is only about right, another number may be about right, too.
_ABOUT = re.compile(r"(?:~|\b(?:about|approximately|around|approx\.|nearly|roughly|some|almost)) ?[$€£]?$", re.I)


def _numbers(text: str) -> list[re.Match[str]]:
    """The numbers that mean an amount."""
    found = []
    for match in _NUMBER.finditer(text):
        counting = _COUNTING.search(text[: match.start()])
        if counting is None or (counting[0].strip(" \t(\n") == "" and not _ENTRY.match(text, match.end())):
            found.append(match)
    return found


def _values(text: str) -> set[str]:
    return {match[0] for match in _NUMBER.finditer(text)}


def changed_number(material: Material) -> Mistake | None:
    """One number is another from some place on; with `conclusion` it is the result of the answer, everywhere."""
    places = [(part, match) for part, text in enumerate(material.parts) for match in _numbers(text)]
    exact = [place for place in places if not _ABOUT.search(place[1].string[: place[1].start()])]
    if not exact or (material.conclusion and exact[-1] is not places[-1]):
        return None
    part, match = exact[-1] if material.conclusion else material.draw.choice(exact)
    number = match[0]
    if material.conclusion and not _is_result(match, material):
        return None
    other = _another(number, material)
    if other is None:
        return None
    start = match.start()
    if material.conclusion:
        part = next(index for index, one in places if one[0] == number)
        start = 0
    # The result inside a calculator mark, `<<3*4=12>>12`, stands right before the number.
    elif match.string[:start].endswith(f"={number}>>"):
        start -= len(number) + 2
    parts = list(material.parts)
    for index in range(part, len(parts)):
        parts[index] = _replaced(parts[index], number, other, start if index == part else 0)
    return Mistake(parts, part)


def _is_result(last: re.Match[str], material: Material) -> bool:
    """Whether the last number of an answer is what the question asks for: the reference has it too, or, where there is
    none, it is no number of the question and at most two words stand behind it."""
    if material.reference is not None:
        return last[0] in _values(material.reference)
    behind = last.string[last.end() :].split()
    return last[0] not in _values(material.question) and len(behind) <= _WORDS_BEHIND_A_RESULT


def _replaced(text: str, number: str, other: str, start: int) -> str:
    for match in reversed(_numbers(text)):
        if match[0] == number and match.start() >= start:
            text = text[: match.start()] + other + text[match.end() :]
    return text


def _another(number: str, material: Material) -> str | None:
    """A number of the same look (digits, decimals, zeros at its end) that occurs nowhere in the record."""
    known = "\n".join([*material.parts, *material.around])
    digits = [index for index, character in enumerate(number) if character.isdigit()]
    # The first of three digits and more stays, so that a year remains one.
    changeable = [index for index in digits[len(digits) > 2 :] if number[index] != "0"] or digits
    candidates = [
        number[:index] + digit + number[index + 1 :]
        for index in changeable
        for digit in "123456789"
        if digit != number[index]
    ]
    material.draw.shuffle(candidates)
    taken = _values(known)
    return next((one for one in candidates if one not in taken), None)


def deleted_step(material: Material) -> Mistake | None:
    """A line (or sentence, of one line) is missing whose result the next one uses and nothing before has.

    With `conclusion` the end is missing, from the first mention of the result on, so that the question stays open.
    """
    (text,) = material.parts
    if has_code(text):
        return None
    steps = _lines(text)
    index = _open_end(steps, material) if material.conclusion else _needed(steps, material)
    if index is None:
        return None
    kept = steps[:index] if material.conclusion else steps[:index] + steps[index + 1 :]
    return Mistake(["".join(kept).rstrip()], 0)


_LINE = re.compile(r"[^\n]*\S[^\n]*\n*")
# What is computed with behind the sign, as in `= 5 * 3` and `= 5(8)`, is no result yet.
_RESULT = re.compile(r"= *[$€£]?(\d+(?:,\d{3})*(?:\.\d+)?)(?![\w(^²³]|[.,]\d| *[-+*/x×÷] *[\d$€£(])")


def _lines(text: str) -> list[str]:
    """The lines of a text, or its sentences if it has only one, each with the space behind it."""
    lines: list[str] = _LINE.findall(text)
    if len(lines) > 1:
        return lines
    spans = sentences(text)
    ends = [*(span.start for span in spans[1:]), len(text)][: len(spans)]
    return [text[span.start : end] for span, end in zip(spans, ends, strict=True)]


def _needed(steps: Sequence[str], material: Material) -> int | None:
    found = []
    known = _values("\n".join(material.around))
    for index, step in enumerate(steps[:-1]):
        results, after = set(_RESULT.findall(step)) - known, steps[index + 1]
        # A line that only says the result again needs nothing: it must compute something of its own with it.
        if results & _values(after) and set(_RESULT.findall(after)) - results:
            found.append(index)
        known |= _values(step)
    return material.draw.choice(found) if found else None


def _open_end(steps: Sequence[str], material: Material) -> int | None:
    numbers = [match for step in steps for match in _numbers(step)]
    if not numbers or not _is_result(numbers[-1], material):
        return None
    # What stands in front of the result must not be it already, so 0 is none.
    return next(index for index, step in enumerate(steps) if numbers[-1][0] in _values(step)) or None
