"""How likely a model finds the answers itself: mean log-probabilities of their tokens, given the question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from fare_cli.asks import Ask, Backend, Given, Message, Piece, Reply
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.records import Record
from fare_cli.run.journal import Journal
from fare_cli.run.manifest import journal_path
from training.asking import answered
from training.guessing.features import Matrix, answers_of

_SAID_EVERY = 100

Likelihoods = Mapping[str, Sequence[float]]
"""By `Record.content_id` the mean log-probability in nats a token of each of its answers, or of each step given those
before it."""


class Model(Protocol):
    """Who finds texts likely: `fare_cli.judge.Judge`, or any backend with a name and what identifies its weights."""

    @property
    def name(self) -> str: ...
    def identity(self, task: str) -> JudgeIdentity: ...
    def backend(self) -> Backend: ...


def likelihoods(
    model: Model, records: Sequence[Record], output: Path, *, say: Callable[[str], None], force: bool = False
) -> dict[str, list[float]]:
    """The likelihoods of records; those that the model cannot take (too long for it) are not in it.

    The question, with its document, is the user's turn, the answer the model's own; the judge's prompt has no part in
    it. Replies lie in a journal beside `output`.
    """
    unique = list({record.content_id(): record for record in records}.values())
    groups = (_asks(record) for record in unique)
    identity = _identity(model)
    found = {}
    with Journal.open(journal_path(output), identity, force=force) as journal:
        replies = answered(groups, model.backend, journal, identity)
        for number, (record, said) in enumerate(zip(unique, replies, strict=True), start=1):
            values = _means(record, said)
            if values is not None:
                found[record.content_id()] = values
            if number % _SAID_EVERY == 0:
                say(f"{model.name}: likelihood of {number} of {len(unique)} records")
    return found


def likelihood_rows(records: Sequence[Record], found: Likelihoods) -> Matrix:
    """The records, all of them in `found`, as rows of one number; of a pair it is the difference."""
    import numpy as np

    values = [found[record.content_id()] for record in records]
    if records and records[0].task == "pairwise":
        return np.array([[first - second] for first, second in values])
    return np.array([[value] for of_record in values for value in of_record])


def _asks(record: Record) -> list[Ask]:
    """One for each answer; for a solution one for each of its beginnings, whose differences are the steps."""
    question = [text for text in (record.context, record.question) if text]
    messages = (Message("user", (Piece("\n\n".join(question), False),)),)
    texts = answers_of(record)
    if record.task == "step":
        texts = ["\n".join(texts[: number + 1]) for number in range(len(texts))]
    return [Ask(str(number), messages, Given(text)) for number, text in enumerate(texts)]


def _means(record: Record, replies: Sequence[Reply]) -> list[float] | None:
    sums = [(reply.log_probability, reply.given_tokens) for reply in replies if reply.log_probability is not None]
    if len(sums) < len(replies):
        return None
    befores = [(0.0, 0), *sums[:-1]] if record.task == "step" else [(0.0, 0)] * len(sums)
    # Where a step's tokens are joined with the one before, its own may be none.
    return [
        (total - before) / max(tokens - earlier, 1)
        for (total, tokens), (before, earlier) in zip(sums, befores, strict=True)
    ]


def _identity(model: Model) -> JudgeIdentity:
    """Whose replies the journal holds: those of weights without prompts."""
    weights = model.identity("verify").weights
    return JudgeIdentity("likelihood", model.name, weights, prompts="", prompts_origin="", options=JudgingOptions())
