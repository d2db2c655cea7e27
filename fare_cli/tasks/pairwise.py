"""Pairwise: which of two answers is better, asked in one order or in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from fare_cli.asks import Ask, Message, Reply
from fare_cli.errors import RecordError
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import TaskPrompt
from fare_cli.records import PairwiseRecord, Record, Verdict, invalid_verdict
from fare_cli.tasks.combine import Combined, combine_labels, combine_orders
from fare_cli.tasks.votes import Branch, Reading, contract, judgements, missing_asks, read_votes, usage

_LABELS = {" [A]": "A", " [B]": "B"}
_MEANS: dict[str, dict[str, str]] = {"ab": {"A": "A", "B": "B"}, "ba": {"A": "B", "B": "A"}}
_ORDERS: dict[str, tuple[Literal["ab", "ba"], ...]] = {"both": ("ab", "ba"), "ab": ("ab",), "ba": ("ba",)}


@dataclass(frozen=True, slots=True)
class Pairwise:
    """Judges pairs. Asks are `ab/VOTE` and `ba/VOTE`; in `ba` answer B is shown as assistant A's."""

    prompt: TaskPrompt
    options: JudgingOptions
    name: ClassVar[str] = "pairwise"

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """The asks that have no reply yet; the verdict once all have. Pure."""
        if not isinstance(record, PairwiseRecord):
            raise TypeError(f"expected a PairwiseRecord, not a {type(record).__name__}")
        branches = [Branch(order, _LABELS) for order in _ORDERS[self.options.order]]
        asks = missing_asks(branches, lambda order: self._messages(record, order), replies, self.options)
        if asks:
            return asks
        try:
            readings = read_votes(branches, replies, self.options)
            combined = self._combined(readings)
        except RecordError as error:
            return invalid_verdict(self.name, error, record=record, usage=usage(replies))
        return self._verdict(record, readings, combined, replies)

    def _messages(self, record: PairwiseRecord, order: str) -> tuple[Message, ...]:
        answers = {"ab": (record.answer_a, record.answer_b), "ba": (record.answer_b, record.answer_a)}[order]
        return self.prompt.messages(record, self.options.mode, {"answer_a": answers[0], "answer_b": answers[1]})

    def _combined(self, readings: list[Reading]) -> Combined:
        unswapped = [
            {label: reading.log_probabilities[said] for said, label in _MEANS[reading.branch.name].items()}
            for reading in readings
            if reading.log_probabilities is not None
        ]
        if len(unswapped) == len(readings):
            return combine_orders(unswapped, self.options)
        return combine_labels([_MEANS[reading.branch.name][reading.label] for reading in readings], self.options)

    def _verdict(
        self, record: PairwiseRecord, readings: list[Reading], combined: Combined, replies: Mapping[str, Reply]
    ) -> Verdict:
        shares = combined.probabilities
        judgments = []
        for order, reading in zip(_ORDERS[self.options.order], readings, strict=True):
            judgments += judgements(reading, order=order, means=_MEANS[order])
        return Verdict(
            id=record.id,
            task="pairwise",
            status="ok",
            verdict=combined.verdict,
            probabilities=None if shares is None else {label: shares[label] for label in sorted(shares)},
            confidence=combined.confidence,
            consistent=combined.consistent,
            rule=combined.rule,
            judgments=judgments,
            gold=record.gold,
            correct=self._correct(record.gold, combined.verdict),
            usage=usage(replies),
            contract="own" if self.options.tie else contract(self.prompt, record),
            record=record.to_json(),
        )

    def _correct(self, gold: str | None, verdict: str | None) -> bool | None:
        """None without gold, and for a tie in gold where the judge cannot say tie. No verdict counts as wrong."""
        if gold is None or (gold == "tie" and not self.options.tie):
            return None
        return verdict == gold
