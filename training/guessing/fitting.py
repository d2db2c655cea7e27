"""Guesses learnt from training records: a regression on rows of features, and how its scores become labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fare_cli.meta.steps import NONE_WRONG
from fare_cli.records import Record
from training.guessing.features import Matrix, answers_of
from training.guessing.records import place, scale_of
from training.questions import draw

FOLDS = 3
STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the ridge, of which the one is taken that tells best the questions left out of the fit."""


class Guess(NamedTuple):
    """A label, and the number that it was made from: in favour of A or of yes, or the expected score; None of a step,
    and of a rule that gives labels alone."""

    label: str
    score: float | None = None


Guesser = Callable[[Sequence[Record], Matrix], list[Guess]]
"""The guess for each of the records, given their rows."""


def fit(train: Sequence[Record], matrix: Matrix) -> Guesser | None:
    """What guesses labels of records of one task, fitted on the training records and their rows.

    A logistic regression; of pairs without an intercept, of steps on whether each is the first wrong one, of scores a
    ridge regression. None where the training records do not suffice: fewer than 3 questions, or one label only.
    """
    fitting = {"pairwise": _fit_pairs, "step": _fit_steps, "score": _fit_scores}.get(train[0].task, _fit_verify)
    return fitting(train, matrix)


def coin(record: Record) -> bool:
    """Decides where a baseline has no preference; the same at every call, whatever A and B are called."""
    return bool(draw("coin", record.question, *sorted(answers_of(record))) & 1)


def guess_pair(record: Record, score: float) -> Guess:
    """Answer A for a positive score; for 0 a coin's choice."""
    first, second = answers_of(record)
    prefers_a = score > 0 if score else coin(record) == (first < second)
    return Guess("A" if prefers_a else "B", score)


def _fit_pairs(train: Sequence[Record], matrix: Matrix) -> Guesser | None:
    import numpy as np
    from scipy.sparse import csr_matrix

    # Without an intercept a swapped pair says the same: every second one is turned so that the first is right.
    wanted = np.arange(len(train)) % 2 == 0
    is_a = np.array([record.gold == "A" for record in train])
    turned = csr_matrix(matrix).multiply(np.where(wanted == is_a, 1.0, -1.0)[:, None]).tocsr()
    found = _logistic(turned, wanted, _clusters(train), intercept=False)
    if found is None:
        return None
    model = found.model

    def guesses(records: Sequence[Record], rows: Matrix) -> list[Guess]:
        scores = model.decision_function(rows)
        return [guess_pair(record, float(score)) for record, score in zip(records, scores, strict=True)]

    return guesses


def _fit_verify(train: Sequence[Record], matrix: Matrix) -> Guesser | None:
    import numpy as np

    found = _logistic(matrix, np.array([record.gold == "yes" for record in train]), _clusters(train))
    if found is None:
        return None
    model = found.model

    def guesses(records: Sequence[Record], rows: Matrix) -> list[Guess]:
        return [Guess("yes" if score > 0 else "no", float(score)) for score in model.decision_function(rows)]

    return guesses


def _fit_steps(train: Sequence[Record], matrix: Matrix) -> Guesser | None:
    """Each step is scored; the highest is named where its score reaches a threshold, else -1. The threshold is that of
    the best F1 on the training records, each scored by a regression that did not see its question."""
    import numpy as np

    is_first = np.array([index == record.gold for record in train for index in range(len(answers_of(record)))])
    of_step = [cluster for record, cluster in zip(train, _clusters(train), strict=True) for _ in answers_of(record)]
    found = _logistic(matrix, is_first, of_step)
    golds = [int(record.gold) for record in train]
    if found is None or NONE_WRONG not in golds:
        return None
    model, threshold = found.model, best_threshold(_highest(train, found.unseen), golds)

    def guesses(records: Sequence[Record], rows: Matrix) -> list[Guess]:
        best = _highest(records, model.decision_function(rows))
        return [Guess(str(index if score >= threshold else NONE_WRONG)) for index, score in best]

    return guesses


def _highest(records: Sequence[Record], scores: Any) -> list[tuple[int, float]]:
    """Index and score of the highest step of each solution, of equal ones the first."""
    import numpy as np

    sizes = [len(answers_of(record)) for record in records]
    parts = np.split(np.asarray(scores, float), np.cumsum(sizes)[:-1])
    return [(int(part.argmax()), float(part.max())) for part in parts]


def best_threshold(best: Sequence[tuple[int, float]], golds: Sequence[int]) -> float:
    """From which score on naming the highest step gives the best F1: the harmonic mean of the share of wrong solutions
    whose step is named and the share of right ones where none is."""
    import numpy as np

    scores = np.array([score for _, score in best])
    is_right = np.array(golds) == NONE_WRONG
    is_found = np.array([index == gold for (index, _), gold in zip(best, golds, strict=True)])
    candidates = np.unique(scores)
    passed = np.searchsorted(np.sort(scores[is_right]), candidates) / is_right.sum()
    hits = np.sort(scores[is_found])
    found = (len(hits) - np.searchsorted(hits, candidates)) / (~is_right).sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.nan_to_num(2 * found * passed / (found + passed))
    return float(candidates[f1.argmax()])


def _fit_scores(train: Sequence[Record], matrix: Matrix) -> Guesser | None:
    """A regression on where a score lies between the lowest (0) and the highest (1) of its scale."""
    import numpy as np
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold

    clusters = _clusters(train)
    if len(set(clusters)) < FOLDS:
        return None
    places = np.array([place(record, record.gold) for record in train])
    folds = list(GroupKFold(FOLDS).split(matrix, groups=clusters))
    model = RidgeCV(alphas=[1 / strength for strength in STRENGTHS], cv=folds).fit(matrix, places)

    def guesses(records: Sequence[Record], rows: Matrix) -> list[Guess]:
        found = []
        for record, predicted in zip(records, model.predict(rows), strict=True):
            low, high = scale_of(record)
            expected = low + min(max(float(predicted), 0.0), 1.0) * (high - low)
            found.append(Guess(str(math.floor(expected + 0.5)), expected))
        return found

    return guesses


def _clusters(records: Sequence[Record]) -> list[str]:
    return [record.cluster() for record in records]


class _Logistic(NamedTuple):
    """A regression on all rows, and for each row the score by one that was fitted without the row's question."""

    model: Any
    unseen: Any


def _logistic(matrix: Matrix, labels: Any, clusters: Sequence[str], *, intercept: bool = True) -> _Logistic | None:
    """Of all strengths the one with the least log loss on rows that were not fitted on, no question being in two folds;
    None where there are too few questions, or a fold leaves one label only."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    if len(set(clusters)) < FOLDS:
        return None
    folds = list(GroupKFold(FOLDS).split(matrix, groups=clusters))
    if any(len(set(labels[rest].tolist())) < 2 for rest, _ in folds):
        return None
    signs = np.where(labels, 1.0, -1.0)
    tried = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, fit_intercept=intercept, max_iter=1000)
        unseen = cross_val_predict(model, matrix, labels, cv=folds, method="decision_function")
        tried.append((float(np.logaddexp(0, -signs * unseen).mean()), unseen, model))
    _, unseen, model = min(tried, key=lambda one: one[0])
    return _Logistic(model.fit(matrix, labels), unseen)
