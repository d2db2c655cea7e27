"""Step: which step of a solution is the first wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from fare_cli.asks import Ask, Message, Piece, Reply
from fare_cli.errors import RecordError
from fare_cli.identity import JudgingOptions
from fare_cli.prompt_template import joined
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record, StepRecord, Verdict, invalid_verdict
from fare_cli.tasks.votes import Branch, contract, judgements, missing_asks, probabilities, read_votes, usage


@lru_cache(maxsize=64)
def _branch(steps: int) -> Branch:
    return Branch("single", {f" {index}": str(index) for index in range(-1, steps)})


@dataclass(frozen=True, slots=True)
class Step:
    """Finds the first wrong step: a 0-based index, or -1 where every step is right. Asks are `single/VOTE`."""

    prompt: TaskPrompt
    options: JudgingOptions
    name: ClassVar[str] = "step"

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """The asks that have no reply yet; the verdict once all have. Pure."""
        if not isinstance(record, StepRecord):
            raise TypeError(f"expected a StepRecord, not a {type(record).__name__}")
        branch = _branch(len(record.steps))
        asks = missing_asks([branch], lambda _: self._messages(record), replies, self.options)
        if asks:
            return asks
        try:
            (reading,) = read_votes([branch], replies, self.options)
        except RecordError as error:
            return invalid_verdict(self.name, error, record=record, usage=usage(replies))
        shares = None if reading.log_probabilities is None else probabilities(reading.log_probabilities)
        return Verdict(
            id=record.id,
            task="step",
            status="ok",
            verdict=reading.label,
            step=int(reading.label),
            probabilities=shares,
            confidence=None if shares is None else shares[reading.label],
            rule="single",
            judgments=judgements(reading),
            gold=record.gold,
            correct=None if record.gold is None else int(reading.label) == record.gold,
            usage=usage(replies),
            contract=contract(self.prompt, record),
            record=record.to_json(),
        )

    def _messages(self, record: StepRecord) -> tuple[Message, ...]:
        block = self.prompt.blocks["step"]
        pieces: list[Piece] = []
        for index, text in enumerate(record.steps):
            pieces += [Piece("\n", True)] if index else []
            pieces += block.fill({"index": (Piece(str(index), True),), "step": text})
        return self.prompt.messages(record, self.options.mode, {"steps": joined(pieces)})
