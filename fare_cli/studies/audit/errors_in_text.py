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


# Not glued to a word, to another number or to a colon, as the parts of a time are.
_NUMBER = re.compile(r"(?<![\w.,:])\d+(?:,\d{3})*(?:\.\d+)?(?![\w:]|[.,]\d)")
# What stands before a number that only counts: the entries of a list, steps, figures.
_COUNTING = re.compile(r"(?:^|\n)[ \t]*\(?$|\b(?:step|no\.|chapter|figure|table) $|#$", re.I)
_ENTRY = re.compile(r"[.):](?:\s|$)")
_WORDS_BEHIND_A_RESULT = 2


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
    if not places:
        return None
    part, match = places[-1] if material.conclusion else material.draw.choice(places)
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


# Of verbs that carry a sentence; what `may` and `could` say is hardly denied by a `not`.
_NEGATED = re.compile(r"\b(is|are|was|were|can|will|do|does|did)( not|n't)\b|\b(can)not\b|\bcan't\b|\bwon't\b")
_PLAIN = re.compile(
    r"(?<!\b[Hh]ere )\b(is|are|was|were|can|will)\b(?! (?:not|never|no|nothing|none|hardly|only)\b)(?!n't|not)"
)
_NO_STATEMENT = re.compile(
    r"\?$|^\W*(?:if|whether|when|while|unless|although|though|what|which|who|how|why|let|where|this is|i)\b", re.I
)


def negated_sentence(material: Material) -> Mistake | None:
    """One sentence says the opposite: a `not` more, or one less. With `conclusion` it is the last of the answer."""
    places = []
    for part, span in _sentences(material):
        turned = _negated(material.parts[part][span.start : span.end])
        if turned is not None:
            places.append((part, span, turned))
    if not places:
        return None
    part, span, turned = material.draw.choice(places)
    return Mistake(_with(material.parts, part, span, turned), part)


def _sentences(material: Material) -> list[tuple[int, Span]]:
    """The sentences in which a mistake may be, by their part; code has none. With `conclusion` only the last."""
    found = [(part, span) for part, text in enumerate(material.parts) if not has_code(text) for span in sentences(text)]
    return found[-1:] if material.conclusion else found


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
A Additionally After All Also An And Another Answer Any Are As At Based Be Because Before Between Both But By Can
Despite Do Does During Each Even Every False Finally First For From Furthermore Given He Her Here His How However I
If In Instead Is It Its Just Let Like Many Meanwhile More Moreover Most Much My Next No None Not Note Now Of On Once
One Only Options Or Other Our Over Overall Perhaps Please Question Second She Since So Some Step Still Such Sure
Than Thank That The Their Then There Therefore These They Third This Those Three Thus To Total True Two Under Using
Was We Were What When Where Which While Who Why Will With Within Without Yes You Your
"""
_NO_NAMES = frozenset(_CAPITALISED.split())


def swapped_entity(material: Material) -> Mistake | None:
    """In one sentence, one name of the record stands for another. With `conclusion` it is the last of the answer."""
    names = _names("\n".join([*material.parts, *material.around]))
    places = []
    for part, span in _sentences(material):
        sentence = material.parts[part][span.start : span.end]
        here = {name.text for name in _mentions(sentence)}
        for name in sorted(here & names.keys()):
            others = [
                other
                for other in names
                if names[other] == names[name] and not any(_overlap(other, one) for one in here)
            ]
            places += [(part, span, name, other) for other in others]
    if not places:
        return None
    part, span, name, other = material.draw.choice(places)
    sentence = material.parts[part][span.start : span.end]
    for mention in reversed(_mentions(sentence)):
        if mention.text == name:
            sentence = sentence[: mention.start] + other + sentence[mention.start + len(name) :]
    return Mistake(_with(material.parts, part, span, sentence), part)


class _Mention(NamedTuple):
    text: str
    start: int


def _mentions(text: str) -> list[_Mention]:
    """Runs of capitalised words, less those in front that are no names (`The`, `On`)."""
    found = []
    for match in _NAME.finditer(text):
        start, words = match.start(), match[0].split()
        while words and words[0] in _NO_NAMES:
            start += len(words.pop(0)) + 1
        if words and not any(word in _NO_NAMES for word in words):
            found.append(_Mention(" ".join(words), start))
    return found


def _names(text: str) -> dict[str, bool]:
    """Names that occur twice at least, once of it not at the beginning of a sentence, in the order in which they come,
    and whether `the` stands before them: names of one kind can stand for each other."""
    starts = {span.start for span in sentences(text)}
    counts: Counter[str] = Counter()
    inside: dict[str, bool] = {}
    for mention in _mentions(text):
        counts[mention.text] += 1
        if mention.start not in starts:
            before = text[: mention.start].lower().endswith("the ")
            inside[mention.text] = inside.get(mention.text, False) or before
    return {name: article for name, article in inside.items() if counts[name] > 1}


def _overlap(one: str, other: str) -> bool:
    return bool(set(one.split()) & set(other.split()))


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
_RESULT = re.compile(r"= *[$€£]?(\d+(?:,\d{3})*(?:\.\d+)?)(?![\w]|[.,]\d)")


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
        if (set(_RESULT.findall(step)) - known) & _values(steps[index + 1]):
            found.append(index)
        known |= _values(step)
    return material.draw.choice(found) if found else None


def _open_end(steps: Sequence[str], material: Material) -> int | None:
    numbers = [match for step in steps for match in _numbers(step)]
    if not numbers or not _is_result(numbers[-1], material):
        return None
    # What stands in front of the result must not be it already, so 0 is none.
    return next(index for index, step in enumerate(steps) if numbers[-1][0] in _values(step)) or None


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
