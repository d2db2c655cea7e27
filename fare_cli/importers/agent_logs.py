"""Importers of agents' logs of which the wrong step is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.naming import question_name
from fare_cli.importers.row import Row
from fare_cli.importers.solution import labelled

_DECISIVE = (
    "The steps are the messages of agents that work together on the question, and of the programs that they use. They "
    "failed. The wrong step is the decisive one: the earliest of which the correction would have made them succeed."
)


def _who_and_when(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question = row.text("question")
        messages = [row.part(f"history.{index}") for index in range(len(row.items("history")))]
        wrong = row.whole("mistake_step")
        if wrong < 0:
            row.refuse("mistake_step", f"is {wrong}, and Who&When counts from 0")
        record = {
            "id": row.text("question_ID"),
            "group": question_name(question),
            # The hand-crafted systems publish the agent as the role, the generated ones as the name.
            "steps": [f"{_agent(message)}: {message.text('content')}" for message in messages],
            "question": question,
            "protocol": _DECISIVE,
            "reason": row.values.get("mistake_reason"),
        }
        yield labelled(row, record, wrong)


def _agent(message: Row) -> str:
    return message.text("name" if message.has("name") else "role")


_AGENT_STEPS = (
    "A step is one message of the agent, with the functions that it calls, and what came back after it. A step is "
    "wrong if it makes the task harder: a wrong or repeated call, a misread result, something made up, a broken rule. "
    "A step that merely does not help is not wrong."
)


def _agentprocessbench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        messages = [row.part(f"messages.{index}") for index in range(len(row.items("messages")))]
        turns = [index for index, message in enumerate(messages) if message.text("role") == "assistant"]
        if not turns:
            row.refuse("messages", "hold no message of the assistant")
        source, query = row.text("data_source"), row.whole("query_index")
        ends = [*turns[1:], len(messages)]
        record = {
            "id": f"{source}-{query}-{row.whole('sample_index')}",
            "group": f"{source}-{query}",
            "category": source,
            "question": [{"role": message.text("role"), "content": _said(message)} for message in messages[: turns[0]]],
            "context": json.dumps(row.value("tools"), ensure_ascii=False) if row.has("tools") else None,
            "steps": [_turn(messages[start:end]) for start, end in zip(turns, ends, strict=True)],
            "protocol": _AGENT_STEPS,
        }
        yield labelled(row, record, _first_negative(row, turns))


def _first_negative(row: Row, turns: Sequence[int]) -> int:
    """Which of the assistant's messages, counted among themselves, is the first with the label -1."""
    labels = row.part("step_labels")
    harmful = [labels.choice(str(turn), {1: False, 0: False, -1: True}) for turn in turns]
    for name in labels.values:
        if name not in map(str, turns):
            row.refuse(f"step_labels.{name}", "labels no message of the assistant")
    return harmful.index(True) if any(harmful) else -1


def _turn(messages: Sequence[Row]) -> str:
    own, *answers = messages
    parts = [_said(own)] if _said(own).strip() else []
    if own.has("tool_calls"):
        calls = [own.part(f"tool_calls.{index}.function") for index in range(len(own.items("tool_calls")))]
        parts += [f"[call] {call.text('name')}({_arguments(call)})" for call in calls]
    parts += [f"[{answer.text('role')}] {_said(answer)}" for answer in answers]
    return "\n".join(parts)


def _said(message: Row) -> str:
    content = message.value("content")
    return "" if content is None else message.text("content")


def _arguments(call: Row) -> str:
    arguments: Any = call.value("arguments")
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="who-and-when",
        task="step",
        source="ag2ai/Agents_Failure_Attribution (Zhang et al. 2025)",
        licence="MIT",
        files="Algorithm-Generated and Hand-Crafted, .jsonl, .parquet or a .json file a log",
        gold="`mistake_step`: index into `history`, of which every message is a step. Every log has one",
        index_base=0,
        records=_who_and_when,
    ),
    Importer(
        name="agentprocessbench",
        task="step",
        source="RUCBM/AgentProcessBench (2026)",
        licence="none in the repository",
        files="hotpotqa.jsonl, gaia_dev.jsonl, bfcl.jsonl, tau2.jsonl",
        gold="`step_labels`, by index of the message: the first -1 (harmful) among the assistant's messages, which are "
        "the steps; 1 (helps) and 0 (neutral or unclear) are not wrong",
        nulls="-1 where no label is -1",
        index_base=0,
        records=_agentprocessbench,
    ),
)
