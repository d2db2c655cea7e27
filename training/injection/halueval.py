"""HaluEval QA: short facts, right and wrong, to be compared with a reference."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from fare_cli.importers.row import Row
from training.form.balance import choose
from training.injection.item import Injection

FAMILIES = (("other",), ("beside",), ("gap",))

_FORMS = (
    "{fact}",
    "{fact}.",
    "The answer is {fact}.",
    "It is {fact}.",
    "I believe it is {fact}.",
    "It was {fact}, as far as I know.",
    "{fact}, I think.",
)
_GAPS = (
    "Fill the gap: {text}",
    "What belongs in the gap? {text}",
    "{text} Which name or number is left out?",
)
_MOST_GAPS = 8
"""Gaps of a row, so that no row outweighs the others."""
_LONG = 40
"""Words of a sentence with a gap."""
_LONGEST = 8
"""Words of a fact; a longer right answer is a sentence with words of its own."""
_SPAN = re.compile(r"\b(?:[A-Z][\w'-]*(?: (?:of |the )?[A-Z][\w'-]*)*|\d[\d,.]*\d|\d)\b")
_WORDS = (
    "a an and as at after all although before both but by despite during each following for from he her his however if "
    "in it its of on one she since some that the their there these they this those though through to two under until "
    "when where which while who with"
)
_BEGINNINGS = frozenset(_WORDS.split())
"""What a sentence may begin with in capitals without being a name."""
_SENTENCE_END = re.compile(r"(?<=[a-z0-9)\]\"'][.!?])\s*(?=[A-Z\"])")


@dataclass(frozen=True, slots=True)
class _Fact:
    group: str
    question: str
    answer: str
    sentences: tuple[str, ...]

    def says(self, text: str) -> bool:
        """Whether the text contains the answer as whole words."""
        return re.search(rf"(?<!\w){re.escape(self.answer.casefold())}(?!\w)", text.casefold()) is not None


def inject_facts(rows: Iterable[Row], seed: int, counts: Counter[str]) -> list[Injection]:
    """Errors to be verified against a right answer. Of each question two at most: another name or number of the row's
    knowledge in the same words (`other`), and a true sentence of the knowledge that does not give the answer
    (`beside`; the right one is a sentence that gives it). Of the row's knowledge more questions are made, by leaving a
    name or number out of a sentence: the whole sentence, or the name alone, with another one in its place (`gap`).

    `counts` says what became of the rows. Answers to other questions would be known by their words: each is right for
    one question only. The published hallucinated answers are not used: they were written by a model in its own manner.
    """
    facts = _facts(rows, counts)
    made: list[Injection] = []
    candidates: dict[str, list[list[Injection]]] = defaultdict(list)
    for fact in facts:
        form = random.Random(f"{seed}/{fact.group}").choice(_FORMS)
        if others := _others(fact):
            right = form.format(fact=fact.answer)
            candidates["other"].append([_injection("other", fact, right, form.format(fact=one), one) for one in others])
        for gap, sentence in _gaps(fact, seed):
            if others := _others(gap):
                form = random.Random(f"{seed}/{gap.question}").choice((*_FORMS, *[sentence] * len(_FORMS)))
                wrong = {one: text for one in others if not gap.says(text := form.format(fact=one))}
                right = form.format(fact=gap.answer)
                candidates["gap"].append([_injection("gap", gap, right, text, one) for one, text in wrong.items()])
        giving = [one for one in fact.sentences if fact.says(one)]
        beside = [one for one in fact.sentences if not fact.says(one)]
        if giving and beside:
            candidates["beside"].append([_injection("beside", fact, one, two) for one in giving for two in beside])
    for kind in sorted(candidates):
        possible = [found for found in candidates[kind] if found]
        chosen = choose([[one.pair for one in found] for found in possible], seed)
        made += [found[index] for found, index in zip(possible, chosen, strict=True)]
    order = {fact.group: number for number, fact in enumerate(facts)}
    return sorted(made, key=lambda one: order[one.group])


def _facts(rows: Iterable[Row], counts: Counter[str]) -> list[_Fact]:
    facts: dict[str, _Fact] = {}
    for row in rows:
        question, answer = row.text("question").strip(), row.text("right_answer").strip().rstrip(".")
        if question in facts:
            counts["skipped: the question was there before"] += 1
        elif answer.casefold() in ("yes", "no") or not 0 < len(answer.split()) <= _LONGEST:
            counts["skipped: its answer is no short fact"] += 1
        else:
            sentences = [one.strip() for one in _SENTENCE_END.split(row.text("knowledge"))]
            facts[question] = _Fact(f"halueval-{row.line}", question, answer, tuple(filter(None, sentences)))
    return list(facts.values())


def _gaps(fact: _Fact, seed: int) -> list[tuple[_Fact, str]]:
    """Questions for a name or number that a sentence of the knowledge lacks; each with the sentence, to be filled."""
    found = []
    for number, sentence in enumerate(fact.sentences):
        rest = fact.sentences[:number] + fact.sentences[number + 1 :]
        for match in _SPAN.finditer(sentence):
            name = match.group()
            start = match.start()
            if name.split()[0].casefold() in _BEGINNINGS:
                first, _, name = name.partition(" ")
                start += len(first) + 1
            before, after = sentence[:start], sentence[start + len(name) :]
            text = random.Random(f"{seed}/{sentence}/{name}").choice(_GAPS).format(text=f"{before}____{after}")
            gap = _Fact(fact.group, text, name, rest)
            is_name = len(name) > 1 and name.casefold() not in _BEGINNINGS
            if is_name and not gap.says(text) and not set("{}") & set(sentence) and len(sentence.split()) <= _LONG:
                found.append((gap, f"{before}{{fact}}{after}"))
    random.Random(f"{seed}/{fact.group}/gaps").shuffle(found)
    return found[:_MOST_GAPS]


def _others(fact: _Fact) -> list[str]:
    """Names and numbers of the fact's knowledge that are of its shape and share no word with it or with the question,
    which a right answer does not repeat either."""
    known = set(_words(fact.answer)) | set(_words(fact.question))
    found = dict.fromkeys(span for sentence in fact.sentences for span in _SPAN.findall(sentence))
    return [span for span in found if _shape(span) == _shape(fact.answer) and not known & set(_words(span))]


def _shape(text: str) -> tuple[bool, int]:
    """What two facts have in common that are as likely by their form: digits, and the number of words up to 3."""
    return any(character.isdigit() for character in text), min(3, len(text.split()))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _injection(kind: str, fact: _Fact, right: str, wrong: str, other: str | None = None) -> Injection:
    assert fact.says(right)
    assert not fact.says(wrong)
    return Injection(
        kind=kind,
        group=fact.group,
        question=fact.question,
        right=right,
        wrong=wrong,
        on_right=f"The answer says {fact.answer}, and so does the reference.",
        on_wrong=f"The answer says {other}, but the reference says {fact.answer}."
        if other is not None
        else f"The reference says {fact.answer}, and the answer does not.",
        old=right,
        new=wrong,
        tasks=("reference",),
        reference=fact.answer,
    )
