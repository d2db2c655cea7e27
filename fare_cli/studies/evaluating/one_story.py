"""Whether pairwise verdicts, scores and yes-or-no verdicts on the same answers tell one story."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from fare_cli.meta.consistency import Consistency, TwoProtocols, measure_consistency
from fare_cli.report.model import Column, Table, Value
from fare_cli.studies.evaluating.case import Case, judged
from fare_cli.studies.evaluating.parts import Part

_NAMES = ("pairwise", "verify", "score")


class Story(NamedTuple):
    """What each protocol prefers of the answers A and B of one pair: above 0 A, below 0 B, 0 neither, None: not judged
    so. `by_label` goes by verdicts, `by_probability` by log-odds, p(yes) and expected scores. `both` is the label that
    verify gave to both answers, if it did."""

    cluster: Hashable
    by_label: Mapping[str, float | None]
    by_probability: Mapping[str, float | None]
    both: str | None


def stories(by_task: Mapping[str, Sequence[Case]]) -> list[Story]:
    """The pairs of answers that at least two protocols judged, joined by the texts of question and answer.

    The pairs are those of the pairwise verdicts; without any, all pairs of answers in one cluster.
    """
    verify, score = (_by_answer(by_task.get(task, ())) for task in ("verify", "score"))
    found = []
    for cluster, first, second, pair in _pairs(by_task):
        labels: dict[str, float | None] = {"pairwise": None if pair is None else _direction(pair)}
        shares: dict[str, float | None] = {"pairwise": None if pair is None else _lean(pair)}
        yes = (verify.get(first), verify.get(second))
        labels["verify"], shares["verify"] = _apart(yes, _says_yes), _apart(yes, _p_yes)
        points = (score.get(first), score.get(second))
        labels["score"], shares["score"] = _apart(points, _said), _apart(points, lambda case: case.expected_score)
        if sum(value is not None for value in labels.values()) > 1:
            both = yes[0].verdict if labels["verify"] == 0 and yes[0] is not None else None
            found.append(Story(cluster, labels, shares, both))
    return found


def one_story_parts(found: Sequence[Story]) -> list[Part]:
    """How often the protocols agree, by labels and by probabilities, and the contradictions by kind."""
    protocols = [name for name in _NAMES if any(story.by_label[name] is not None for story in found)]
    if len(protocols) < 2:
        return []
    clusters = [story.cluster for story in found]
    by_label = measure_consistency({name: [one.by_label[name] for one in found] for name in protocols}, clusters)
    by_probability = measure_consistency(
        {name: [one.by_probability[name] for one in found] for name in protocols}, clusters
    )
    joined = "Answers are joined by their texts and that of the question."
    return [
        _table(
            "one-story",
            "do the protocols tell one story?",
            by_label,
            f"{joined} By verdicts: A or B (undecided and tie prefer neither), right against wrong, the higher score. "
            "Kappa: agreement beyond what the same shares of A, B and neither give by chance.",
        ),
        _table(
            "one-story-by-probability",
            "do the protocols lean the same way?",
            by_probability,
            f"{joined} By probabilities, which nearly always lean one way: log-odds of A against B over both orders, "
            "the difference of the two p(yes), the difference of the expected scores.",
        ),
        _kinds(found, protocols),
    ]


def no_more_than_chance(found: Sequence[Story]) -> bool:
    """Whether no two protocols are shown to agree more than by chance."""
    protocols = [name for name in _NAMES if any(story.by_label[name] is not None for story in found)]
    if len(protocols) < 2:
        return False
    both = measure_consistency(
        {name: [one.by_probability[name] for one in found] for name in protocols}, [one.cluster for one in found]
    )
    return not any(map(_is_more_than_chance, both.between))


def _is_more_than_chance(two: TwoProtocols) -> bool:
    if two.kappa is None:
        return False
    if two.kappa.interval is not None:
        return two.kappa.interval.low > 0
    # Where all pairs agree, resampling has no interval for kappa, but the share has.
    return two.kappa.value > 0 and two.agree.interval.low > 0.5


def _table(name: str, title: str, found: Consistency, note: str) -> Table:
    rows: list[tuple[Value, ...]] = [
        (f"{two.one} and {two.other}", two.agree, two.contradict, two.one_neither, two.kappa) for two in found.between
    ]
    if len(found.between) > 1:
        rows.append(("all of them", found.one_story, None, None, None))
        rows.append(("all, neither going with either", found.no_contradiction, None, None, None))
    columns = (
        Column("protocols", "protocols"),
        Column("agree", "agree"),
        Column("contradict", "prefer different answers"),
        Column("one_neither", "only one prefers"),
        Column("kappa", "kappa"),
    )
    return Table(name, title, columns, tuple(rows), note)


def _kinds(found: Sequence[Story], protocols: Sequence[str]) -> Table:
    kinds: Counter[str] = Counter()
    for story in found:
        for one, other in combinations(protocols, 2):
            if (kind := _kind(story, one, other)) is not None:
                kinds[kind] += 1
    columns = (Column("kind", "kind"), Column("pairs", "pairs of answers"))
    return Table("contradictions", "where the stories differ", columns, tuple(kinds.most_common()), "By verdicts.")


_AGAINST = {
    ("pairwise", "verify"): "the preferred answer is said to be wrong, the other one right",
    ("pairwise", "score"): "the preferred answer has the lower score",
    ("verify", "score"): "the answer that is said to be wrong has the higher score",
}
_ONLY = {
    "pairwise": "an answer is preferred",
    "verify": "one answer is right and one wrong",
    "score": "the scores differ",
}
_NEITHER = {"pairwise": "the pair is undecided", "score": "the scores are equal"}


def _kind(story: Story, one: str, other: str) -> str | None:
    """How two protocols differ on a pair, in words; None where they do not."""
    first, second = story.by_label[one], story.by_label[other]
    if first is None or second is None or (first > 0) - (first < 0) == (second > 0) - (second < 0):
        return None
    if first and second:
        return _AGAINST[one, other]
    prefers, silent = (one, other) if first else (other, one)
    neither = _NEITHER.get(silent) or ("both are right" if story.both == "yes" else "both are wrong")
    return f"{_ONLY[prefers]}, though {neither}"


def _pairs(by_task: Mapping[str, Sequence[Case]]) -> list[tuple[Hashable, str, str, Case | None]]:
    pairwise = by_task.get("pairwise")
    if pairwise is not None:
        return [(case.cluster, *case.answers, case) for case in judged(pairwise) if len(case.answers) == 2]
    answers: dict[Hashable, dict[str, None]] = {}
    for task in ("verify", "score"):
        for case in judged(by_task.get(task, ())):
            for answer in case.answers:
                answers.setdefault(case.cluster, {})[answer] = None
    return [
        (cluster, first, second, None)
        for cluster, inside in answers.items()
        for first, second in combinations(inside, 2)
    ]


def _by_answer(cases: Sequence[Case]) -> dict[str, Case]:
    """The first verdict on each answer."""
    found: dict[str, Case] = {}
    for case in judged(cases):
        for answer in case.answers:
            found.setdefault(answer, case)
    return found


def _apart(both: tuple[Case | None, Case | None], value: Callable[[Case], float | None]) -> float | None:
    """By how much the first answer is ahead; None where not both have a value."""
    first, second = (None if case is None else value(case) for case in both)
    return None if first is None or second is None else first - second


def _direction(case: Case) -> float:
    return {"A": 1.0, "B": -1.0}.get(case.verdict or "", 0.0)


def _lean(case: Case) -> float | None:
    """The log-odds of A against B, averaged over the orders; without judgments the difference of the probabilities."""
    odds = [said.log_odds for said in case.orders.values() if said.log_odds is not None]
    if odds:
        return math.fsum(odds) / len(odds)
    shares = case.probabilities or {}
    return shares["A"] - shares["B"] if {"A", "B"} <= shares.keys() else None


def _says_yes(case: Case) -> float | None:
    return None if case.verdict is None else float(case.verdict == "yes")


def _p_yes(case: Case) -> float | None:
    return None if case.probabilities is None else case.probabilities.get("yes")


def _said(case: Case) -> float | None:
    """The score; of several criteria their mean expected one, since there is no score in common."""
    return case.expected_score if case.verdict is None else float(case.verdict)
