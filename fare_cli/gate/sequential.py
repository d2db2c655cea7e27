"""A gate that looks after every cluster of records: it may stop a run as soon as the answer is sure.

Its intervals are confidence sequences (`meta.confidence_sequence`), so that looking all the time costs nothing but some
width. Records come in a random order that was fixed before the first was asked, a cluster's together, and count in that
order whichever reply came first: a record that takes long, and may be judged worse, is waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fare_cli.errors import ExitCode
from fare_cli.gate.check import Check
from fare_cli.gate.measures import GateLimit, Scale, check_on_scale, figure_in_words, scale_of, two_scales
from fare_cli.meta.agreement import Interval
from fare_cli.meta.bootstrap import Estimate
from fare_cli.meta.confidence_sequence import ConfidenceSequence
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.limits import worst


class SequentialGate:
    """Limits watched while verdicts come in. `largest_cluster` is the number of records in the largest cluster that
    there can be, known before the first verdict."""

    def __init__(self, limits: Sequence[GateLimit], *, confidence: float, largest_cluster: int) -> None:
        self._watches = [_Watch(limit, confidence, largest_cluster) for limit in limits]

    def add(self, case: Case, *, ends_cluster: bool) -> None:
        """Takes the next verdict, invalid ones too; `ends_cluster` says that the next one is of another cluster.

        Raises UsageError for a limit outside of the scale, InputError for a second scale.
        """
        for watch in self._watches:
            watch.add(case, ends_cluster=ends_cluster)

    def checks(self) -> list[Check]:
        """All limits as they stand now."""
        return [watch.check() for watch in self._watches]

    @property
    def is_sure(self) -> bool:
        """Whether more records could not change the outcome: a limit is broken, or all are kept."""
        return worst(self.checks()) is not ExitCode.UNDECIDED


class Order(NamedTuple):
    """What of the order of records a run has written down: the largest cluster, and whether the last one is whole."""

    largest_cluster: int
    ends_with_cluster: bool


def check_in_order(
    limits: Sequence[GateLimit], cases: Iterable[Case], order: Order, *, confidence: float
) -> list[Check]:
    """The limits as a run that watched its verdicts has them at its end, from the verdicts that it wrote."""
    gate = SequentialGate(limits, confidence=confidence, largest_cluster=order.largest_cluster)
    before: Case | None = None
    for case in cases:
        if before is not None:
            gate.add(before, ends_cluster=before.cluster is None or before.cluster != case.cluster)
        before = case
    if before is not None:
        gate.add(before, ends_cluster=order.ends_with_cluster)
    return gate.checks()


class _Watch:
    """One limit, and the cluster that is being gathered."""

    def __init__(self, limit: GateLimit, confidence: float, largest_cluster: int) -> None:
        self._limit = limit
        self._confidence = confidence
        self._largest = largest_cluster
        self._scale: Scale | None = None
        self._sequence: ConfidenceSequence | None = None
        self._records = 0
        self._gathered: list[float] = []

    def add(self, case: Case, *, ends_cluster: bool) -> None:
        value = None if case.invalid is not None else self._limit.measure.value(case)
        if value is not None:
            self._gathered.append(self._begun(case).share(value))
        if ends_cluster and self._gathered:
            assert self._sequence is not None
            count = len(self._gathered)
            self._sequence.add(min(sum(self._gathered) / count, 1.0), count / self._largest)
            self._records += count
            self._gathered = []

    def check(self) -> Check:
        limit, sequence = self._limit, self._sequence
        if sequence is None or sequence.mean is None or self._scale is None:
            return Check(limit.words, ExitCode.UNDECIDED, None, "nothing measured yet", "0 records")
        interval = Interval(*(self._scale.value(end) for end in sequence.interval))
        figure = Estimate(self._scale.value(sequence.mean), interval)
        records = f"{self._records:,} records, looked at after each"
        # On the scale from 0 to 1, where the threshold is a point of the sequence itself.
        outcome = limit._replace(value=self._scale.share(limit.value)).outcome(sequence.interval)
        return Check(limit.words, outcome, figure, figure_in_words(limit.measure, figure), records)

    def _begun(self, case: Case) -> Scale:
        """The scale of all verdicts: that of the first."""
        scale = scale_of(self._limit.measure, [case])
        if self._scale is None:
            check_on_scale(self._limit, scale)
            self._scale = scale
            self._sequence = ConfidenceSequence(self._confidence, [scale.share(self._limit.value)])
        elif scale != self._scale:
            raise two_scales([self._scale, scale])
        return self._scale
