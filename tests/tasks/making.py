"""Replies for the tests of the tasks."""

from __future__ import annotations

import math
from typing import Any

from fare_cli.asks import Ask, Reply
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import load_task_prompt
from fare_cli.records import Verdict, parse
from fare_cli.tasks import TASKS, Task

DIRECT = JudgingOptions(mode="direct")


def make_task(name: str, options: JudgingOptions = DIRECT) -> Task:
    return TASKS[name](load_task_prompt(name), options)


def reply(shares: dict[str, float], **more: Any) -> Reply:
    """A reply whose labels have these probabilities (labels as the script has them)."""
    logs = {label: math.log(share) if share > 0 else -math.inf for label, share in shares.items()}
    return Reply(label=max(shares, key=shares.__getitem__), log_probabilities=logs, **more)


def first_asks(task: Task, values: dict[str, Any]) -> list[Ask]:
    got = task.step(parse(task.name, values), {})
    assert isinstance(got, list)
    return got


def judged(task: Task, values: dict[str, Any], replies: dict[str, Reply]) -> Verdict:
    got = task.step(parse(task.name, values).with_id("r"), replies)
    assert isinstance(got, Verdict)
    return got
