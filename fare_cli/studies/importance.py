"""An importance matrix from a judge's own records: what quantising should be careful with."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fare_cli.asks import Ask
from fare_cli.engine.probe import remembered_probe
from fare_cli.errors import InvalidRecordsError
from fare_cli.folders import cache_folder
from fare_cli.gguf.disk import whole_file, writing
from fare_cli.judge import Judge
from fare_cli.machine import usable_cores
from fare_cli.run.reader import InputPlan, read_items
from fare_cli.studies.judging import check_rereadable

_SAY_EVERY_S = 10.0


def importance_file(judge: Judge, records: InputPlan, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """A file for `quantize(imatrix=...)`: what the judge's weights compute on the prompts of the records.

    It is kept in the cache folder and found there again for the same weights, prompts and records. Everything runs on
    the CPU, at about the speed of prompts. Raises InvalidRecordsError where no record can be judged, ModelError.
    """
    check_rereadable(records)
    identity = judge.identity(records.task)
    digest = hashlib.sha256(json.dumps([identity.asking_fingerprint, records.shuffle_seed]).encode())
    for name in records.files:
        digest.update(Path(name).read_bytes())
    target = cache_folder() / "importance" / f"{digest.hexdigest()[:24]}.npz"
    if target.exists():
        say("the importance of the weights on these records is known from before")
        return target
    say(f"measuring what matters to {judge.model.name} on these records")
    remembered_probe(judge.model.path, gpu_layers=0)
    # Loads llama.cpp, which only the trial has shown to be safe.
    from fare_cli.engine.importance import measure_importance

    found = measure_importance(
        judge.model.path,
        _asks(judge, records),
        threads=judge.engine_options.threads or usable_cores(),
        progress=_progress(say),
    )
    if not found.prompts:
        raise InvalidRecordsError("none of the records for --imatrix could be read as a record of the task")
    say(f"measured on {found.prompts} prompts, {found.tokens:,} tokens")
    _write(target, found.rows)
    return target


def _asks(judge: Judge, records: InputPlan) -> Iterator[Ask]:
    task = judge.task(records.task)
    for item in read_items(records):
        if item.record is None or item.error is not None:
            continue
        asks = task.step(item.record, {})
        if isinstance(asks, list):
            # Votes have one prompt.
            yield from {ask.messages: ask for ask in asks}.values()


def _progress(say: Callable[[str], None]) -> Callable[[int], None]:
    next_line = time.monotonic() + _SAY_EVERY_S

    def tell(prompts: int) -> None:
        nonlocal next_line
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + _SAY_EVERY_S
            say(f"{prompts} prompts")

    return tell


def _write(target: Path, rows: Mapping[str, Any]) -> None:
    import numpy as np

    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with whole_file(target) as output:
            np.savez(output, **rows)
