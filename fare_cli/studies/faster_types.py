"""Whether another quantisation type of the same weights would be much faster here: measured, type by type.

Which type is fast depends on the kernels that the engine has for this CPU. The weights are requantised for this alone:
what comes of it is as fast as a file made from the original weights, and judges worse.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fare_cli.engine.tuning import Tuned
from fare_cli.errors import ModelError
from fare_cli.folders import cache_folder
from fare_cli.gguf.header import read_header
from fare_cli.gguf.quantize import TYPES
from fare_cli.machine import usable_cores
from fare_cli.studies.search import TrialFailed, is_better
from fare_cli.studies.trials import Measurement, Trials

#: The types that people choose between, and IQ4_NL, which has fast kernels where Q4_0 has them.
CANDIDATES = ("Q4_0", "IQ4_NL", "Q4_K_M", "Q8_0")

#: What is worth another file.
MUCH = 1.3

#: A larger file is represented by its first layers.
_WHOLE_BYTES = 500_000_000
_LAYERS = 8

_ROUNDS = 3
_SETTING = Tuned(slots=4)
_SECONDS = 1800


class TypeSpeed(NamedTuple):
    """How many times as fast a type is as the file's own. `layers` is how many of the first were measured, None for
    all; `bytes` is the size of what was measured, `own_bytes` that of the same part in its own type. `failed` says why
    there are no figures."""

    type: str
    prompts: float
    writing: float
    is_much_faster: bool
    layers: int | None
    bytes: int
    own_bytes: int
    failed: str | None = None


def compare_types(
    path: Path, *, seconds: float, safe_kernels: bool = False, say: Callable[[str], None] = lambda _line: None
) -> list[TypeSpeed]:
    """The speed of other types beside the one of the file, as many as there is time for."""
    header = read_header(path)
    layers = header.metadata.get(f"{header.architecture}.block_count")
    whole = path.stat().st_size <= _WHOLE_BYTES or not isinstance(layers, int) or layers <= _LAYERS
    dropped = [] if whole or not isinstance(layers, int) else list(range(_LAYERS, layers))
    begun, longest = time.monotonic(), 0.0
    found: list[TypeSpeed] = []
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".types-") as temporary:
        own = path
        if dropped:
            own = Path(temporary, "own.gguf")
            _write(path, own, None, dropped)
        for name in CANDIDATES:
            if name == header.quantisation:
                continue
            if time.monotonic() - begun + longest > seconds:
                say(f"no time is left for the types from {name} on (--max-seconds)")
                break
            say(f"types: {name} beside {header.quantisation}")
            started = time.monotonic()
            other = Path(temporary, f"{name}.gguf")
            try:
                _write(path, other, TYPES[name].file_type, dropped)
                found.append(_compare(name, own, other, len(dropped) and _LAYERS, safe_kernels))
            except (ModelError, TrialFailed) as failure:
                found.append(TypeSpeed(name, math.nan, math.nan, False, None, 0, 0, str(failure)))
            other.unlink(missing_ok=True)
            longest = max(longest, time.monotonic() - started)
    return found


def _compare(name: str, own: Path, other: Path, layers: int, safe_kernels: bool) -> TypeSpeed:
    measured: dict[Path, list[Measurement]] = {own: [], other: []}
    with Trials(own, safe_kernels=safe_kernels) as owns, Trials(other, safe_kernels=safe_kernels) as others:
        runners = [(own, owns), (other, others)]
        for turn in range(_ROUNDS):
            for path, trials in runners if turn % 2 == 0 else reversed(runners):
                measured[path].append(trials.measure("critique", _SETTING))
    pairs = list(zip(measured[own], measured[other], strict=True))
    prompts = [one.prompt_rate / two.prompt_rate for one, two in pairs]
    writing = [(one.write_rate or 1) / (two.write_rate or 1) for one, two in pairs]
    much = any(1 / statistics.median(ratios) > MUCH and is_better(ratios) for ratios in (prompts, writing))
    return TypeSpeed(
        name,
        1 / statistics.median(prompts),
        1 / statistics.median(writing),
        much,
        layers or None,
        other.stat().st_size,
        own.stat().st_size,
    )


def _write(source: Path, target: Path, file_type: int | None, dropped: list[int]) -> None:
    """Requantises in a child process: a damaged file can abort it. Raises ModelError."""
    job = {"source": str(source), "target": str(target), "file_type": file_type, "dropped": dropped}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "fare_cli.studies.faster_types", json.dumps(job)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{source}: requantising it took longer than {_SECONDS} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"{source}: it cannot be requantised: {said}")


def _quantise(job: dict[str, object]) -> None:
    """The child's part."""
    from fare_cli.engine.native import quantize_model

    file_type, dropped = job["file_type"], job["dropped"]
    assert file_type is None or isinstance(file_type, int)
    assert isinstance(dropped, list)
    quantize_model(
        Path(str(job["source"])),
        Path(str(job["target"])),
        file_type,
        threads=usable_cores(),
        allow_requantize=True,
        without_layers=dropped,
    )


if __name__ == "__main__":
    try:
        _quantise(json.loads(sys.argv[1]))
    except ModelError as error:
        sys.exit(error.message)
