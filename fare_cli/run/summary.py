"""What a run amounted to: counts of verdicts, tokens and reuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fare_cli.verdicts import Verdict


@dataclass(slots=True)
class Asking:
    """What was asked of the model in this run, and what the journal answered. Tokens are those of this run's asks."""

    asked: int = 0
    failed: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0

    def merge(self, other: Asking) -> None:
        """Adds what another run asked."""
        _merge(self, other)


@dataclass(slots=True)
class Counts:
    """Verdicts counted. `invalid` is apart from everything else: the counts below it are of verdicts that are ok.

    `consistent` and `inconsistent` are of pairs asked in both orders. `scored` verdicts have a gold label that the
    judge can be right or wrong about; `correct` of them are right. `inconsistent_scored` counts those of them that are
    wrong only because the two orders did not agree, so that accuracy can be given with and without them. `stages` says
    which stage of a cascade decided how often.
    """

    total: int = 0
    ok: int = 0
    invalid: int = 0
    undecided: int = 0
    ties: int = 0
    consistent: int = 0
    inconsistent: int = 0
    with_gold: int = 0
    scored: int = 0
    correct: int = 0
    inconsistent_scored: int = 0
    with_reference: int = 0
    without_reference: int = 0
    own_contract: int = 0
    forced: int = 0
    truncated: int = 0
    reasoning_truncated: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    invalid_kinds: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        """Counts one verdict."""
        self.total += 1
        self.prompt_tokens += verdict.usage.prompt_tokens
        self.generated_tokens += verdict.usage.generated_tokens
        if verdict.status == "invalid":
            self.invalid += 1
            self.invalid_kinds[verdict.error.kind if verdict.error else "unknown"] += 1
            return
        self.ok += 1
        several_scores = verdict.criteria is not None
        self.undecided += verdict.verdict is None and not several_scores
        self.ties += verdict.verdict == "tie"
        self.consistent += verdict.consistent is True
        self.inconsistent += verdict.consistent is False
        self.own_contract += verdict.contract == "own"
        self.forced += any(judgment.forced for judgment in verdict.judgments)
        self.truncated += any(judgment.truncated for judgment in verdict.judgments)
        self.reasoning_truncated += any(judgment.reasoning_truncated for judgment in verdict.judgments)
        has_reference = (verdict.record or {}).get("reference") is not None
        self.with_reference += has_reference
        self.without_reference += not has_reference
        if verdict.cascade is not None:
            self.stages[verdict.cascade.decided_by] += 1
        self._add_gold(verdict)

    def _add_gold(self, verdict: Verdict) -> None:
        self.with_gold += verdict.gold is not None
        if verdict.correct is not None:
            self.scored += 1
            self.correct += verdict.correct
            self.inconsistent_scored += verdict.verdict is None and verdict.consistent is False

    def merge(self, other: Counts) -> None:
        """Adds the counts of other verdicts."""
        _merge(self, other)

    @property
    def consistency(self) -> float | None:
        """Share of pairs whose two orders said the same; None without any."""
        pairs = self.consistent + self.inconsistent
        return self.consistent / pairs if pairs else None

    @property
    def accuracy(self) -> float | None:
        """Share of scored verdicts that are right, an inconsistent pair being wrong; None without any."""
        return self.correct / self.scored if self.scored else None

    @property
    def accuracy_decided(self) -> float | None:
        """The same among those where the orders agreed; None without any."""
        decided = self.scored - self.inconsistent_scored
        return self.correct / decided if decided else None

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return {
            **values,
            "invalid_kinds": dict(sorted(self.invalid_kinds.items())),
            "stages": dict(sorted(self.stages.items())),
            "consistency": self.consistency,
            "accuracy": self.accuracy,
            "accuracy_decided": self.accuracy_decided,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Counts:
        """The counts that `to_json` gave."""
        known: dict[str, Any] = {name: values[name] for name in cls.__slots__ if name in values}
        known |= {name: Counter(value) for name, value in known.items() if isinstance(value, Mapping)}
        return cls(**known)


def _merge(into: Any, other: Any) -> None:
    for name in into.__slots__:
        setattr(into, name, getattr(into, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a run in numbers. `judged_s` is the time from the first record on, without loading the model."""

    counts: Counts
    asking: Asking
    seconds: float
    judged_s: float

    @property
    def records_per_minute(self) -> float:
        return 60 * self.counts.total / max(self.judged_s, 1e-9)
