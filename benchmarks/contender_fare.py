"""Contender (c): fare, as a library. Reads one job as JSON from standard input, prints one result (see contenders.py).

With `shapes` in the job every operation on the cache is written to that file, for contender_limit.py; such a run is not
timed for the table. There is no warm-up, so the first decode pays for what the others paid before their clock started.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fare_cli as fare


def _record_shapes() -> list[list[Any]]:
    """Notes every context, decode, branch and removal from now on, in order."""
    from fare_cli.engine.native import Context

    notes: list[list[Any]] = []
    make, decode, branch, forget, clear = (
        Context.__init__,
        Context.decode,
        Context.branch,
        Context.forget,
        Context.clear,
    )

    def noted_make(self: Context, model: Any, params: Any) -> None:
        notes.append(["context", asdict(params)])
        make(self, model, params)

    def noted_decode(self: Context, tokens: Any, positions: Any, sequences: Any, wanted: Any) -> None:
        rows = [[int(value) for value in column] for column in (positions, sequences, wanted)]
        notes.append(["decode", *rows])
        decode(self, tokens, positions, sequences, wanted)

    def noted_branch(self: Context, source: int, target: int) -> None:
        before = len(notes)
        branch(self, source, target)
        notes[before:] = [["branch", int(source), int(target)]]  # it forgets the target itself

    def noted_forget(self: Context, sequence: int) -> None:
        notes.append(["forget", int(sequence)])
        forget(self, sequence)

    def noted_clear(self: Context) -> None:
        notes.append(["clear"])
        clear(self)

    # Assigned through setattr: mypy rightly dislikes replaced methods, and this is the only place that needs them.
    for name, method in (("__init__", noted_make), ("decode", noted_decode), ("branch", noted_branch)):
        setattr(Context, name, method)
    for name, other in (("forget", noted_forget), ("clear", noted_clear)):
        setattr(Context, name, other)
    return notes


def main() -> None:
    job: dict[str, Any] = json.load(sys.stdin)
    started = time.perf_counter()
    options = fare.JudgingOptions(**job["options"])
    notes = _record_shapes() if "shapes" in job else []
    with fare.Judge.open(job["model"], options=options, **job.get("engine", {})) as judge:
        backend = judge.backend()
        ready, ready_cpu = time.perf_counter(), time.process_time()
        verdicts = list(getattr(judge, job["task"])(job["records"]))
        seconds, cpu_seconds = time.perf_counter() - ready, time.process_time() - ready_cpu
        engine = dict(backend.info.engine)
    if "shapes" in job:
        Path(job["shapes"]).write_text(json.dumps(notes))
    usable = [verdict for verdict in verdicts if verdict.status == "ok"]
    if len(usable) != len(job["records"]):
        raise SystemExit(f"error: {len(verdicts) - len(usable)} verdicts are invalid: {verdicts[0].error}")
    result = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "ready_seconds": ready - started,
        "prompt_tokens": sum(verdict.usage.prompt_tokens for verdict in usable),
        "new_tokens": sum(verdict.usage.generated_tokens for verdict in usable),
        "verdicts_read": sum(len(verdict.judgments) for verdict in usable),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "version": f"fare {version('fare-cli')} (llama-cpp-python {engine['llama_cpp_python']})",
        "wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "engine": engine,
    }
    print("\n" + json.dumps(result))


main()
