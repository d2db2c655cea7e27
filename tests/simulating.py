"""Simulated judges of all four tasks on records whose truth stands in their texts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fare_cli.asks import Ask, Direct, Judgment, Reply
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge
from fare_cli.verdicts import Verdict

DIRECT = JudgingOptions(mode="direct")
STEPS = 4
SCALE = 5


def truth(ask: Ask) -> str | None:
    """The right label of an ask, whatever its task: RIGHT stands in right answers, WRONG in wrong ones and steps."""
    assert isinstance(ask.script, Direct | Judgment)
    texts = [piece.text for message in ask.messages for piece in message.pieces if not piece.ours]
    if " [A]" in ask.script.labels:
        first = next(text for text in texts if "RIGHT" in text or "WRONG" in text)
        return " [A]" if "RIGHT" in first else " [B]"
    if " yes" in ask.script.labels:
        return " yes" if any("RIGHT" in text for text in texts) else " no"
    if " -1" in ask.script.labels:
        steps = [text for text in texts if "step" in text]
        return f" {next((index for index, text in enumerate(steps) if 'WRONG' in text), -1)}"
    return " " + next(text for text in texts if "points: " in text).split("points: ")[1]


def question_of(ask: Ask) -> str:
    """By which records of one question share an opinion."""
    return next(piece.text for message in ask.messages for piece in message.pieces if not piece.ours)


def judge(
    options: JudgingOptions = DIRECT, *, right: Callable[[Ask], str | None] = truth, **settings: Any
) -> BackendJudge:
    """A judge with these settings of SimulatedJudge."""
    return BackendJudge(ReplayBackend(SimulatedJudge(right, **settings)), options=options)


def judged(
    task: str, records: list[dict[str, Any]], options: JudgingOptions = DIRECT, **settings: Any
) -> list[Verdict]:
    """The verdicts of such a judge, by the way that those of a model take."""
    return list(judge(options, **settings).verdicts(task, records))


def pairs(count: int, **more: Any) -> list[dict[str, Any]]:
    """Every second time A is right."""
    return [
        {
            "id": f"p{number}",
            "question": f"question {number}",
            "answer_a": "RIGHT" if number % 2 else "WRONG",
            "answer_b": "WRONG" if number % 2 else "RIGHT",
            "gold": "A" if number % 2 else "B",
            **more,
        }
        for number in range(count)
    ]


def solutions(count: int) -> list[dict[str, Any]]:
    """Every second one is wrong at some step."""
    made = []
    for number in range(count):
        wrong = -1 if number % 2 else number // 2 % STEPS
        steps = [f"step {index} {'WRONG' if index == wrong else 'fine'}" for index in range(STEPS)]
        made.append({"id": f"s{number}", "question": f"question {number}", "steps": steps, "gold": wrong})
    return made


def answers(count: int, each: int = 1) -> list[dict[str, Any]]:
    """`each` answers a question, all right or all wrong."""
    return [
        {
            "id": f"v{number}-{copy}",
            "question": f"question {number}",
            "answer": f"{'RIGHT' if number % 2 else 'WRONG'} {copy}",
            "gold": "yes" if number % 2 else "no",
        }
        for number in range(count)
        for copy in range(each)
    ]


def scored(count: int) -> list[dict[str, Any]]:
    """All scores equally often."""
    return [
        {
            "id": f"r{number}",
            "question": f"question {number}",
            "answer": f"points: {number % SCALE + 1}",
            "rubric": "What are the points?",
            "gold": number % SCALE + 1,
        }
        for number in range(count)
    ]


def annotators(count: int, people: int, accuracy: float, seed: int = 0) -> list[dict[str, str]]:
    """Labels of people on `pairs(count)`, each right with this probability."""
    draw = random.Random(seed)
    return [
        {
            f"person {one}": ("A" if number % 2 else "B") if draw.random() < accuracy else ("B" if number % 2 else "A")
            for one in range(people)
        }
        for number in range(count)
    ]


def two_stages(direct: float, critique: float, *, tokens: int = 200, seed: int = 0) -> Callable[[Ask], Reply]:
    """A calibrated judge that is right more often once it has written a critique of so many tokens; its sampled votes
    differ. What is hard is so for both."""
    at_once = SimulatedJudge(truth, accuracy=direct, calibration=1.0, seed=seed)
    in_writing = SimulatedJudge(truth, accuracy=critique, calibration=1.0, noise=1.5, seed=seed)

    def simulate(ask: Ask) -> Reply:
        if isinstance(ask.script, Direct):
            return at_once(ask)
        return replace(in_writing(ask), generated_tokens=tokens)

    return simulate
