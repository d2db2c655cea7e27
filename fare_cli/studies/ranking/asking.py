"""Answers judged for a ranking: pairs in adaptive rounds, or every answer by itself, with kept replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fare_cli.errors import InputError, InvalidRecordsError
from fare_cli.rank.answers import (
    Answer,
    Material,
    Question,
    known_without_asking,
    pairs_of,
    system_names,
)
from fare_cli.rank.best import By, Chosen, Standing, choose, standing_of, tournaments
from fare_cli.rank.contests import Pair
from fare_cli.rank.davidson import Comparison
from fare_cli.rank.pairing import Asked, RoundsSoFar, ask_in_rounds
from fare_cli.records import Record
from fare_cli.run.reader import InputPlan
from fare_cli.studies.judging import SILENT, StudiedJudge, Talk, judge_all
from fare_cli.verdicts import Verdict


class Compared(NamedTuple):
    """Pairs and what was asked of them: enough for a ranking. `known` are comparisons that needed no judge."""

    systems: tuple[str, ...]
    known: tuple[Comparison, ...]
    asked: Asked
    pairs: int


class Valued(NamedTuple):
    """Every answer with the verdict on it, question by question."""

    questions: tuple[Question, ...]
    verdicts: tuple[tuple[Verdict, ...], ...]

    def all(self) -> list[tuple[Answer, Verdict]]:
        """All answers with their verdicts."""
        return [
            pair
            for question, verdicts in zip(self.questions, self.verdicts, strict=True)
            for pair in zip(question.answers, verdicts, strict=True)
        ]


@dataclass(slots=True)
class Asking:
    """A judge that is asked in several rounds, its replies kept between them. `verdicts` are all so far.

    `again` asks anew what an earlier study asked; it holds for the first round, whose replies the others add to.
    """

    judge: StudiedJudge
    again: bool = False
    talk: Talk = SILENT
    verdicts: list[Verdict] = field(default_factory=list)
    engine: dict[str, Any] = field(default_factory=dict)
    reused: int = 0
    asked: int = 0

    def ask(self, task: str, records: Sequence[Record]) -> list[Verdict]:
        """One verdict for each record, in order."""
        if not records:
            return []
        first = not self.verdicts
        talk = self.talk if first else self.talk._replace(turn=lambda _name: None)
        plan = InputPlan(task=task, files=(), records=tuple(records))
        found = judge_all(self.judge, plan, again=self.again and first, whole=True, talk=talk)
        self.verdicts += found.verdicts
        self.engine |= found.engine
        self.reused += found.outcome.summary.asking.reused
        self.asked += found.outcome.summary.asking.asked
        return list(found.verdicts)


def compare(
    asking: Asking,
    material: Material,
    *,
    max_pairs: int | None = None,
    seed: int = 0,
    say: Callable[[RoundsSoFar], None] = lambda _so_far: None,
) -> Compared:
    """Asks pairs of a material until its systems are told apart, see `ask_in_rounds`."""
    systems = system_names(material)
    pairs = pairs_of(material, seed=seed)
    known = known_without_asking(material)
    if len(systems) < 2:
        raise InputError(f"there is nothing to rank: {', '.join(systems) or 'no system'}", "answers of two systems")

    def ask(chosen: Sequence[Pair]) -> list[Verdict]:
        return asking.ask("pairwise", [pair.record() for pair in chosen])

    asked = ask_in_rounds(systems, pairs, ask, known=known, max_pairs=max_pairs, seed=seed, say=say)
    return Compared(tuple(systems), tuple(known), asked, len(pairs))


def value(asking: Asking, material: Material, task: str) -> Valued:
    """Every answer judged by itself: `verify` or `score`."""
    verdicts = iter(asking.ask(task, [answer.record for answer in material.answers]))
    return Valued(
        tuple(material.questions.values()),
        tuple(tuple(next(verdicts) for _ in question.answers) for question in material.questions.values()),
    )


def pick(
    asking: Asking, material: Material, by: By, *, seed: int = 0
) -> tuple[list[Chosen], list[list[Standing | None]]]:
    """The best answer to every question, and the standings of all answers."""
    questions = list(material.questions.values())
    if by == "pairwise":
        standings = tournaments(questions, lambda records: asking.ask("pairwise", records), seed=seed)
    else:
        standings = standings_of(value(asking, material, by))
    return [choose(question, found) for question, found in zip(questions, standings, strict=True)], standings


def standings_of(valued: Valued) -> list[list[Standing | None]]:
    """The standing of every answer that was judged by itself, question by question."""
    return [[standing_of(verdict) for verdict in verdicts] for verdicts in valued.verdicts]


def check_usable(usable: Sequence[object], invalid: Sequence[str]) -> None:
    """Raises InvalidRecordsError where nothing of an input can be used; `invalid` says why, line by line."""
    if invalid and not usable:
        raise InvalidRecordsError(f"none of {len(invalid)} records can be ranked", f"the first one: {invalid[0]}")


def invalid_problem(verdicts: Sequence[Verdict], invalid: Sequence[str], limit: float) -> InvalidRecordsError | None:
    """The error for more records that could not be read or judged than the share `limit`, or for none that could."""
    broken = [*invalid]
    for verdict in verdicts:
        if verdict.status != "ok" and verdict.error is not None:
            broken.append(f"{verdict.id}: {verdict.error.message} ({verdict.error.kind})")
    total = len(verdicts) + len(invalid)
    if len(broken) <= limit * total and (len(broken) < total or not total):
        return None
    return InvalidRecordsError(
        f"{len(broken)} of {total} records could not be used, more than --max-invalid allows",
        f"the first one: {broken[0]}",
    )
