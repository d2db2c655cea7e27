"""The best of the answers to a question: by the judge's value of each, or by a tournament between them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from fare_cli.rank.answers import Answer, Question, pair_record, shown_first
from fare_cli.records import PairwiseRecord
from fare_cli.verdicts import Verdict

By = Literal["verify", "score", "pairwise"]
AskPairs = Callable[[Sequence[PairwiseRecord]], Sequence[Verdict]]

#: Up to so many different answers all pairs are asked (10 of 5); more play a knockout, n - 1 comparisons of n.
ROUND_ROBIN = 5


class Standing(NamedTuple):
    """How good an answer was found; larger is better. `rounds` says how far it came in a knockout, 0 elsewhere.
    `value` is the probability that it is right (verify), its expected score (score), or its mean probability of winning
    a comparison (pairwise)."""

    rounds: int
    value: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """The best answer to a question, and the next best with another text.

    `status` is `invalid` where no answer could be judged: then the first one stands in, without a standing. There is no
    runner-up where all answers that could be judged have one text.
    """

    question: Question
    answer: Answer
    standing: Standing | None
    status: Literal["ok", "invalid"]
    runner_up: Answer | None
    runner_up_standing: Standing | None

    def to_json(self, by: By) -> dict[str, Any]:
        """A line for the next tool: the answer as a record of its own (question, answer, group, system, reference,
        gold), and how it was chosen."""
        record = self.answer.record.to_json()
        key = "expected_score" if by == "score" else "probability"
        next_best = self.runner_up
        runner_up = next_best and {
            "id": next_best.record.id,
            "system": next_best.system,
            "answer": next_best.text,
            key: _rounded(self.runner_up_standing),
        }
        alone = by == "pairwise" and next_best is None
        return {
            **record,
            "group": self.question.key if record.get("group") is None else record["group"],
            "status": self.status,
            "by": by,
            key: None if alone else _rounded(self.standing),
            "n": len(self.question.answers),
            "runner_up": runner_up,
        }


def choose(question: Question, standings: Sequence[Standing | None]) -> Chosen:
    """The answer with the highest standing, of equal ones the first; None stands for an answer that was not judged."""
    judged = [(standing, answer) for standing, answer in zip(standings, question.answers, strict=True) if standing]
    if not judged:
        return Chosen(question, question.answers[0], None, "invalid", None, None)
    ranked = sorted(judged, key=lambda pair: pair[0], reverse=True)
    best, answer = ranked[0]
    second = next((pair for pair in ranked if pair[1].text != answer.text), (None, None))
    return Chosen(question, answer, best, "ok", second[1], second[0])


def standing_of(verdict: Verdict) -> Standing | None:
    """What a verify or score verdict says of its answer; None where it is invalid."""
    if verdict.status != "ok":
        return None
    if verdict.task == "score":
        points = verdict.points()
        return None if points is None else Standing(0, points)
    return Standing(0, verdict.shares().get("yes", 0.0))


def tournaments(questions: Sequence[Question], ask: AskPairs, *, seed: int = 0) -> list[list[Standing | None]]:
    """A standing for each answer to each question, from comparisons of the different texts.

    Up to 5 texts meet each other once; by their mean probability of winning they are in the order that a Bradley-Terry
    fit of a full table has. More play a knockout, drawn by `seed`. The matches of all questions are asked together,
    round by round. A question with one text has nothing to compare; its answers stand at 0.5.
    """
    tables = [_Table(question, seed) for question in questions]
    while True:
        owed = [(table, match) for table in tables for match in table.owed()]
        if not owed:
            return [table.standings() for table in tables]
        verdicts = ask([table.record(match) for table, match in owed])
        for (table, match), verdict in zip(owed, verdicts, strict=True):
            table.note(match, verdict)


class _Table:
    """The tournament of one question. Players are its different texts by their indices."""

    def __init__(self, question: Question, seed: int) -> None:
        self._question, self._seed = question, seed
        self._players = [same[0] for same in question.texts().values()]
        self._chances: list[list[float]] = [[] for _ in self._players]
        self._rounds = [0] * len(self._players)
        self._knockout = len(self._players) > ROUND_ROBIN
        self._alive = list(range(len(self._players)))
        if self._knockout:
            random.Random(f"{seed}/{question.key}").shuffle(self._alive)
        self._round = 0

    def owed(self) -> list[tuple[int, int]]:
        """The matches of the next round; none when it is over."""
        self._round += 1
        if self._knockout:
            return list(zip(self._alive[::2], self._alive[1::2], strict=False))
        return list(itertools.combinations(self._alive, 2)) if self._round == 1 else []

    def record(self, match: tuple[int, int]) -> PairwiseRecord:
        one, other = (self._players[index] for index in match)
        return pair_record(self._question.key, *((one, other) if self._first(match) else (other, one)))

    def note(self, match: tuple[int, int], verdict: Verdict) -> None:
        """Takes a result. Of a match that could not be judged the first goes on, with no chance noted for either."""
        one, other = match
        winner = one
        if verdict.status == "ok" and (shares := verdict.shares()):
            of_a = shares.get("A", 0.0) + shares.get("tie", 0.0) / 2
            of_one = of_a if self._first(match) else 1 - of_a
            self._chances[one].append(of_one)
            self._chances[other].append(1 - of_one)
            winner = one if of_one >= 0.5 else other
        if self._knockout:
            # Whoever had no opponent in a round came as far as those who won theirs.
            loser = other if winner == one else one
            self._rounds[loser], self._rounds[winner] = self._round, self._round + 1
            self._alive.remove(loser)

    def standings(self) -> list[Standing | None]:
        """One for each answer to the question; answers of the same text have the same."""
        by_text = {player.text: self._standing(index) for index, player in enumerate(self._players)}
        return [by_text[answer.text] for answer in self._question.answers]

    def _standing(self, index: int) -> Standing | None:
        if len(self._players) == 1:
            return Standing(0, 0.5)
        chances = self._chances[index]
        return Standing(self._rounds[index], sum(chances) / len(chances)) if chances else None

    def _first(self, match: tuple[int, int]) -> bool:
        return shown_first(self._players[match[0]], self._players[match[1]], self._seed)


def _rounded(standing: Standing | None) -> float | None:
    return None if standing is None else round(standing.value, 6)
