"""Records whose truth is known and verdicts of a simulated judge on them, by the way that real verdicts take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fare_cli.asks import Ask
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.prompting import load_task_prompt
from fare_cli.run.reader import items_of
from fare_cli.run.stream import Judging
from fare_cli.tasks import TASKS
from fare_cli.verdicts import Verdict
from tests.run.making import INFO

DIRECT = JudgingOptions(mode="direct")
SCALE = 5
STEPS = 4


def judged(
    task: str, judge: SimulatedJudge, records: Sequence[dict[str, Any]], options: JudgingOptions = DIRECT
) -> list[Verdict]:
    """The verdicts on all records, through task and run."""
    prompt = load_task_prompt(task)
    identity = JudgeIdentity(task, INFO.model, INFO.weights, prompt.fingerprint, prompt.origin, options)
    backend = ReplayBackend(judge, info=INFO)
    verdicts = list(Judging(TASKS[task](prompt, options), lambda: backend, identity).verdicts(items_of(task, records)))
    assert all(verdict.status == "ok" for verdict in verdicts)
    return verdicts


def question_of(ask: Ask) -> str:
    """The question of a record below, by which an opinion can be shared over records."""
    return next(piece.text for message in ask.messages for piece in message.pieces if not piece.ours)


def label_in_question(ask: Ask) -> str:
    """The right label of the records below, as the scripts spell it."""
    return " " + question_of(ask).split("truth: ")[1]


def step_records(count: int) -> list[dict[str, Any]]:
    """Every second one is wrong at some step."""
    truths = [-1 if number % 2 else number // 2 % STEPS for number in range(count)]
    return [
        {"question": f"{number}, truth: {truth}", "steps": ["so"] * STEPS, "gold": truth}
        for number, truth in enumerate(truths)
    ]


def verify_records(count: int, each: int = 1) -> list[dict[str, Any]]:
    """`each` records a question, all of one truth."""
    return [
        {"question": f"{number}, truth: {truth}", "answer": f"{copy}", "gold": truth, "group": str(number)}
        for number, truth in enumerate(("yes", "no")[number % 2] for number in range(count))
        for copy in range(each)
    ]


def score_records(count: int) -> list[dict[str, Any]]:
    """All scores of the scale equally often."""
    return [
        {"question": f"{number}, truth: {number % SCALE + 1}", "answer": "a", "rubric": "r", "gold": number % SCALE + 1}
        for number in range(count)
    ]
