"""`--explain N`: one record through the judge, with nothing hidden."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from fare_cli.cli.console import Console
from fare_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from fare_cli.asks import Ask, Reply
    from fare_cli.judge import Judge
    from fare_cli.records import Record
    from fare_cli.run.reader import InputPlan
    from fare_cli.tasks import Task


def explain(judge: Judge, source: InputPlan, number: int, console: Console) -> ExitCode:
    """Prints the prompt of each ask of record `number` (from 1) token for token, its reply, and the verdict."""
    from fare_cli.run.lines import check_inputs
    from fare_cli.run.reader import read_items

    task = judge.task(source.task)
    if not source.records:
        check_inputs(source.files)
    item = next(islice(read_items(source), number - 1, None), None)
    if item is None:
        raise UsageError(f"--explain {number}: the input has fewer records")
    if item.error is not None:
        raise item.error
    assert item.record is not None
    replies = _replies(judge, task, item.record, console)
    verdict = task.step(item.record, replies)
    assert not isinstance(verdict, list)
    print(f"=== verdict ===\n{verdict.to_line(include_record=False)}")
    return ExitCode.OK if verdict.status == "ok" else ExitCode.INVALID


def _replies(judge: Judge, task: Task, record: Record, console: Console) -> dict[str, Reply]:
    """Asks until the task is satisfied, printing what goes in and what comes out."""
    backend = judge.backend()
    replies: dict[str, Reply] = {}
    while isinstance(asks := task.step(record, replies), list):
        for ask in asks:
            print(f"=== prompt of {ask.id} ===\n{backend.show_prompt(ask)}\n", flush=True)
            backend.submit([ask])
            replies.update(backend.collect())
            print(f"=== reply to {ask.id} ===\n{_shown(ask, replies[ask.id])}\n", flush=True)
    return replies


def _shown(ask: Ask, reply: Reply) -> str:
    if reply.error is not None:
        return f"{reply.error.kind}: {reply.error.message}"
    lines = [f"--- reasoning ---\n{reply.reasoning}\n--- answer ---"] if reply.reasoning else []
    lines += [reply.text] if reply.text else []
    lines += [f"{log_probability:8.3f}  {label}" for label, log_probability in (reply.log_probabilities or {}).items()]
    notes = [name for name in ("forced", "truncated", "reasoning_truncated") if getattr(reply, name)]
    notes.append(f"{reply.prompt_tokens} prompt tokens, {reply.generated_tokens} generated")
    return "\n".join([*lines, "; ".join(notes)])
