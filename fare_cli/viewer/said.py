"""What the judge said, whether or not anybody knows what is right: one figure a task, and counts of its verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fare_cli.meta.bootstrap import mean_of
from fare_cli.meta.clusters import clustered_proportion
from fare_cli.report.model import Column, Plot, Point, Series, Table
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.headline import Headline
from fare_cli.studies.evaluating.parts import Part
from fare_cli.studies.evaluating.values import finds_fault, held_right, wins

_BINS = 20

WIN_RATE = Headline(
    "win rate of answer B",
    "the share of pairs in which answer B is preferred; a tie, and a pair on which the orders disagree, is half a win",
    lambda case: case.invalid is None,
    lambda cases: mean_of([wins(case) for case in cases]),
)
WRONG_STEPS = Headline(
    "solutions with a wrong step",
    "the share of solutions in which the judge names a wrong step",
    lambda case: case.invalid is None and finds_fault(case) is not None,
    lambda cases: mean_of([finds_fault(case) or 0.0 for case in cases]),
    lambda case: bool(finds_fault(case)),
)
SAID_YES = Headline(
    "answers held right",
    "the share of answers that the judge says yes to",
    lambda case: case.invalid is None and held_right(case) is not None,
    lambda cases: mean_of([held_right(case) or 0.0 for case in cases]),
    lambda case: bool(held_right(case)),
)
MEAN_SCORE = Headline(
    "mean score",
    "the mean of the expected scores",
    lambda case: case.invalid is None and case.expected_score is not None,
    lambda cases: mean_of([case.expected_score or 0.0 for case in cases]),
)
SAID: dict[str, Headline] = {"pairwise": WIN_RATE, "step": WRONG_STEPS, "verify": SAID_YES, "score": MEAN_SCORE}
"""By task: what the judge's verdicts come to."""

NO_PREFERENCE = {"pairwise": 0.5}
"""Where such a figure says that nothing is preferred."""

_LABELS = {
    "pairwise": {"A": "answer A is better", "B": "answer B is better", "tie": "a tie"},
    "verify": {"yes": "yes, the answer is right", "no": "no, it is not"},
}


def in_words(task: str, label: str) -> str:
    """A label for people."""
    if task == "step":
        return "no step is wrong" if label == "-1" else f"step {label} is the first wrong one"
    if task == "score":
        return f"score {label}"
    return _LABELS[task][label]


def verdict_table(cases: Sequence[Case]) -> Table:
    """How often each verdict was given; steps are counted together, as solutions differ in length."""
    clusters, task = clusters_of(cases), cases[0].task
    groups = [_group(case) for case in cases]
    there = Counter(group for group in groups if group is not None)
    rows = tuple((group, clustered_proportion([one == group for one in groups], clusters)) for group in _sorted(there))
    columns = (Column("verdict", "the judge said"), Column("records", "records, with the share of all"))
    return Table("verdicts", f"the verdicts on {len(cases):,} {_NOUNS[task]}", columns, rows)


_NOUNS = {"pairwise": "pairs", "step": "solutions", "verify": "answers", "score": "answers"}
_NO_VERDICT, _INVALID = "no verdict: the two orders disagree", "could not be judged"


def _group(case: Case) -> str | None:
    if case.invalid is not None:
        return _INVALID
    if case.verdict is None:
        return _NO_VERDICT if case.is_undecided else None
    if case.task == "step" and case.verdict != "-1":
        return "a step is wrong"
    return in_words(case.task, case.verdict)


def _sorted(groups: Counter[str]) -> list[str]:
    """Labels in their natural order, what is no verdict last."""

    def key(group: str) -> tuple[bool, int, str]:
        digits = group.removeprefix("score ")
        return group in (_NO_VERDICT, _INVALID), int(digits) if digits.lstrip("-").isdecimal() else 0, group

    return sorted(groups, key=key)


def confidence_parts(cases: Sequence[Case]) -> list[Part]:
    """How sure the judge was, and how often it was wrong where it was so sure."""
    sure = [case for case in judged(cases) if case.confidence is not None]
    if not sure:
        return []
    scored = any(case.correct is not None for case in sure)
    every, wrong = Counter(map(_bin, sure)), Counter(_bin(case) for case in sure if case.correct is False)
    series = [Series("all verdicts", tuple(Point(_middle(one), every[one]) for one in range(_BINS)), "bars")]
    if scored:
        points = tuple(Point(_middle(one), wrong[one]) for one in range(_BINS))
        series.append(Series("of these known to be wrong", points, "bars"))
    note = (
        "The confidence is the probability that the judge itself gave to its verdict. Bars far to the right: it was "
        "mostly sure. Being sure is not being right."
    )
    return [Plot("confidence-plot", "how sure the judge was", "confidence", "records", tuple(series), note=note)]


def _bin(case: Case) -> int:
    return min(int((case.confidence or 0.0) * _BINS), _BINS - 1)


def _middle(number: int) -> float:
    return (number + 0.5) / _BINS
