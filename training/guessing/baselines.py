"""All baselines of one task: learnt from its training records, tried on test records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fare_cli.records import Record
from training.guessing.features import Features, lengths, words
from training.guessing.fitting import Guess, fit, guess_pair
from training.guessing.likelihood import Likelihoods, likelihood_rows
from training.guessing.rules import contains_reference, majority, numbers_repeat

Guessing = Callable[[Sequence[Record]], list[Guess]]


class Tried(NamedTuple):
    """What a baseline says of records."""

    baseline: str
    records: Sequence[Record]
    guesses: Sequence[Guess]


class Baselines(NamedTuple):
    """What was learnt for one task, by name and in the order of the report; `likelihood` is None where it was not asked
    for. `unfit` are those for which the training records did not suffice."""

    known: Mapping[str, Guessing]
    likelihood: Guessing | None
    unfit: Sequence[str]

    def tried(self, records: Sequence[Record], likely: Sequence[Record]) -> list[Tried]:
        """The guesses of each baseline; that by likelihood for the records `likely` alone."""
        found = [Tried(name, records, guessing(records)) for name, guessing in self.known.items()]
        if self.likelihood is not None and likely:
            found.append(Tried("likelihood", likely, self.likelihood(likely)))
        return found


def learn(
    task: str, train: Sequence[Record], likely: Sequence[Record] = (), found: Likelihoods | None = None
) -> Baselines:
    """The baselines of a task; without training records those that need none.

    `found` has likelihoods, None where nobody asked for them; `likely` are the training records that are in it.
    """
    known: dict[str, Guessing] = {}
    learnt = {"length": _regression(train, lengths), "bag of words": _regression(train, words)}
    if train:
        most_frequent = majority(train)
        known["majority label"] = lambda records: [most_frequent] * len(records)
    known |= {name: guessing for name, guessing in learnt.items() if guessing is not None}
    if task == "verify-reference":
        known["contains the reference"] = lambda records: list(map(contains_reference, records))
    if task == "pairwise":
        known["numbers repeat"] = lambda records: list(map(numbers_repeat, records))
    if found is not None:
        learnt["likelihood"] = _likelier(found) if task == "pairwise" else _by_likelihood(likely, found)
    unfit = [name for name, guessing in learnt.items() if guessing is None]
    return Baselines(known, learnt.get("likelihood"), unfit)


def _regression(train: Sequence[Record], features: Callable[[Sequence[Record]], Features]) -> Guessing | None:
    if not train:
        return None
    rows = features(train)
    guesser = fit(train, rows(train))
    return None if guesser is None else lambda records: guesser(records, rows(records))


def _by_likelihood(train: Sequence[Record], found: Likelihoods) -> Guessing | None:
    """A threshold on the likelihood, and which side of it is right."""
    return _regression(train, lambda _: lambda records: likelihood_rows(records, found))


def _likelier(found: Likelihoods) -> Guessing:
    """The likelier answer, without any fit."""

    def guesses(records: Sequence[Record]) -> list[Guess]:
        rows = likelihood_rows(records, found)
        return [guess_pair(record, float(more)) for record, (more,) in zip(records, rows, strict=True)]

    return guesses
