"""The gate of a run: `run.runner` asks it after every verdict whether it may stop."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.errors import ExitCode
from fare_cli.gate.check import OUTCOMES, Check
from fare_cli.gate.measures import GateLimit
from fare_cli.gate.sequential import SequentialGate
from fare_cli.run.lines import Clusters, InCluster
from fare_cli.run.manifest import GateFacts
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.limits import worst
from fare_cli.verdicts import Verdict


class RunGate:
    """Ends a run as soon as its limits are sure to be kept, or one is sure to be broken.

    Never while more than `max_invalid` of the records so far are invalid: a run of broken records has to be seen.
    """

    def __init__(self, limits: Sequence[GateLimit], *, confidence: float, max_invalid: float) -> None:
        self._limits = limits
        self._confidence = confidence
        self._max_invalid = max_invalid
        self._gate: SequentialGate | None = None
        self._clusters: Clusters | None = None
        self._invalid = 0
        self._judged = 0

    @property
    def checks(self) -> list[Check]:
        """The limits as they stand; none before the first verdict."""
        return [] if self._gate is None else self._gate.checks()

    @property
    def records(self) -> int:
        """All records of the input; 0 before the first verdict."""
        return 0 if self._clusters is None else self._clusters.records

    @property
    def exit_code(self) -> ExitCode:
        return worst(self.checks) if self._gate is not None else ExitCode.UNDECIDED

    @property
    def facts(self) -> GateFacts | None:
        if self._clusters is None:
            return None
        return GateFacts(
            limits=[limit.words for limit in self._limits],
            confidence=self._confidence,
            records=self._clusters.records,
            clusters=self._clusters.clusters,
            largest_cluster=self._clusters.largest,
            outcome=OUTCOMES[self.exit_code],
        )

    def add(self, verdict: Verdict, cluster: InCluster) -> bool:
        if self._gate is None:
            self._clusters = cluster.of
            self._gate = SequentialGate(self._limits, confidence=self._confidence, largest_cluster=cluster.of.largest)
        self._judged += 1
        self._invalid += verdict.status == "invalid"
        self._gate.add(Case.of(verdict), ends_cluster=cluster.ends)
        return cluster.ends and self._invalid <= self._max_invalid * self._judged and self._gate.is_sure
