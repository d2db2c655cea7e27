"""A file of pairs judged three ways: as pairs, and each answer by itself, by yes or no and by score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from fare_cli.records import PairwiseRecord
from fare_cli.run.reader import InputPlan, read_items
from fare_cli.studies.evaluating.headline import HEADLINES
from fare_cli.studies.evaluating.sources import Source
from fare_cli.studies.evaluating.verdict_set import Protocol

#: What answers are scored by where a record has no rubric: the same question as a pair's, whose answer is better.
GENERAL_RUBRIC = {
    "1": "The answer is wrong, harmful, or beside the question.",
    "2": "The answer has serious mistakes or leaves out most of what was asked.",
    "3": "The answer helps in part: it has a mistake or leaves out something that matters.",
    "4": "The answer is right and helpful, with small flaws.",
    "5": "The answer is right, complete and to the point; nothing would make it better.",
}
_SHARED = ("question", "context", "reference", "group", "category")
_OF_SCORE = ("rubric", "criteria", "scale")


def crossed(pairs: Source) -> list[Source]:
    """The pairs, then their answers as records to verify and to score, each answer once.

    A pair may bring its own `rubric` (or `criteria`) and `scale`; else answers are scored from 1 to 5 by a general
    rubric. Reference and context go with them, instructions meant for a pair (`protocol`) do not.
    """
    answers: dict[tuple[str, str], dict[str, Any]] = {}
    rubrics: dict[tuple[str, str], dict[str, Any]] = {}
    for pair in _pairs(pairs):
        for answer in (pair.answer_a, pair.answer_b):
            key = (pair.question, answer)
            shared = {name: value for name in _SHARED if (value := getattr(pair, name)) is not None}
            answers.setdefault(key, {**shared, "answer": answer})
            rubrics.setdefault(key, _rubric(pair))
    scored = [{**record, **rubrics[key]} for key, record in answers.items()]
    return [pairs, _source(pairs, "verify", answers.values()), _source(pairs, "score", scored)]


def _source(pairs: Source, task: str, answers: Iterable[dict[str, Any]]) -> Source:
    plan = InputPlan(task, (), records=tuple(answers))
    return replace(pairs, plan=plan, protocol=Protocol(HEADLINES[task]), limit=None)


def _rubric(pair: PairwiseRecord) -> dict[str, Any]:
    own = {name: pair.extra[name] for name in _OF_SCORE if pair.extra.get(name) is not None}
    return own if {"rubric", "criteria"} & own.keys() else {"rubric": GENERAL_RUBRIC}


def _pairs(pairs: Source) -> Iterator[PairwiseRecord]:
    for item in islice(read_items(pairs.plan), pairs.limit):
        if isinstance(item.record, PairwiseRecord) and item.error is None:
            yield item.record
