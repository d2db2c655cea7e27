"""All verdicts of one judge on one set of records, and what is known about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fare_cli.errors import InvalidRecordsError
from fare_cli.meta.bootstrap import Estimate
from fare_cli.records import TaskName
from fare_cli.report.words import estimate_in_words
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.counting import Timing
from fare_cli.studies.evaluating.headline import HEADLINES, PEARSON, Headline, measure
from fare_cli.studies.judging import at_chance
from fare_cli.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Protocol:
    """By which figure a set is known; `reported` is what others are reported to reach, in percent by judge."""

    headline: Headline
    reported: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VerdictSet:
    """Verdicts of one judge on one set of records, in order.

    `judge` is its name for people, `identity` all that makes it this judge, as manifests have it (empty where nobody
    knows). `facts` say what was judged and how; `timing` is None where that is not known.
    """

    name: str
    task: TaskName
    cases: tuple[Case, ...]
    protocol: Protocol
    judge: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    timing: Timing | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, verdicts: Iterable[Verdict], *, name: str = "verdicts") -> VerdictSet:
        """A set of verdicts of one task. Raises ValueError for none, or for several tasks, RecordError for a verdict
        that fare does not write."""
        cases = tuple(map(Case.of, verdicts))
        tasks = {case.task for case in cases}
        if len(tasks) != 1:
            raise ValueError(f"verdicts of one task are measured together, not of {len(tasks)}")
        task = cases[0].task
        return cls(name, task, cases, Protocol(HEADLINES[task]))

    @property
    def weights(self) -> str | None:
        """What tells models apart; None where that is not known."""
        return self.identity.get("weights")

    def chance(self) -> str | None:
        """Says why these verdicts show no more than chance would; None where they do, or where nothing can tell."""
        found = judged(self.cases)
        if self.task != "score":
            return at_chance(found, clusters_of(found))
        correlation = measure(PEARSON, found)
        if correlation is None:
            has_gold = any(PEARSON.counts(case) for case in found)
            return "the expected score has no correlation with gold: one of them is constant" if has_gold else None
        assert isinstance(correlation, Estimate)
        if correlation.interval is not None and correlation.interval.low > 0:
            return None
        return f"the expected score is not shown to go with gold: Pearson {estimate_in_words(correlation)}"

    def problem(self, max_invalid: float) -> InvalidRecordsError | None:
        """The error of a set in which too many records could not be judged, or none."""
        return too_many_invalid(self.name, self.cases, max_invalid)


def too_many_invalid(name: str, cases: Sequence[Case], max_invalid: float) -> InvalidRecordsError | None:
    """The error of verdicts of which more than this share are invalid, or all; None for others."""
    invalid = [case for case in cases if case.invalid is not None]
    if len(invalid) <= max_invalid * len(cases) and len(invalid) < len(cases):
        return None
    return InvalidRecordsError(
        f"{name}: {len(invalid)} of {len(cases)} records are invalid, more than --max-invalid allows",
        f"the first one: {invalid[0].error} ({invalid[0].invalid})",
    )


def judge_facts(identity: Mapping[str, Any], engine: Mapping[str, Any], fare: str) -> dict[str, Any]:
    """What a report says of a judge, from its identity as a manifest has it and from what the engine says of itself."""
    return {
        "judge": f"{identity.get('model')}, fingerprint {identity.get('fingerprint')}",
        "weights": identity.get("weights"),
        "prompts": identity.get("prompts_origin"),
        "options": {name: value for name, value in (identity.get("options") or {}).items() if value is not None},
        # What the CPU can do is a paragraph of flags; the manifest of kept verdicts has it.
        "engine": {name: value for name, value in engine.items() if value is not None and name != "system"},
        "fare": fare,
    }
