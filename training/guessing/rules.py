"""Guesses that need no fit: the most frequent label, and rules on words and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fare_cli.records import Record
from training.curation.entry import words
from training.form.shortcuts import repeated
from training.guessing.features import answers_of
from training.guessing.fitting import Guess, guess_pair

_ARTICLES = {"a", "an", "the"}


def majority(train: Sequence[Record]) -> Guess:
    """The most frequent label of the training records; of equally frequent ones the first by name. A score that is no
    whole one counts as the nearest."""
    labels = Counter(str(round(record.gold)) if record.task == "score" else str(record.gold) for record in train)
    label = min(labels, key=lambda one: (-labels[one], one))
    return Guess(label, float(label) if train[0].task == "score" else 0.0)


def contains_reference(record: Record) -> Guess:
    """Yes where the words of the reference stand in the answer, in a row.

    Case, marks and articles do not count, as in SQuAD (Rajpurkar et al. 2016). Of a reference with `/` each part is
    enough: published sets join several right answers so.
    """
    answer = f" {_normalised(answers_of(record)[0])} "
    wanted = [_normalised(part) for part in (record.reference or "").split("/")]
    return Guess("yes" if any(part and f" {part} " in answer for part in wanted) else "no")


def numbers_repeat(record: Record) -> Guess:
    """The answer of whose numbers a larger share is in the question or there twice: a changed number is neither."""
    first, second = answers_of(record)
    return guess_pair(record, repeated(record.question, first) - repeated(record.question, second))


def _normalised(text: str) -> str:
    return " ".join(word for word in words(text) if word not in _ARTICLES)
