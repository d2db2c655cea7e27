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
            values = _means(said)
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
    """One for each answer; one for a solution, whose steps are lines."""
    question = [text for text in (record.context, record.question) if text]
    messages = (Message("user", (Piece("\n\n".join(question), False),)),)
    texts = answers_of(record)
    scripts = (
        [Given(tuple(f"{step}\n" for step in texts))] if record.task == "step" else [Given((one,)) for one in texts]
    )
    return [Ask(str(number), messages, script) for number, script in enumerate(scripts)]


def _means(replies: Sequence[Reply]) -> list[float] | None:
    if any(reply.given is None for reply in replies):
        return None
    return [part.log_probability / max(part.tokens, 1) for reply in replies for part in reply.given or ()]


def _identity(model: Model) -> JudgeIdentity:
    """Whose replies the journal holds: those of weights without prompts."""
    weights = model.identity("verify").weights
    return JudgeIdentity("likelihood", model.name, weights, prompts="", prompts_origin="", options=JudgingOptions())
