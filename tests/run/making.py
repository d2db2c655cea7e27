"""Material for runs without a model: pairs with a known better answer, the real tasks, and a simulated judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fare_cli.asks import Ask, BackendInfo
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.prompting import load_task_prompt
from fare_cli.run.reader import InputPlan
from fare_cli.run.runner import RunPlan
from fare_cli.tasks import TASKS

INFO = BackendInfo(weights="simulated", model="simulated", engine={"name": "simulated", "version": 1})


def pair(number: int, **more: Any) -> dict[str, Any]:
    """A pair of which the better answer is the one with RIGHT in it."""
    answers = ["RIGHT", "wrong"] if number % 2 else ["wrong", "RIGHT"]
    return {
        "id": f"r{number}",
        "question": f"Which is it, {number}?",
        "answer_a": answers[0],
        "answer_b": answers[1],
        "gold": "A" if number % 2 else "B",
        **more,
    }


def write_pairs(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps(pair(number)) + "\n" for number in range(count)), encoding="utf-8")
    return path


def right_label(ask: Ask) -> str | None:
    """The label of the answer with RIGHT in it, in the order in which they are shown."""
    user = ask.messages[-1].text
    first, second = user.find("RIGHT"), user.find("wrong")
    return None if first < 0 or second < 0 else (" [A]" if first < second else " [B]")


def make_plan(source: Path, output: Path | None, **settings: Any) -> RunPlan:
    """A pairwise plan; settings of the judge, the input and the run in one."""
    of_judge = {name: settings.pop(name) for name in ("mode", "order", "combine", "tie", "seed") if name in settings}
    of_input = {name: settings.pop(name) for name in ("shuffle_seed", "max_line_bytes") if name in settings}
    options = JudgingOptions(**{"mode": "direct", **of_judge})
    prompt = load_task_prompt("pairwise")
    identity = JudgeIdentity("pairwise", INFO.model, INFO.weights, prompt.fingerprint, prompt.origin, options)
    task = TASKS["pairwise"](prompt, options)
    return RunPlan(InputPlan("pairwise", (str(source),), **of_input), task, identity, output, **settings)


class Opener:
    """What a run calls for its backend; `asked` counts the asks that reached it, `opened` how often it was called."""

    def __init__(self, judge: Any = None, **settings: Any) -> None:
        self.asked = 0
        self.opened = 0
        self._judge = judge or SimulatedJudge(right_label, accuracy=0.8, position_bias=1.5, seed=3)
        self._settings = settings
        self.backend: ReplayBackend | None = None

    def __call__(self) -> ReplayBackend:
        def answer(ask: Ask) -> Any:
            self.asked += 1
            return self._judge(ask)

        self.opened += 1
        self.backend = ReplayBackend(answer, info=INFO, **{"shuffle_seed": 1, **self._settings})
        return self.backend


def refuse() -> ReplayBackend:
    """For runs that must not need a model."""
    raise AssertionError("the backend was opened")
