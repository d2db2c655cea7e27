"""Contender (d), the limit: what `llama_decode` alone takes for the batches that fare made, filled with random tokens.

Reads one job as JSON from standard input, prints one result (see contenders.py). The operations on the cache (branches
and removals) are repeated, since they decide how deep a row's attention reaches; only decodes are on the clock. A copy
between streams happens inside the next decode and is counted, as it is for fare.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fare_cli.engine.native import Context, Model
from fare_cli.engine.options import ContextParams


def main() -> None:
    job: dict[str, Any] = json.load(sys.stdin)
    notes: list[list[Any]] = json.loads(Path(job["shapes"]).read_text())
    started = time.perf_counter()
    model = Model(Path(job["model"]))
    random = np.random.default_rng(0)
    context: Context | None = None
    seconds, cpu_seconds, rows, decodes = 0.0, 0.0, 0, 0
    ready = time.perf_counter()
    for kind, *values in notes:
        if kind == "context":
            if context is not None:
                context.close()
            context = Context(model, ContextParams(**values[0]))
            ready = time.perf_counter()
            continue
        assert context is not None
        if kind == "decode":
            positions, sequences, wanted = (np.array(column, np.int32) for column in values)
            tokens = random.integers(100, model.vocabulary_size, len(positions), dtype=np.int32)
            asked = wanted.astype(bool)
            begun, begun_cpu = time.perf_counter(), time.process_time()
            context.decode(tokens, positions, sequences, asked)
            if asked.any():
                context.logits(int(asked.argmax()))  # waits for the device
            seconds += time.perf_counter() - begun
            cpu_seconds += time.process_time() - begun_cpu
            rows += len(positions)
            decodes += 1
        elif kind == "branch":
            context.branch(*values)
        elif kind == "forget":
            context.forget(*values)
        else:
            context.clear()
    result = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "ready_seconds": ready - started,
        "rows": rows,
        "decodes": decodes,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print("\n" + json.dumps(result))


main()
