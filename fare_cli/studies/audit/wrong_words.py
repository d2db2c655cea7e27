"""Mistakes in what a sentence says: it is negated, or a name stands for another. No language library is needed."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from fare_cli.studies.audit.mistake import Material, Mistake, with_text
from fare_cli.studies.audit.texts import Span, has_code, sentences

# Of verbs that carry a sentence; what `may` and `could` say is hardly denied by a `not`.
_NEGATED = re.compile(r"\b(is|are|was|were|can|will|do|does|did)( not|n't)\b|\b(can)not\b|\bcan't\b|\bwon't\b")
# Not of clauses that only say which one is meant: denied, they can leave the sentence true.
_PLAIN = re.compile(
    r"(?<!\b[Hh]ere )(?<!\bwhat )(?<!\b(?:who|how|why) )(?<!\bthat )(?<!\b(?:which|where) )"
    r"\b(is|are|was|were|can|will)\b(?! (?:not|never|no|nothing|none|hardly|only)\b)(?!n't|not)"
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
    return Mistake(with_text(material.parts, part, span, turned), part)


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
    return Mistake(with_text(material.parts, part, span, sentence), part)


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
