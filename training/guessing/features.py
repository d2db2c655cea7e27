"""Records in numbers that hold no judgment: how long the texts are and which words they have.

A record is a row of a matrix; of a pair the row is that of answer A less that of answer B, so that swapping the answers
changes the sign and nothing else; a solution has a row for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from fare_cli.records import Record
from training.form.shortcuts import length_differences, tokens

Matrix = Any
"""Rows of numbers, dense (numpy) or sparse (scipy)."""
Features = Callable[[Sequence[Record]], Matrix]
"""Any records of one task as rows; what it knows of them was learnt from the training records."""

_LAST_INDEX = 15
"""Steps from here on share a column."""
_LEAST_RECORDS = 2
"""Words in fewer texts of the training records are not counted."""


def texts_of(record: Record) -> dict[str, str]:
    """What the judge is shown of a record beside the answers, and of verify and score the answer, by name."""
    fields = vars(record)
    shown = {"question": "\n".join(filter(None, (record.context, record.protocol, record.question)))}
    if record.reference is not None:
        shown["reference"] = record.reference
    if record.task == "score":
        rubric = fields["rubric"]
        shown["rubric"] = "\n".join(rubric.values()) if isinstance(rubric, dict) else rubric
    if record.task in ("verify", "score"):
        shown["answer"] = fields["answer"]
    return shown


def answers_of(record: Record) -> list[str]:
    """What is judged: both answers of a pair, all steps of a solution, one answer."""
    fields = vars(record)
    match record.task:
        case "pairwise":
            return [fields["answer_a"], fields["answer_b"]]
        case "step":
            return list(fields["steps"])
        case _:
            return [fields["answer"]]


def lengths(train: Sequence[Record]) -> Features:
    """Logarithms of characters and lines of each text that the judge is shown, and where a step stands; of pairs, by
    how many characters and lines one is longer, and which. Scaled as on the training records."""
    from sklearn.preprocessing import StandardScaler

    rows = _pair_lengths if train[0].task == "pairwise" else _lengths
    # A difference of 0 stays 0.
    scaler = StandardScaler(with_mean=train[0].task != "pairwise").fit(rows(train))
    return lambda records: scaler.transform(rows(records))


def _pair_lengths(records: Sequence[Record]) -> Matrix:
    answers = [answers_of(record) for record in records]
    return length_differences([first for first, _ in answers], [second for _, second in answers])


def _lengths(records: Sequence[Record]) -> Matrix:
    import numpy as np

    return np.array([row for record in records for row in _length_rows(record)], float)


def _length_rows(record: Record) -> Iterator[list[float]]:
    from math import log1p

    shown = texts_of(record)
    texts = [shown.get(name, "") for name in ("question", "reference", "rubric", "answer")]
    fixed = [size for text in texts for size in (log1p(len(text)), log1p(text.count("\n")))]
    if record.task != "step":
        yield fixed
        return
    steps = answers_of(record)
    for index, step in enumerate(steps):
        place = [float(min(index, _LAST_INDEX) == one) for one in range(_LAST_INDEX + 1)]
        is_last = float(index == len(steps) - 1)
        yield [*fixed, log1p(len(step)), log1p(step.count("\n")), *place, is_last, log1p(len(steps))]


def words(train: Sequence[Record]) -> Features:
    """How often each word, number and sign is there (the logarithm of 1 + count), each text with columns of its own."""
    from sklearn.feature_extraction.text import CountVectorizer

    rows = _pair_words if train[0].task == "pairwise" else _words
    vectorizer = CountVectorizer(analyzer=lambda counted: counted)
    counted = rows(train)
    try:
        vectorizer.set_params(min_df=_LEAST_RECORDS).fit(counted)
    except ValueError:
        # No word is there twice.
        vectorizer.set_params(min_df=1).fit(counted)
    matrix = partial(_counts, vectorizer)
    if train[0].task != "pairwise":
        return lambda records: matrix(_words(records))

    def differences(records: Sequence[Record]) -> Matrix:
        both = matrix(_pair_words(records))
        return both[0::2] - both[1::2]

    return differences


def _counts(vectorizer: Any, rows: Sequence[Sequence[str]]) -> Matrix:
    import numpy as np

    counts = vectorizer.transform(rows).astype(float)
    counts.data = np.log1p(counts.data)
    return counts


def _pair_words(records: Sequence[Record]) -> list[list[str]]:
    return [tokens(answer) for record in records for answer in answers_of(record)]


def _words(records: Sequence[Record]) -> list[list[str]]:
    found = []
    for record in records:
        shown = [f"{name} {word}" for name, text in texts_of(record).items() for word in tokens(text)]
        steps = answers_of(record) if record.task == "step" else [""]
        found += [[*shown, *(f"step {word}" for word in tokens(step))] for step in steps]
    return found
