"""Choosing among possible pairs so that right and wrong texts look the same on average.

For every question one of several pairs is drawn with probability proportional to exp(w . d), d being the
differences of form between its right and wrong text. The weights w are those at which all mean differences vanish: of
all ways to choose that leave no mean difference, the one nearest to choosing evenly (maximum entropy, as in entropy
balancing, Hainmueller 2012). A linear model on these features then has nothing to learn.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from training.form.numbers import NUMBER, form
from training.form.shortcuts import Pair, repeated, tokens, writers

_RIDGE = 0.003
"""Keeps the weights finite where a difference cannot be made to vanish. Of the mean differences at most a few
hundredths of a standard deviation are left."""
_LEAST_QUESTIONS = 0.004
"""Tokens in fewer than this share of the questions have no weight of their own; the forms of numbers cover them."""


def choose(candidates: Sequence[Sequence[Pair]], seed: int) -> list[int]:
    """For each question the index of its chosen pair; deterministic by seed. No question may be without candidates."""
    import numpy as np
    from scipy.special import softmax

    if not candidates:
        return []
    differences, starts = _features(candidates)
    scores = differences @ _vanishing(differences, starts)
    chosen = []
    for number, pairs in enumerate(candidates):
        odds = softmax(scores[starts[number] : starts[number] + len(pairs)])
        draw = random.Random(f"{seed}/{pairs[0].group}").random()
        chosen.append(min(int(np.searchsorted(np.cumsum(odds), draw)), len(pairs) - 1))
    return chosen


def _features(candidates: Sequence[Sequence[Pair]]) -> tuple[Any, Any]:
    """A row of differences for each candidate, scaled, as a sparse matrix; and the first row of each question."""
    import numpy as np
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.preprocessing import MaxAbsScaler

    # A column of zeros keeps the matrix from being empty where no pair differs in form (two steps swapped).
    rows = [[{"form: none": 0.0} | _difference(pair) for pair in pairs] for pairs in candidates]
    seen = Counter(name for found in rows for name in {name for row in found for name in row})
    least = max(2.0, _LEAST_QUESTIONS * len(rows))
    kept = [
        {name: value for name, value in row.items() if seen[name] >= least or not value}
        for found in rows
        for row in found
    ]
    starts = np.cumsum([0, *(len(found) for found in rows)])[:-1]
    return MaxAbsScaler().fit_transform(DictVectorizer().fit_transform(kept)), starts


def _difference(pair: Pair) -> dict[str, float]:
    """Right minus wrong: counts of tokens and of forms of numbers, length, how many numbers come again, and who wrote
    it."""
    counts: Counter[str] = Counter(_counted(pair.right))
    counts.subtract(_counted(pair.wrong))
    longer = len(pair.right) - len(pair.wrong)
    more = repeated(pair.question, pair.right) - repeated(pair.question, pair.wrong)
    found: dict[str, float] = {name: count for name, count in counts.items() if count}
    by_form = {"length": longer, "longer": _sign(longer), "repeated": more, "more repeated": _sign(more)}
    by_form |= {f"by {name}": sign for name, sign in writers(pair).items()}
    return found | {f"form: {name}": value for name, value in by_form.items() if value}


def _counted(text: str) -> list[str]:
    return [*tokens(text), *(f"form: {form(number)}" for number in NUMBER.findall(text))]


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _vanishing(differences: Any, starts: Any) -> Any:
    """The weights at which the mean differences of the chosen vanish: the minimum of a convex function."""
    import numpy as np
    from scipy.optimize import minimize

    questions = np.repeat(np.arange(len(starts)), np.diff([*starts, differences.shape[0]]))

    def potential(weights: Any) -> tuple[float, Any]:
        scores = differences @ weights
        highest = np.maximum.reduceat(scores, starts)
        unscaled = np.exp(scores - highest[questions])
        sums = np.add.reduceat(unscaled, starts)
        value = (highest + np.log(sums)).mean() + _RIDGE / 2 * weights @ weights
        gradient = differences.T @ (unscaled / sums[questions]) / len(starts) + _RIDGE * weights
        return float(value), gradient

    return minimize(potential, np.zeros(differences.shape[1]), jac=True, method="L-BFGS-B").x
