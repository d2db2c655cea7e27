"""Verify: is an answer right, with a reference answer or without (two prompts)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from fare_cli.asks import Ask, Message, Reply
from fare_cli.errors import RecordError
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record, Verdict, VerifyRecord, invalid_verdict
from fare_cli.tasks.votes import Branch, contract, judgements, missing_asks, probabilities, read_votes, usage

_BRANCH = Branch("single", {" yes": "yes", " no": "no"})


@dataclass(frozen=True, slots=True)
class Verify:
    """Judges answers as right (`yes`) or wrong (`no`). Asks are `single/VOTE`."""

    prompt: TaskPrompt
    options: JudgingOptions
    name: ClassVar[str] = "verify"

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """The asks that have no reply yet; the verdict once all have. Pure."""
        if not isinstance(record, VerifyRecord):
            raise TypeError(f"expected a VerifyRecord, not a {type(record).__name__}")

        def messages(_: str) -> tuple[Message, ...]:
            return self.prompt.messages(record, self.options.mode, {"answer": record.answer})

        asks = missing_asks([_BRANCH], messages, replies, self.options)
        if asks:
            return asks
        try:
            (reading,) = read_votes([_BRANCH], replies, self.options)
        except RecordError as error:
            return invalid_verdict(self.name, error, record=record, usage=usage(replies))
        shares = None if reading.log_probabilities is None else probabilities(reading.log_probabilities)
        return Verdict(
            id=record.id,
            task="verify",
            status="ok",
            verdict=reading.label,
            probabilities=shares,
            confidence=None if shares is None else shares[reading.label],
            rule="single",
            judgments=judgements(reading),
            gold=record.gold,
            correct=None if record.gold is None else reading.label == record.gold,
            usage=usage(replies),
            contract=contract(self.prompt, record),
            record=record.to_json(),
        )
