"""What is measured: the scenarios, the records they take, and the calls that other contenders make for them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fare_cli import prompting
from fare_cli.asks import Ask
from fare_cli.identity import JudgingOptions
from fare_cli.records import parse
from fare_cli.tasks import TASKS

#: `Verdict: [A]` is 6 tokens in SmolLM2's vocabulary: what a loop must let the model write to read a label from text.
DIRECT_NEW_TOKENS = 6
#: Records are taken in file order where question and answers together have this many characters, if there are such.
SHORTEST, LONGEST = 400, 3_000

CRITERIA = {
    "accuracy": "Are the statements of the answer true?",
    "completeness": "Does the answer cover everything that was asked?",
    "clarity": "Is the answer easy to understand for the one who asked?",
    "relevance": "Does the answer keep to the question?",
    "depth": "Does the answer explain the reasons and not only the results?",
    "tone": "Does the answer speak to the reader politely and plainly?",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table. `target` is how many times faster than the loop (a) fare is meant to be, `peer_target` than
    the server (b), which is left out without one. `load` is the number of busy processes beside."""

    name: str
    title: str
    task: str
    options: JudgingOptions
    records: int
    target: float
    peer_target: float | None = None
    load: int = 0


def _critique(new_tokens: int, **others: Any) -> JudgingOptions:
    return JudgingOptions(mode="critique", max_tokens=new_tokens, **others)


_DIRECT = JudgingOptions(mode="direct")
_VOTES = _critique(64, order="ab", votes=8, temperature=0.7)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("direct", "direct, both orders", "pairwise", _DIRECT, 8, 1.25, 1.4),
        Scenario("critique", "critique of 128 tokens, both orders", "pairwise", _critique(128), 6, 1.4, 1.5),
        Scenario("votes", "8 votes of 64 tokens", "pairwise", _VOTES, 2, 1.6),
        Scenario("criteria", "6 criteria on one answer, direct", "score", _DIRECT, 4, 2.0),
        Scenario(
            "criteria-critique", "6 criteria on one answer, critique of 48 tokens", "score", _critique(48), 2, 2.0
        ),
        Scenario("answers", "8 answers to one question, direct", "score", _DIRECT, 16, 2.0),
        Scenario(
            "answers-critique", "8 answers to one question, critique of 48 tokens", "score", _critique(48), 16, 2.0
        ),
        Scenario(
            "busy", "critique of 48 tokens, both orders, one core taken", "pairwise", _critique(48), 4, 2.0, load=1
        ),
    )
}


@dataclass(slots=True)
class Material:
    """The records to draw from: pairs as given, and all different answers by question."""

    source: str
    pairs: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)


def read_material(paths: Sequence[Path]) -> Material:
    """Pairs from JSONL or JSON files (gzip allowed), with fare's field names or those of AlpacaEval's annotations."""
    names = [path.name for path in paths]
    material = Material(f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0])
    for path in paths:
        for row in _rows(path):
            question, one, two = (
                row.get(ours, row.get(theirs))
                for ours, theirs in (("question", "instruction"), ("answer_a", "output_1"), ("answer_b", "output_2"))
            )
            if not all(isinstance(text, str) and text.strip() for text in (question, one, two)):
                continue
            material.pairs.append({"question": question, "answer_a": one, "answer_b": two})
            known = material.answers.setdefault(question, [])
            known += [answer for answer in (one, two) if answer not in known and len(answer) <= LONGEST]
    if not material.pairs:
        raise SystemExit(f"error: no pairs in {material.source}")
    fitting = [pair for pair in material.pairs if SHORTEST <= sum(map(len, pair.values())) <= LONGEST]
    material.pairs = fitting or material.pairs
    return material


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    if text.lstrip().startswith("["):
        yield from json.loads(text)
    else:
        yield from (json.loads(line) for line in text.splitlines() if line.strip())


def records_for(scenario: Scenario, material: Material) -> list[dict[str, Any]]:
    """The records of a scenario as JSON objects for fare; repeated from the start where the material is too small."""
    if scenario.name.startswith("answers"):
        return _score_by_question(scenario.records, material)
    pairs = [material.pairs[place % len(material.pairs)] for place in range(scenario.records)]
    if scenario.task == "pairwise":
        return [{"id": str(place), **pair} for place, pair in enumerate(pairs)]
    return [
        {"id": str(place), "question": pair["question"], "answer": pair["answer_a"], "criteria": CRITERIA}
        for place, pair in enumerate(pairs)
    ]


def _score_by_question(count: int, material: Material) -> list[dict[str, Any]]:
    """Answers of the questions that have most of them, 8 a question."""
    questions = sorted(material.answers, key=lambda question: -len(material.answers[question]))
    chosen = [(question, answer) for question in questions for answer in material.answers[question][:8]][:count]
    rubric = CRITERIA["accuracy"]
    return [
        {"id": str(place), "group": question, "question": question, "answer": answer, "rubric": rubric}
        for place, (question, answer) in enumerate(chosen)
    ]


def asks_for(scenario: Scenario, records: Sequence[dict[str, Any]]) -> list[Ask]:
    """Everything fare asks for these records, in its order."""
    task = TASKS[scenario.task](prompting.load_task_prompt(scenario.task), scenario.options)
    asks: list[Ask] = []
    for values in records:
        owed = task.step(parse(scenario.task, values), {})
        if not isinstance(owed, list):
            raise SystemExit(f"error: record {values['id']} needs no asks")
        asks += owed
    return asks


def calls_for(scenario: Scenario, records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same asks as chat calls: messages, new tokens, temperature and seed."""
    new_tokens = DIRECT_NEW_TOKENS if scenario.options.mode == "direct" else scenario.options.max_tokens
    return [
        {
            "messages": [{"role": message.role, "content": message.text} for message in ask.messages],
            "new_tokens": new_tokens,
            "temperature": ask.sampling.temperature,
            "seed": ask.sampling.seed,
        }
        for ask in asks_for(scenario, records)
    ]
