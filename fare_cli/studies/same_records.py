"""Two sets of verdicts on the same records: joined, and how far they differ."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fare_cli.meta.agreement import Interval, Proportion, Shift, shift
from fare_cli.meta.bootstrap import Estimate, kappa_estimate, paired_difference
from fare_cli.meta.clusters import clustered_proportion
from fare_cli.studies.evaluating.case import Case, clusters_of
from fare_cli.studies.judging import label_of

_NAMED = 3

Pair = tuple[Case, Case]
"""What both sides say of a record: the first one, or what was said before, and the second, or what is said now."""


class Joined(NamedTuple):
    """The records that stand on both sides, by id and content, invalid or not. `changed` are ids under which they were
    shown different things; `only_before` and `only_after` are the ids that stand on one side alone."""

    pairs: list[Pair]
    changed: list[str]
    only_before: list[str]
    only_after: list[str]

    @property
    def judged(self) -> list[Pair]:
        """The pairs that both sides could judge."""
        return [pair for pair in self.pairs if pair[0].invalid is None and pair[1].invalid is None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the verdicts of two sides differ, on the records that both could judge.

    `shift` is that of the probability of what the first held most probable, below 0 where the second is less sure of
    it; `moved` is the size of that shift with its interval. `lost` are, of the records that the first could judge,
    those that the second could not; `mended` counts those that only the second could judge. Neither are flips.
    `right_change` is of the records whose gold label is the same on both sides.
    """

    flips: Proportion
    kappa: Estimate | None
    shift: Shift | None
    moved: Estimate | None
    agreeing_change: Estimate | None
    right_change: Estimate | None
    lost: Proportion
    mended: int


def by_id(cases: Sequence[Case]) -> dict[str, Case]:
    """The cases by the id of their record; what could not even be read as a record has none."""
    found: dict[str, Case] = {}
    for case in cases:
        # A record whose id was taken is invalid, under the id of the first.
        found.setdefault(case.id, case)
    found.pop("", None)
    return found


def join(before: Sequence[Case], after: Sequence[Case]) -> Joined:
    """Cases of the same records. Where verdicts came without their records the ids alone must do."""
    ours, theirs = by_id(before), by_id(after)
    pairs, changed = [], []
    for id, case in ours.items():
        other = theirs.get(id)
        if other is None:
            continue
        if None not in (case.content, other.content) and case.content != other.content:
            changed.append(id)
        else:
            pairs.append((case, other))
    return Joined(pairs, changed, [id for id in ours if id not in theirs], [id for id in theirs if id not in ours])


def join_warnings(joined: Joined) -> list[str]:
    """What two judges' records do not have in common."""
    said = []
    if joined.changed:
        named = ", ".join(joined.changed[:_NAMED]) + (", ..." if len(joined.changed) > _NAMED else "")
        said.append(f"{len(joined.changed)} ids name different records and are not compared: {named}")
    if joined.only_before or joined.only_after:
        said.append(
            f"{len(joined.only_before)} records are only in the first, {len(joined.only_after)} only in the second"
        )
    lost = sum((one.invalid is None) != (other.invalid is None) for one, other in joined.pairs)
    if lost:
        said.append(f"{lost} records could be judged by only one of them and are not compared")
    return said


def compare(pairs: Sequence[Pair]) -> Comparison:
    """How the second side's verdicts differ from the first one's, intervals by the clusters of the records."""
    judged = [pair for pair in pairs if pair[0].invalid is None and pair[1].invalid is None]
    once_judged = [pair for pair in pairs if pair[0].invalid is None]
    ours, theirs = ([label_of(pair[side]) for pair in judged] for side in (0, 1))
    clusters = _clusters(judged)
    sure = [(pair, found) for pair in judged if (found := probabilities(*pair)) is not None]
    return Comparison(
        flips=clustered_proportion([one != other for one, other in zip(ours, theirs, strict=True)], clusters),
        kappa=kappa_estimate(ours, theirs, clusters),
        shift=shift([one for _, (one, _) in sure], [other for _, (_, other) in sure]),
        moved=_size([abs(other - one) for _, (one, other) in sure], _clusters([pair for pair, _ in sure])),
        agreeing_change=_change(judged, lambda case: case.consistent),
        right_change=_change([pair for pair in judged if pair[0].gold == pair[1].gold], lambda case: case.correct),
        lost=clustered_proportion([pair[1].invalid is not None for pair in once_judged], _clusters(once_judged)),
        mended=sum(one.invalid is not None and other.invalid is None for one, other in pairs),
    )


def probabilities(before: Case, after: Case) -> tuple[float, float] | None:
    """The probabilities that both give to what `before` holds most probable, averaged over criteria if there are; None
    where one of them gave that label none."""
    each: list[tuple[Mapping[str, float], Mapping[str, float]]]
    if before.criteria is not None and after.criteria is not None:
        if before.criteria.keys() != after.criteria.keys():
            return None
        each = [(one.probabilities, after.criteria[name].probabilities) for name, one in before.criteria.items()]
    elif before.probabilities is not None and after.probabilities is not None:
        each = [(before.probabilities, after.probabilities)]
    else:
        return None
    if not all(one for one, _ in each):
        return None
    tops = [max(one, key=one.__getitem__) for one, _ in each]
    if any(top not in other for (_, other), top in zip(each, tops, strict=True)):
        return None
    first = sum(one[top] for (one, _), top in zip(each, tops, strict=True)) / len(each)
    second = sum(other[top] for (_, other), top in zip(each, tops, strict=True)) / len(each)
    return first, second


def _change(pairs: Sequence[Pair], holds: Callable[[Case], bool | None]) -> Estimate | None:
    """By how much the share of verdicts of which something holds has risen, where both sides can tell."""
    known = [pair for pair in pairs if None not in map(holds, pair)]
    before, after = ([bool(holds(pair[side])) for pair in known] for side in (0, 1))
    return paired_difference(before, after, _clusters(known))


def _size(moves: Sequence[float], clusters: Sequence[Hashable]) -> Estimate | None:
    """The mean size of changes from 0 to 1; where all are alike, with the interval that this leaves open."""
    found = paired_difference([0.0] * len(moves), moves, clusters)
    if found is None or found.interval is None:
        return found
    return Estimate(found.value, Interval(max(found.interval.low, 0.0), found.interval.high))


def _clusters(pairs: Sequence[Pair]) -> list[Hashable]:
    return clusters_of([before for before, _ in pairs])
