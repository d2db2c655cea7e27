"""Runs of simulated judges to hold to a gate: verdict files with journal and manifest, as `fare judge` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fare_cli.asks import Answer, Ask, Reply
from fare_cli.backends.replay import ReplayBackend
from fare_cli.gate.gate import GatePlan, GateResult, gate
from fare_cli.gate.measures import parse_limit
from fare_cli.gate.reading import GatedRun, read_run
from fare_cli.judge import BackendJudge
from fare_cli.run.reader import InputPlan
from fare_cli.run.runner import Outcome, RunPlan, StopRule, run
from tests.simulating import judge

Record = dict[str, Any]


def write_records(path: Path, records: Iterable[Record]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def judged_file(
    path: Path, task: str, records: Sequence[Record], *, by: BackendJudge | None = None, **settings: Any
) -> Path:
    """The verdicts on these records as a complete run writes them; settings are those of a RunPlan."""
    source = write_records(path.with_suffix(".in.jsonl"), records)
    run_gated(by or judge(), InputPlan(task, (str(source),)), output=path, **settings)
    return path


def run_gated(by: BackendJudge, source: InputPlan, stop: StopRule | None = None, **settings: Any) -> Outcome:
    """A run of a simulated judge, as `fare judge` makes it."""
    plan = RunPlan(source=source, task=by.task(source.task), identity=by.identity(source.task), **settings)
    return run(plan, by.backend, stop=stop)


def read(path: Path | str, *, records: int | None = None, max_invalid: float = 0.01) -> GatedRun:
    return read_run(str(path), records=records, max_invalid=max_invalid)


def gated(path: Path, *limits: str, baseline: Path | None = None, **plan: Any) -> GateResult:
    """The gate on a file, limits as `min-right=50%`."""
    found = tuple(parse_limit(*limit.split("=")) for limit in limits)
    before = None if baseline is None else read(baseline)
    return gate(read(path, max_invalid=plan.get("max_invalid", 0.01)), GatePlan(found, baseline=before, **plan))


class ShortestFirst(ReplayBackend):
    """Answers the shortest ask first, as a machine does that works on many side by side."""

    def __init__(self, simulate: Any, **settings: Any) -> None:
        super().__init__(simulate, window=32, **settings)
        self._waiting: dict[str, Ask] = {}

    def submit(self, asks: Sequence[Ask]) -> None:
        self._waiting.update({ask.id: ask for ask in asks})

    def collect(self) -> list[Answer]:
        if not self._waiting:
            return []
        ask_id = min(self._waiting, key=lambda id: sum(len(message.text) for message in self._waiting[id].messages))
        reply: Reply = self._simulate(self._waiting.pop(ask_id))
        return [Answer(ask_id, reply)]

    def cancel(self, ask_ids: Sequence[str]) -> None:
        for ask_id in ask_ids:
            self._waiting.pop(ask_id, None)
