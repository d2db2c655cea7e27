"""The one figure that a set of verdicts is known by, in a form that can be taken by category and compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fare_cli.meta import score, steps
from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate, Statistic, bootstrap, mean_of, mean_share
from fare_cli.meta.clusters import clustered_proportion
from fare_cli.studies.evaluating.case import Case, clusters_of


@dataclass(frozen=True, slots=True)
class Headline:
    """A figure over cases. `counts` says which of them have a part in it, `statistic` is as in `meta.bootstrap`.

    `is_right` is there where the figure is a share: of the cases that count, those that are right; `credit` where it is
    the mean of numbers from 0 to 1, what each case counts. `rule` says the rule in words.
    """

    name: str
    rule: str
    counts: Callable[[Case], bool] = field(repr=False)
    statistic: Callable[[Sequence[Case]], Statistic] = field(repr=False)
    is_right: Callable[[Case], bool] | None = field(default=None, repr=False)
    credit: Callable[[Case], float] | None = field(default=None, repr=False)


def _share(name: str, rule: str, counts: Callable[[Case], bool], is_right: Callable[[Case], bool]) -> Headline:
    return Headline(name, rule, counts, lambda cases: mean_of([float(is_right(case)) for case in cases]), is_right)


def _in_both_orders(case: Case) -> bool:
    return case.invalid is None and case.gold in ("A", "B") and len(case.orders) == 2


def _has_label_and_gold(case: Case) -> bool:
    return case.invalid is None and case.verdict is not None and case.gold is not None


def _has_expected_and_gold(case: Case) -> bool:
    return case.invalid is None and None not in (case.expected_score, case.gold, case.scale)


def _f1(cases: Sequence[Case]) -> Statistic:
    return steps.f1([int(str(case.verdict)) for case in cases], [int(case.gold or 0) for case in cases])


def _pearson(cases: Sequence[Case]) -> Statistic:
    return score.pearson(
        [_on_scale(case, case.expected_score) for case in cases], [_on_scale(case, case.gold) for case in cases]
    )


def _on_scale(case: Case, value: str | float | None) -> float:
    """From 0, the lowest score, to 1, so that records of several scales go together."""
    low, high = case.scale or (0, 1)
    return (float(value or 0) - low) / max(high - low, 1)


ACCURACY = _share(
    "accuracy",
    "no verdict counts as wrong",
    lambda case: case.invalid is None and case.correct is not None,
    lambda case: bool(case.correct),
)
BOTH_ORDERS = _share(
    "both orders right",
    "JudgeBench's rule (Tan et al. 2024): gold is chosen in either order",
    _in_both_orders,
    lambda case: all(said.label == case.gold for said in case.orders.values()),
)
F1 = Headline(
    "F1",
    "ProcessBench's rule (Zheng et al. 2024): the harmonic mean of the accuracies on solutions with a wrong step and "
    "without one",
    _has_label_and_gold,
    _f1,
)
PEARSON = Headline("Pearson", "Pearson's correlation of the expected score and gold", _has_expected_and_gold, _pearson)

HEADLINES: dict[str, Headline] = {"pairwise": ACCURACY, "step": F1, "verify": ACCURACY, "score": PEARSON}
"""By task, where no protocol says otherwise."""


def measure(headline: Headline, cases: Sequence[Case]) -> Proportion | Estimate | None:
    """The figure with its interval; None where no case counts, or where it is not defined."""
    counting = [case for case in cases if headline.counts(case)]
    if not counting:
        return None
    if headline.is_right is not None:
        return clustered_proportion([headline.is_right(case) for case in counting], clusters_of(counting))
    if headline.credit is not None:
        return mean_share([headline.credit(case) for case in counting], clusters_of(counting))
    return bootstrap(headline.statistic(counting), len(counting), clusters_of(counting))
