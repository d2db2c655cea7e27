"""The judging tasks: `step(record, replies)` gives the asks still owed, then the verdict. All of it pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from fare_cli.asks import Ask, Reply
from fare_cli.errors import UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record, Verdict
from fare_cli.tasks.cascade import Cascade, CascadeStage, stage_options, stage_thresholds
from fare_cli.tasks.pairwise import Pairwise
from fare_cli.tasks.score import Score
from fare_cli.tasks.step import Step
from fare_cli.tasks.verify import Verify

__all__ = ["TASKS", "Cascade", "Pairwise", "Score", "Step", "Task", "Verify", "check_options", "make_task"]


class Task(Protocol):
    """What a run needs of a task."""

    @property
    def name(self) -> str: ...
    @property
    def prompt(self) -> TaskPrompt: ...
    @property
    def options(self) -> JudgingOptions: ...

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """The asks that have no reply in `replies` (by ask id, unique inside the record); the verdict once all have.

        Asks that share a prefix are neighbours. A reply with an error makes the verdict `invalid`.
        """
        ...


TASKS: Mapping[str, type[Pairwise] | type[Step] | type[Verify] | type[Score]] = {
    "pairwise": Pairwise,
    "step": Step,
    "verify": Verify,
    "score": Score,
}


def make_task(prompt: TaskPrompt, options: JudgingOptions) -> Task:
    """The task that a prompt is of, judged as the options say: by one judge, or with mode auto by a cascade."""
    kind = TASKS[prompt.task]
    if options.mode != "auto":
        return kind(prompt, options)
    judges = stage_options(options)
    stages = (
        CascadeStage(name, kind(prompt, judges[name]), threshold)
        for name, threshold in stage_thresholds(options).items()
    )
    return Cascade(prompt.task, prompt, options, tuple(stages))


def check_options(task: str, options: JudgingOptions) -> None:
    """Raises UsageError for options that contradict each other; those of pairwise are ignored by other tasks."""
    if options.votes != "auto" and options.votes < 1:
        raise UsageError(f"--votes {options.votes}: at least one vote is needed")
    if not (math.isfinite(options.temperature) and options.temperature >= 0):
        raise UsageError(f"--temperature {options.temperature}: must be 0 or more")
    if options.max_tokens < 1:
        raise UsageError(f"--max-tokens {options.max_tokens}: must be 1 or more")
    if options.reasoning_tokens is not None and options.reasoning_tokens < 1:
        raise UsageError(f"--reasoning-tokens {options.reasoning_tokens}: must be 1 or more")
    several = "--votes auto" if options.votes == "auto" else "--votes above 1"
    if options.several_votes and not options.generates:
        raise UsageError(f"{several} needs --mode critique or --reasoning", "direct votes would all be the same")
    if options.several_votes and options.temperature == 0:
        raise UsageError(f"{several} needs a --temperature above 0", "without it all votes are the same; try 0.7")
    if task != "pairwise" or not options.tie:
        return
    if options.combine == "mean":
        raise UsageError("--tie cannot go with --combine mean", "mean always prefers one answer; use --combine agree")
    if options.order != "both":
        raise UsageError(f"--tie cannot go with --order {options.order}", "a tie is two orders that disagree")
