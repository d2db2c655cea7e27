"""The probabilities of labels from the few tokens that a server lists at a place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fare_cli.backends.http.answers import Written
from fare_cli.engine.choice import Choice, Path

_MOST_LEFT_OPEN = 0.01
"""Probability that may hang on bounds instead of figures; where it is more, there are no probabilities."""


class Reading(NamedTuple):
    """The label that was read, and log-probabilities over all of them where they are known well enough."""

    label: str
    log_probabilities: dict[str, float] | None


class Row(NamedTuple):
    """Log-probabilities at one place of those tokens that were asked for and listed, and the least one that was
    listed at all: what was not listed has no more."""

    known: Mapping[int, float]
    least: float


def by_tokens(choice: Choice, row_of: Callable[[Path], Row | None]) -> Reading | None:
    """The reading of a trie of labels, `row_of` giving what the server lists behind a path; None where nothing of it
    is listed, or no label is."""
    tables: dict[Path, dict[int, float]] = {}
    bounded: set[str] = set()
    for node in choice.nodes:
        row = row_of(node)
        if row is None:
            return None
        children = choice.children(node)
        tables[node] = {token: row.known.get(token, row.least) for token in children}
        for label, path in choice.paths.items():
            if path[: len(node)] == node and len(path) > len(node) and path[len(node)] not in row.known:
                bounded.add(label)
    return _settled(choice.combined(tables), bounded)


def by_text(labels: Sequence[str], written: Sequence[Written]) -> Reading | None:
    """The reading where a label was written, from the tokens that it begins with and what is listed beside them.

    Labels part where the tokens do. None where no label was written; without probabilities where a token beside the
    way could begin several labels, or nothing is listed.
    """
    label = written_label(labels, "".join(one.text for one in written))
    if label is None:
        return None
    scores: dict[str, float] = {}
    bounded: set[str] = set()
    left = {one: one for one in labels}
    so_far = 0.0
    for token in written:
        if len(left) == 1:
            break
        listed = token.texts
        if token.text not in listed:
            return Reading(label, None)
        beside = {name: value for name, value in listed.items() if name != token.text}
        goes_on = {name: [one for one, rest in left.items() if _begins(name, rest)] for name in beside}
        if any(len(meant) > 1 for meant in goes_on.values()):
            return Reading(label, None)
        for one in [one for one, rest in left.items() if not _begins(token.text, rest)]:
            ways = [beside[name] for name, meant in goes_on.items() if meant == [one]]
            if not ways:
                bounded.add(one)
            scores[one] = so_far + (_log_sum(ways) if ways else min(listed.values()))
            del left[one]
        so_far += listed[token.text]
        left = {one: rest[len(token.text) :] for one, rest in left.items()}
    if list(left) != [label]:
        return Reading(label, None)
    scores[label] = so_far
    return _settled(_normalised(scores), bounded) or Reading(label, None)


def written_label(labels: Sequence[str], text: str) -> str | None:
    """The label that a text begins with, the longest that does; a word or number that goes on is another one."""
    for label in sorted(labels, key=len, reverse=True):
        for form in (label, label.strip()):
            if text.startswith(form) and not _goes_on(form, text[len(form) :]):
                return label
    return None


def listed_ids(token: Written, ids: Sequence[int], text_of: Callable[[int], str]) -> Row:
    """The row of a place for the tokens `ids`, found by id or, where the server lists texts, by their text."""
    known = {}
    for one in ids:
        for name in (one, text_of(one)):
            if name in token.listed:
                known[one] = token.listed[name]
                break
    return Row(known, min(token.listed.values(), default=-math.inf))


def _goes_on(form: str, behind: str) -> bool:
    """Whether what stands behind a label makes another word of it, or another number: 4 is not 4.5."""
    if form[-1:].isdigit() and behind[:1] in (".", ",") and behind[1:2].isdigit():
        return True
    return form[-1:].isalnum() and behind[:1].isalnum()


def _begins(token: str, left: str) -> bool:
    """Whether a token goes along with what is left of a label: it begins it, or ends it and goes on. Behind a whole
    label anything does that does not make another word of it."""
    if not left:
        return not token[:1].isalnum()
    return bool(token) and (left.startswith(token) or (token.startswith(left) and not token[len(left) :][:1].isalnum()))


def _settled(scores: Mapping[str, float] | None, bounded: set[str]) -> Reading | None:
    """The reading, if a label with a known probability leads; with probabilities, if the bounds matter little."""
    if scores is None:
        return None
    best = max(scores, key=scores.__getitem__)
    if best in bounded:
        return None
    left_open = math.fsum(math.exp(scores[label]) for label in bounded)
    return Reading(best, dict(scores) if left_open <= _MOST_LEFT_OPEN else None)


def _normalised(scores: Mapping[str, float]) -> dict[str, float]:
    total = _log_sum(list(scores.values()))
    return {label: score - total for label, score in scores.items()}


def _log_sum(values: Sequence[float]) -> float:
    top = max(values)
    return top if math.isinf(top) else top + math.log(math.fsum(math.exp(value - top) for value in values))
