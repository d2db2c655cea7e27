"""A record made of the names of its own fields, to show people what a prompt looks like."""

from __future__ import annotations

from typing import Any

from fare_cli.asks import Ask
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record, parse
from fare_cli.tasks import make_task

_FIELDS: dict[str, dict[str, Any]] = {
    "pairwise": {"answer_a": "{answer_a}", "answer_b": "{answer_b}"},
    "step": {"steps": ["{steps.0}", "{steps.1}"]},
    "verify": {"answer": "{answer}"},
    "score": {"answer": "{answer}", "rubric": "{rubric}"},
}


def example_record(task: str, *, reference: bool = False, context: bool = False, protocol: bool = False) -> Record:
    """A record whose texts are the names of its fields in braces (filling is one pass, so they stay)."""
    optional = {"reference": reference, "context": context, "protocol": protocol}
    shown = {name: f"{{{name}}}" for name, wanted in optional.items() if wanted}
    return parse(task, {"question": "{question}", **_FIELDS[task], **shown})


def example_asks(prompt: TaskPrompt, options: JudgingOptions, record: Record) -> list[Ask]:
    """What is asked about a record before any reply is there."""
    got = make_task(prompt, options).step(record, {})
    return got if isinstance(got, list) else []
