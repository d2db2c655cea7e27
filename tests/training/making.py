"""Records for the tests of training, and policies that say what a test wants them to say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fare_cli.asks import Ask, Backend, BackendInfo, Reply
from fare_cli.backends.replay import ReplayBackend
from fare_cli.prompting import TaskPrompt, load_task_prompt

PAIR = {"id": "pair", "question": "What is 2+2?", "answer_a": "4, since 2+2=4.", "answer_b": "It is 5.", "gold": "A"}
STEP = {"id": "step", "question": "Add 1, 2 and 3.", "steps": ["1+2=3.", "3+3=7.", "The sum is 7."], "gold": 1}
VERIFY = {"id": "verify", "question": "Capital of France?", "answer": "Paris.", "gold": "yes"}
SCORE = {"id": "score", "question": "Say hello.", "answer": "Hello!", "rubric": "Is it polite?", "gold": 4}
RECORDS = [PAIR, STEP, VERIFY, SCORE]


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def sums(count: int) -> list[dict[str, Any]]:
    """Verify records with gold labels, half of them right."""
    return [
        {
            "id": f"sum-{number}",
            "question": f"What is {number} plus {number + 3}?",
            "answer": f"{2 * number + 3 + number % 2}",
            "gold": "no" if number % 2 else "yes",
        }
        for number in range(count)
    ]


class ScriptedPolicy:
    """A policy without a model: `says` gives the reply to each ask. `asked` counts what reached it."""

    name = "scripted"

    def __init__(self, says: Callable[[Ask], Reply], weights: str = "sha256:scripted") -> None:
        self.weights = weights
        self.asked: list[Ask] = []
        self._says = says

    def prompt(self, task: str) -> TaskPrompt:
        return load_task_prompt(task)

    def backend(self) -> Backend:
        def said(ask: Ask) -> Reply:
            self.asked.append(ask)
            return self._says(ask)

        return ReplayBackend(said, info=BackendInfo(self.weights, self.name, {"name": "scripted"}), shuffle_seed=7)
