"""Score: how good an answer is by a rubric, or by several named ones that branch from one prefill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from fare_cli.asks import Ask, Message, Piece, Reply
from fare_cli.errors import RecordError
from fare_cli.identity import JudgingOptions
from fare_cli.prompt_template import Filling, joined
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record, ScoreRecord, Verdict, invalid_verdict
from fare_cli.tasks.votes import Branch, Reading, contract, judgements, missing_asks, probabilities, read_votes, usage
from fare_cli.verdicts import CriterionScore

_ONLY = "single"
"""Name of the branch of a record without `criteria`."""


@lru_cache(maxsize=64)
def _labels(low: int, high: int) -> dict[str, str]:
    return {f" {score}": str(score) for score in range(low, high + 1)}


@dataclass(frozen=True, slots=True)
class Score:
    """Scores answers. Asks are `single/VOTE`, or `CRITERION/VOTE` where the record has criteria."""

    prompt: TaskPrompt
    options: JudgingOptions
    name: ClassVar[str] = "score"

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """The asks that have no reply yet; the verdict once all have. Pure."""
        if not isinstance(record, ScoreRecord):
            raise TypeError(f"expected a ScoreRecord, not a {type(record).__name__}")
        labels = _labels(*record.scale)
        branches = [Branch(name, labels) for name in record.criteria or (_ONLY,)]
        asks = missing_asks(branches, lambda name: self._messages(record, name), replies, self.options)
        if asks:
            return asks
        try:
            readings = read_votes(branches, replies, self.options)
        except RecordError as error:
            return invalid_verdict(self.name, error, record=record, usage=usage(replies))
        return self._verdict(record, readings, replies)

    def _messages(self, record: ScoreRecord, name: str) -> tuple[Message, ...]:
        fields: dict[str, Filling] = {
            "answer": record.answer,
            "criterion_block": (),
            "low": (Piece(str(record.scale[0]), True),),
            "high": (Piece(str(record.scale[1]), True),),
        }
        if record.criteria is None:
            fields["rubric"] = self._rubric(record.rubric or "")
        else:
            fields["criterion_block"] = self.prompt.blocks["criterion"].fill({"criterion": name})
            fields["rubric"] = self._rubric(record.criteria[name])
        return self.prompt.messages(record, self.options.mode, fields)

    def _rubric(self, rubric: str | dict[str, str]) -> Filling:
        if isinstance(rubric, str):
            return rubric
        pieces: list[Piece] = []
        for score, description in rubric.items():
            pieces += [Piece("\n", True)] if pieces else []
            pieces += self.prompt.blocks["score"].fill({"score": (Piece(score, True),), "description": description})
        return joined(pieces)

    def _verdict(self, record: ScoreRecord, readings: list[Reading], replies: Mapping[str, Reply]) -> Verdict:
        """Several criteria have no common score, but a common mean: `expected_score`, all weighing the same."""
        scores = {reading.branch.name: _criterion_score(reading) for reading in readings}
        only = next(iter(scores.values())) if len(scores) == 1 else None
        named = record.criteria is not None
        judgments = []
        for reading in readings:
            judgments += judgements(reading, criterion=reading.branch.name if named else None)
        return Verdict(
            id=record.id,
            task="score",
            status="ok",
            verdict=str(only.score) if only else None,
            score=only.score if only else None,
            expected_score=_mean([score.expected_score for score in scores.values()]),
            criteria=scores if named else None,
            probabilities=only.probabilities if only else None,
            confidence=only.probabilities[str(only.score)] if only and only.probabilities else None,
            rule="single" if only else "mean_of_criteria",
            judgments=judgments,
            gold=record.gold,
            correct=_correct(record.gold, only),
            usage=usage(replies),
            contract=contract(self.prompt, record),
            record=record.to_json(),
        )


def _mean(expected: list[float | None]) -> float | None:
    """None where one of them is not known."""
    known = [one for one in expected if one is not None]
    return sum(known) / len(known) if len(known) == len(expected) else None


def _criterion_score(reading: Reading) -> CriterionScore:
    if reading.log_probabilities is None:
        return CriterionScore(score=int(reading.label), expected_score=None, probabilities=None)
    shares = probabilities(reading.log_probabilities)
    expected = sum(int(label) * share for label, share in shares.items())
    return CriterionScore(score=int(reading.label), expected_score=expected, probabilities=shares)


def _correct(gold: float | None, score: CriterionScore | None) -> bool | None:
    """None without gold, for fractional gold (a mean over people), and where several criteria have no common score."""
    if gold is None or score is None or gold != int(gold):
        return None
    return score.score == gold
