"""How far right and wrong can be told apart by form alone: what a judge could learn in place of judging.

Each baseline sees pairs of a right and a wrong text, in random order, and says which is right; 0.5 is chance. The
learned ones are tested on questions that they were not trained on. Needs scikit-learn (the extra `train`).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fare_cli.meta.agreement import Proportion, proportion
from training.form.numbers import NUMBER

FOLDS = 5
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s]")


class Pair(NamedTuple):
    """A right and a wrong answer to a question; `group` is the question's name. Answers of models also say who wrote
    them."""

    group: str
    question: str
    right: str
    wrong: str
    right_by: str = ""
    wrong_by: str = ""


class Shortcuts(NamedTuple):
    """The share of pairs that each baseline tells right; a tie of the rule counts as half."""

    length: Proportion
    bag_of_words: Proportion
    number_repeat: Proportion


def shortcuts(pairs: Sequence[Pair], seed: int = 0) -> Shortcuts | None:
    """The baselines on these pairs; None where there are fewer questions than folds of the cross-validation."""
    if len({pair.group for pair in pairs}) < FOLDS:
        return None
    return Shortcuts(length_only(pairs, seed), bag_of_words(pairs, seed), number_repeat(pairs))


def told_by_form(pairs: Sequence[Pair]) -> dict[str, Any] | None:
    """The baselines as JSON values for a manifest: share of pairs told right with its 95% interval; None as above.

    Where pairs have answers of two generators, there is one more: who wrote them.
    """
    found = shortcuts(pairs)
    if found is None:
        return None
    return {
        name: {"share": round(share.cases / share.of, 4), "of": share.of,
               "low": round(share.interval.low, 4), "high": round(share.interval.high, 4)}
        for name, share in {**found._asdict(), "generator": generator_only(pairs)}.items() if share is not None
    }  # fmt: skip


def told_lines(rows: Sequence[tuple[str, Mapping[str, Any] | None]]) -> Iterator[str]:
    """A table of what `told_by_form` gave, a named row each."""
    names = dict.fromkeys(name for _, row in rows for name in row or ())
    yield f"{'':44}{'pairs':>7}  " + "".join(f"{name.replace('_', ' '):^20}" for name in names)
    for name, row in rows:
        if row is None:
            yield f"{name:44}too few questions to tell"
            continue
        cells = "".join(f"{x['share']:>7.1%} ({x['low']:.0%} to {x['high']:.0%}) ".ljust(20) for x in row.values())
        yield f"{name:44}{row['length']['of']:>7}  {cells}".rstrip()


def length_only(pairs: Sequence[Pair], seed: int = 0) -> Proportion:
    """A logistic regression on which text is longer, and by how many characters and lines."""
    import numpy as np

    def features(text: str) -> list[int]:
        return [len(text), text.count("\n")]

    right = np.array([features(pair.right) for pair in pairs], float)
    wrong = np.array([features(pair.wrong) for pair in pairs], float)
    difference = right - wrong
    difference = np.hstack([difference, np.sign(difference)])
    return _cross_validated(difference / np.maximum(difference.std(axis=0), 1e-9), pairs, seed)


def bag_of_words(pairs: Sequence[Pair], seed: int = 0) -> Proportion:
    """A logistic regression on the difference of the counts of words, numbers and signs."""
    from sklearn.feature_extraction.text import CountVectorizer

    # All words are known beforehand: what helps is learned from the training folds alone.
    vectorizer = CountVectorizer(analyzer=tokens)
    counts = vectorizer.fit_transform([text for pair in pairs for text in (pair.right, pair.wrong)])
    return _cross_validated(counts[0::2] - counts[1::2], pairs, seed)


def generator_only(pairs: Sequence[Pair], seed: int = 0) -> Proportion | None:
    """A logistic regression on who wrote the two; None where nobody is compared with anybody else."""
    from sklearn.feature_extraction import DictVectorizer

    if all(pair.right_by == pair.wrong_by for pair in pairs):
        return None
    return _cross_validated(DictVectorizer().fit_transform([writers(pair) for pair in pairs]), pairs, seed)


def writers(pair: Pair) -> dict[str, float]:
    """1 for who wrote the right answer, -1 for who wrote the wrong one, 0 where that is the same."""
    if pair.right_by == pair.wrong_by:
        return {pair.right_by: 0.0}
    return {pair.right_by: 1.0, pair.wrong_by: -1.0}


def tokens(text: str) -> list[str]:
    """Words, numbers and signs, as the bag of words counts them."""
    return _TOKEN.findall(text.casefold())


def _cross_validated(difference: Any, pairs: Sequence[Pair], seed: int) -> Proportion:
    import numpy as np
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    rng = random.Random(seed)
    first_is_right = np.array([rng.random() < 0.5 for _ in pairs])
    seen = csr_matrix(difference).multiply(np.where(first_is_right, 1, -1)[:, None]).tocsr()
    groups = [pair.group for pair in pairs]
    told = 0
    for train, test in GroupKFold(FOLDS).split(seen, groups=groups):
        # Without an intercept, swapping the two answers swaps the verdict.
        model = LogisticRegression(fit_intercept=False, max_iter=1000)
        model.fit(seen[train], first_is_right[train])
        told += int((model.predict(seen[test]) == first_is_right[test]).sum())
    return proportion(told, len(pairs))


def number_repeat(pairs: Sequence[Pair]) -> Proportion:
    """A rule: the answer is right of whose numbers more are in the question or are there twice. Ties are split in
    half; of an odd number the last one is lost."""
    told = 0.0
    for pair in pairs:
        right, wrong = repeated(pair.question, pair.right), repeated(pair.question, pair.wrong)
        told += 0.5 if right == wrong else float(right > wrong)
    return proportion(int(told), len(pairs))


def repeated(question: str, answer: str) -> float:
    """The share of the answer's numbers that are in the question or come again in the answer."""
    given, said = set(NUMBER.findall(question)), NUMBER.findall(answer)
    counts = Counter(said)
    return sum(number in given or counts[number] > 1 for number in said) / max(len(said), 1)
