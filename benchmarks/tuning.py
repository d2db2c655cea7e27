"""Measures what `fare models tune` is worth: the benchmark's scenarios with what was tuned and without.

    fare models tune "$(python -m benchmarks.tuning --print-model)"
    python -m benchmarks.tuning --records pairs.jsonl

Runs alternate, each in a process of its own; figures are medians. The engine gets its own choice of threads, slots and
context wherever nothing was tuned, as in `fare judge`."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.bench_model import bench_model
from benchmarks.contenders import Contender, measure
from benchmarks.scenarios import SCENARIOS, Scenario, read_material, records_for
from benchmarks.throughput import EXAMPLES, source_model

FARE = Contender("fare", "contender_fare.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF of SmolLM2-135M-Instruct; default: the installed smollm2")
    parser.add_argument("--records", type=Path, nargs="+", help="pairwise records; default: examples/pairwise.jsonl")
    parser.add_argument("--scenarios", nargs="*", choices=list(SCENARIOS), default=["direct", "critique", "votes"])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--print-model", action="store_true", help="print the path of the model to tune, and stop")
    arguments = parser.parse_args()
    model = bench_model(source_model(arguments.model))
    if arguments.print_model:
        print(model)
        return
    material = read_material(arguments.records or [EXAMPLES])
    for name in arguments.scenarios:
        scenario = SCENARIOS[name]
        job = {
            "model": str(model),
            "task": scenario.task,
            "options": asdict(scenario.options),
            "records": records_for(scenario, material),
        }
        print(f"{name}: {_compared(scenario, job, arguments.repetitions)}", flush=True)


def _compared(scenario: Scenario, job: dict[str, Any], repetitions: int) -> str:
    plain: list[float] = []
    tuned: list[float] = []
    in_force = ""
    for repetition in range(repetitions):
        for is_tuned in (True, False) if repetition % 2 else (False, True):
            with _home(is_tuned):
                result = measure(FARE, job, scenario.load)
            (tuned if is_tuned else plain).append(result["seconds"])
            in_force = result["engine"]["tuned"] if is_tuned else in_force
    if not in_force:
        return "nothing was tuned for it"
    ratios = [one / two for one, two in zip(plain, tuned, strict=True)]
    return (
        f"{statistics.median(plain):.2f} s as it comes, {statistics.median(tuned):.2f} s tuned ({in_force}): "
        f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
    )


@contextmanager
def _home(is_tuned: bool) -> Iterator[None]:
    """The user's own folders, or empty ones in which nothing is tuned."""
    before = os.environ.get("FARE_HOME")
    with tempfile.TemporaryDirectory() as folder:
        if not is_tuned:
            os.environ["FARE_HOME"] = folder
        try:
            yield
        finally:
            os.environ.pop("FARE_HOME", None)
            if before is not None:
                os.environ["FARE_HOME"] = before


if __name__ == "__main__":
    main()
