"""The asks of one branch of a record (an order, a criterion), and how their replies become one reading.

Named rule of all tasks: the votes of a branch are averaged, probability by probability; the label is the most probable.
Where a vote comes without probabilities there are none, and the label is that of most votes.
With `votes="auto"` a branch gets votes until their majority is settled (`tasks.settling`) and is that label, or there
are `MOST_VOTES`.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from fare_cli.asks import Ask, Direct, Judgment, Message, Reasoning, Reply, Sampling, Script
from fare_cli.errors import RecordError
from fare_cli.identity import MOST_VOTES, SETTLING_ERROR, JudgingOptions
from fare_cli.prompting import Contract, TaskPrompt
from fare_cli.records import Judgement, Record, Usage
from fare_cli.tasks.settling import votes_owed

MARKER = "Verdict:"
_FLOOR = -100.0
"""Least log-probability (nats): keeps averages of logs finite where a probability is so small that it became 0."""


class Branch(NamedTuple):
    """One order, one criterion, or the only way to ask. `labels`: as the script has them -> as verdicts name them."""

    name: str
    labels: Mapping[str, str]


class Vote(NamedTuple):
    """A reply, the label it gave, and normalised log-probabilities (nats), None where the backend knows none."""

    reply: Reply
    label: str
    log_probabilities: dict[str, float] | None


class Reading(NamedTuple):
    """What the votes of a branch say together: a label, and normalised log-probabilities (nats) over the labels'
    names, None where those of a vote are not known. `votes` are in order."""

    branch: Branch
    label: str
    log_probabilities: dict[str, float] | None
    votes: tuple[Vote, ...]


def most_probable(values: Mapping[str, float]) -> str:
    """The label of the largest value, the first of several equal ones."""
    return max(values, key=values.__getitem__)


def normalised(log_values: Mapping[str, float]) -> dict[str, float]:
    """The same log-probabilities, their probabilities summing to one."""
    largest = max(log_values.values())
    log_sum = largest + math.log(sum(math.exp(value - largest) for value in log_values.values()))
    return {label: value - log_sum for label, value in log_values.items()}


def probabilities(log_values: Mapping[str, float]) -> dict[str, float]:
    return {label: math.exp(value) for label, value in log_values.items()}


def missing_asks(
    branches: Sequence[Branch],
    messages: Callable[[str], tuple[Message, ...]],
    replies: Mapping[str, Reply],
    options: JudgingOptions,
) -> list[Ask]:
    """The asks that have no reply yet, named `branch/vote`; `messages` makes those of a branch by its name."""
    asks = []
    for branch in branches:
        wanted = _votes_wanted(branch, replies, options)
        votes = [vote for vote in range(wanted) if f"{branch.name}/{vote}" not in replies]
        if votes:
            shared = messages(branch.name)
            asks += [_ask(branch, vote, shared, options) for vote in votes]
    return asks


def read_votes(branches: Sequence[Branch], replies: Mapping[str, Reply], options: JudgingOptions) -> list[Reading]:
    """The reading of each branch. Raises RecordError with kind and message of the first reply that holds no answer."""
    readings = []
    for branch in branches:
        answers = [replies[f"{branch.name}/{vote}"] for vote in range(_votes_wanted(branch, replies, options))]
        votes = tuple(_read(reply, branch.labels) for reply in answers)
        logs = _known(votes)
        together = None if logs is None else _average(logs)
        label = most_probable(together or Counter(vote.label for vote in votes))
        readings.append(Reading(branch, label, together, votes))
    return readings


def _votes_wanted(branch: Branch, replies: Mapping[str, Reply], options: JudgingOptions) -> int:
    """How many votes a branch needs, as far as the replies tell by now.

    So many more are asked at once as could settle the majority at the least: none of them can turn out needless.
    """
    if options.votes != "auto":
        return options.votes
    counts = dict.fromkeys(branch.labels.values(), 0)
    said: list[Vote] = []
    while more := _more_votes(counts, said):
        wanted = len(said) + more
        for vote in range(len(said), wanted):
            reply = replies.get(f"{branch.name}/{vote}")
            try:
                one = None if reply is None else _read(reply, branch.labels)
            except RecordError:
                one = None  # `read_votes` says what is wrong with it
            if one is None:
                return wanted
            said.append(one)
            counts[one.label] += 1
    return len(said)


def _more_votes(counts: Mapping[str, int], said: Sequence[Vote]) -> int:
    more = votes_owed(list(counts.values()), most=MOST_VOTES, error=SETTLING_ERROR)
    logs = _known(said)
    if more == 0 and len(said) < MOST_VOTES and logs and most_probable(_average(logs)) != most_probable(counts):
        return 1
    return more


def _known(votes: Sequence[Vote]) -> list[dict[str, float]] | None:
    """The log-probabilities of all votes; None where one has none."""
    logs = [vote.log_probabilities for vote in votes if vote.log_probabilities is not None]
    return logs if len(logs) == len(votes) else None


def _ask(branch: Branch, vote: int, messages: tuple[Message, ...], options: JudgingOptions) -> Ask:
    labels = tuple(branch.labels)
    reasoning = None if options.reasoning == "off" else Reasoning(options.reasoning, options.thinking_tokens)
    script: Script = Judgment(MARKER, labels, options.max_tokens, reasoning)
    if options.mode == "direct":
        script = Direct(MARKER, labels, reasoning)
    sampling = Sampling(options.temperature, _seed(options, vote, messages)) if options.generates else Sampling()
    return Ask(f"{branch.name}/{vote}", messages, script, sampling)


def _seed(options: JudgingOptions, vote: int, messages: tuple[Message, ...]) -> int:
    """A seed of its own for every vote on every prompt: another --seed shares no sample with this one."""
    if options.temperature == 0:
        return 0
    text = "\0".join([str(options.seed), str(vote), *(message.text for message in messages)])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")


def _read(reply: Reply, labels: Mapping[str, str]) -> Vote:
    """What a reply says by the labels' names; log-probabilities are never below the floor."""
    if reply.error is not None:
        raise RecordError(reply.error.kind, reply.error.message)
    given = reply.log_probabilities
    if given is None and reply.label is not None and reply.label in labels:
        return Vote(reply, labels[reply.label], None)
    if given is None or given.keys() != labels.keys():
        raise RecordError("bad_reply", "the reply holds no probabilities of the labels that were asked for")
    if any(math.isnan(value) for value in given.values()):
        raise RecordError("nan", "a probability of the reply is not a number")
    logs = normalised({name: max(given[label], _FLOOR) for label, name in labels.items()})
    return Vote(reply, most_probable(logs), logs)


def _average(votes: Sequence[dict[str, float]]) -> dict[str, float]:
    if len(votes) == 1:
        return votes[0]
    means = {label: sum(math.exp(vote[label]) for vote in votes) / len(votes) for label in votes[0]}
    return normalised({label: max(math.log(mean), _FLOOR) if mean > 0 else _FLOOR for label, mean in means.items()})


def judgements(
    reading: Reading,
    *,
    order: Literal["ab", "ba"] | None = None,
    criterion: str | None = None,
    means: Mapping[str, str] | None = None,
) -> list[Judgement]:
    """One entry for each vote. `means` undoes the swap of an order; without it a label means what it says."""
    entries = []
    for vote, (reply, label, logs) in enumerate(reading.votes):
        others = [value for name, value in (logs or {}).items() if name != label]
        entries.append(
            Judgement(
                order=order,
                vote=vote,
                criterion=criterion,
                label=label,
                means=means[label] if means else label,
                probabilities=None if logs is None else probabilities(logs),
                margin=logs[label] - max(others) if logs is not None and others else None,
                reasoning=reply.reasoning or None,
                reasoning_truncated=reply.reasoning_truncated,
                critique=_critique(reply),
                forced=reply.forced,
                truncated=reply.truncated,
            )
        )
    return entries


def _critique(reply: Reply) -> str | None:
    """What was written before the verdict that counts; None where nothing was asked but the label."""
    if reply.read_at is not None:
        return reply.text[: max(0, reply.read_at - len(MARKER))].rstrip()
    return reply.text or None


def usage(replies: Mapping[str, Reply]) -> Usage:
    return Usage(
        prompt_tokens=sum(reply.prompt_tokens for reply in replies.values()),
        generated_tokens=sum(reply.generated_tokens for reply in replies.values()),
    )


def contract(prompt: TaskPrompt, record: Record) -> Contract:
    """`own` where context or reference leave the layout that FARE was trained with, else what the prompt says."""
    return prompt.contract if record.context is None and record.reference is None else "own"
