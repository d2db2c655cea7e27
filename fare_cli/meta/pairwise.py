"""How good and how even-handed a judge of pairs is, from what it said in each order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fare_cli.meta.agreement import Interval, Proportion
from fare_cli.meta.bootstrap import Estimate, mean, paired_difference
from fare_cli.meta.clusters import Clusters, clustered_proportion, of_those


class Pair(NamedTuple):
    """What is known of a pair and what was said of it, all in the record's own frame (the swap undone).

    `gold` is "A", "B", "tie" or None where it is not known. `verdict` is the combined one, None where undecided. `ab`
    and `ba` are "A" or "B": what the judge meant when A was shown first, and when B was; None where that was not asked.
    """

    gold: str | None
    verdict: str | None
    ab: str | None = None
    ba: str | None = None


class PairwiseMeasures(NamedTuple):
    """Measures of a judge of pairs. What nothing could be counted for is a Proportion of 0, or None.

    `accuracy`: the verdict is gold, no verdict is wrong. `accuracy_decided`: of the pairs with a verdict.
    `both_orders_right`: gold in either order, of the pairs asked in both (JudgeBench's rule, Tan et al. 2024).
    `accuracy_ab`, `accuracy_ba`: each order by itself. `consistent`: both orders mean the same answer.
    `always_first`, `always_second`: both orders choose by place, the first shown answer or the second; with
    `consistent` they add up to all pairs asked in both orders. `position_bias`: the share of judgments that choose the
    first shown answer, less 1/2; below 0 the second is preferred. `undecided`: pairs without a verdict, of all.
    """

    accuracy: Proportion
    accuracy_decided: Proportion
    both_orders_right: Proportion
    accuracy_ab: Proportion
    accuracy_ba: Proportion
    consistent: Proportion
    always_first: Proportion
    always_second: Proportion
    position_bias: Estimate | None
    undecided: Proportion
    ties_left_out: int


def measure_pairs(pairs: Sequence[Pair], clusters: Clusters = None, *, says_tie: bool = False) -> PairwiseMeasures:
    """All measures of a judge of pairs.

    `says_tie`: its verdicts can be ties. Then a pair that is a tie in gold is right where the verdict is; else such
    pairs are left out of `accuracy` and `accuracy_decided` and counted in `ties_left_out`. A single order can never say
    tie, so those pairs are always left out of `both_orders_right`, `accuracy_ab` and `accuracy_ba`. Consistency and
    position bias need no gold and count every pair that was asked in both orders.
    """
    rows = _Rows(pairs, clusters)

    def has_gold(pair: Pair) -> bool:
        return pair.gold is not None and (says_tie or pair.gold != "tie")

    def has_winner(pair: Pair) -> bool:
        return pair.gold is not None and pair.gold != "tie"

    def in_both(pair: Pair) -> bool:
        return pair.ab is not None and pair.ba is not None

    def verdict_right(pair: Pair) -> bool:
        return pair.verdict == pair.gold

    return PairwiseMeasures(
        accuracy=rows.share(verdict_right, has_gold),
        accuracy_decided=rows.share(verdict_right, lambda pair: has_gold(pair) and pair.verdict is not None),
        both_orders_right=rows.share(
            lambda pair: pair.ab == pair.ba == pair.gold, lambda pair: has_winner(pair) and in_both(pair)
        ),
        accuracy_ab=rows.share(
            lambda pair: pair.ab == pair.gold, lambda pair: has_winner(pair) and pair.ab is not None
        ),
        accuracy_ba=rows.share(
            lambda pair: pair.ba == pair.gold, lambda pair: has_winner(pair) and pair.ba is not None
        ),
        consistent=rows.share(lambda pair: pair.ab == pair.ba, in_both),
        always_first=rows.share(_first_twice, in_both),
        always_second=rows.share(_second_twice, in_both),
        position_bias=rows.position_bias(),
        undecided=rows.share(lambda pair: pair.verdict is None, lambda pair: True),
        ties_left_out=0 if says_tie else sum(pair.gold == "tie" for pair in pairs),
    )


def position_bias_in_nats(ab: Sequence[float], ba: Sequence[float], clusters: Clusters = None) -> Estimate | None:
    """How much being shown first adds to an answer's log-odds, in nats; None without any pair.

    `ab` and `ba` are the log-odds of answer A against answer B, in the record's frame, as each order gave them: half
    their difference is what the place did. It shows a bias that is too weak to turn verdicts, and does not depend on
    how hard the pairs are. Combining orders by `mean` cancels it.
    """
    return mean([(one - other) / 2 for one, other in zip(ab, ba, strict=True)], clusters)


def _first_twice(pair: Pair) -> bool:
    return (pair.ab, pair.ba) == ("A", "B")


def _second_twice(pair: Pair) -> bool:
    return (pair.ab, pair.ba) == ("B", "A")


def _halved(found: Estimate) -> Estimate:
    interval = found.interval
    return Estimate(found.value / 2, None if interval is None else Interval(interval.low / 2, interval.high / 2))


class _Rows(NamedTuple):
    pairs: Sequence[Pair]
    clusters: Clusters

    def share(self, is_case: Callable[[Pair], bool], counts: Callable[[Pair], bool]) -> Proportion:
        """The share of cases among the pairs that count."""
        which = [index for index, pair in enumerate(self.pairs) if counts(pair)]
        return clustered_proportion([is_case(self.pairs[index]) for index in which], of_those(which, self.clusters))

    def position_bias(self) -> Estimate | None:
        """A consistent pair chooses the first shown once of two times, so only the two ways of inconsistency count."""
        which = [index for index, pair in enumerate(self.pairs) if pair.ab is not None and pair.ba is not None]
        found = paired_difference(
            [_second_twice(self.pairs[index]) for index in which],
            [_first_twice(self.pairs[index]) for index in which],
            of_those(which, self.clusters),
        )
        return None if found is None else _halved(found)
