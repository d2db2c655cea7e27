"""One thing that a gate looked at, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fare_cli.errors import ExitCode, InvalidRecordsError
from fare_cli.gate.measures import GateLimit, check_on_scale, figure_in_words, mean_on_scale, scale_of
from fare_cli.meta.bootstrap import Estimate
from fare_cli.studies.evaluating.case import Case, clusters_of, judged

OUTCOMES = {ExitCode.OK: "pass", ExitCode.GATE: "fail", ExitCode.UNDECIDED: "undecided"}


class Check(NamedTuple):
    """A limit with its outcome: OK, GATE or UNDECIDED.

    `name` is short and says what was asked for; `figure` is what was found, None where nothing was measured, and
    `shown` the same for people; `records` says on what.
    """

    name: str
    outcome: ExitCode
    figure: Estimate | None
    shown: str
    records: str

    @property
    def words(self) -> str:
        """What was found, in one line."""
        return f"{self.shown}, {self.records}"

    @property
    def decided(self) -> str:
        """The outcome in one word."""
        return OUTCOMES[self.outcome]


def check_level(limit: GateLimit, cases: Sequence[Case], *, confidence: float) -> Check:
    """Whether all verdicts of a run keep a limit.

    The interval says where the figure would lie for endless records like these. Raises InvalidRecordsError where no
    verdict has a part in the measure, UsageError for a limit outside of the scale.
    """
    counting = [(case, value) for case in judged(cases) if (value := limit.measure.value(case)) is not None]
    if not counting:
        needs = "no record has gold" if limit.measure.name == "accuracy" else "no record could be judged"
        raise InvalidRecordsError(f"--{limit.words} has nothing to be measured on: {needs}")
    scale = scale_of(limit.measure, [case for case, _ in counting])
    check_on_scale(limit, scale)
    figure = mean_on_scale(
        [value for _, value in counting],
        scale,
        clusters_of([case for case, _ in counting]),
        is_share=limit.measure.is_share,
        confidence=confidence,
    )
    assert figure is not None
    assert figure.interval is not None
    shown = figure_in_words(limit.measure, figure)
    return Check(limit.words, limit.outcome(figure.interval), figure, shown, f"{len(counting):,} records")
