"""A perturbation on one record, for people: what it was, and what becomes of it. No model is asked."""

from __future__ import annotations

from typing import Any

from fare_cli.identity import JudgingOptions
from fare_cli.prompting import load_task_prompt
from fare_cli.records import PairwiseRecord, Record
from fare_cli.studies.audit.perturbation import Perturbation, Side
from fare_cli.studies.audit.planting import Planting
from fare_cli.tasks import Task, make_task


def before_and_after(one: Perturbation | Planting, record: Record, copy: int = 0) -> tuple[Any, Any] | None:
    """The record as JSON values before and after; None where it does not apply.

    A change of how it is asked is shown on the messages and labels of fare's own prompts in direct mode. Where a
    judge's verdict would say which answer of a pair is attacked, it is the one that gold does not name, else B.
    """
    if isinstance(one, Planting):
        planted = one.apply(record)
        return None if planted is None else ((planted.untouched or record).to_json(), planted.record.to_json())
    if one.asks is None:
        changed = one.apply(record, side=_side(one, record), copy=copy)
        return None if changed is None else (record.to_json(), changed.to_json())
    if record.task not in one.tasks:
        return None
    # Only what is sampled can be asked again with another seed.
    sampled = JudgingOptions(mode="direct") if one.kind == "language" else JudgingOptions(temperature=0.7)
    task = make_task(load_task_prompt(record.task), sampled)
    asked = one.asks(task, copy)
    return None if asked is None else (_asked(task, record), _asked(asked, record))


def _side(one: Perturbation, record: Record) -> Side:
    right: Side = "B" if isinstance(record, PairwiseRecord) and record.gold == "B" else "A"
    wrong: Side = "A" if right == "B" else "B"
    return right if one.placement == "favoured" else wrong


def _asked(task: Task, record: Record) -> dict[str, Any]:
    got = task.step(record, {})
    assert isinstance(got, list)
    ask = got[0]
    return {
        "messages": [{"role": one.role, "content": one.text} for one in ask.messages],
        "labels": [label.strip() for label in getattr(ask.script, "labels", ())],
        "temperature": ask.sampling.temperature,
        "seed": ask.sampling.seed,
    }
