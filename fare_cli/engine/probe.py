"""A trial run of a model in a child process, so that a native crash is an error message and not the end of fare.

What a build and a model did once is remembered: the trial costs about a second and one load of the model.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import ModelError
from fare_cli.folders import cache_folder

_SECONDS = 600
_TOKENS = 10
_NOT_A_CRASH = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class ProbeResult(NamedTuple):
    """What a trial showed: the model in llama.cpp's words, seconds for `tokens` tokens, and whether the fast CPU
    kernels crash here, so that the model must be loaded without them."""

    model: str
    tokens: int
    seconds: float
    safe_kernels: bool


def probe_model(path: Path, *, gpu_layers: int = -1, adapter: Path | None = None) -> ProbeResult:
    """Loads a model, with a LoRA adapter on top if one is named, and decodes ten tokens in a child process.

    Raises ModelError with the reason: a native crash (with its signal), a file llama.cpp refuses, no memory.
    """
    done = _run(path, gpu_layers, adapter, safe=False)
    if -done.returncode in _NOT_A_CRASH:
        raise ModelError(
            f"{path}: the trial run of this model was killed ({_signal_name(-done.returncode)})",
            "probably the memory is too small for it",
        )
    if done.returncode < 0:
        crashed = _signal_name(-done.returncode)
        done = _run(path, gpu_layers, adapter, safe=True)
        if done.returncode < 0:
            raise ModelError(
                f"{path}: llama.cpp crashes on this model ({crashed})",
                "the file may be damaged, or the engine built for another CPU: fare doctor tells more",
            )
    return _result(path, done)


def remembered_probe(path: Path, *, gpu_layers: int = -1) -> ProbeResult:
    """Like `probe_model`, but a success with this build, CPU and file is not tried again."""
    record = _record_file(path, gpu_layers)
    with contextlib.suppress(OSError, ValueError, TypeError):
        return ProbeResult(**json.loads(record.read_text(encoding="utf-8")))
    result = probe_model(path, gpu_layers=gpu_layers)
    with contextlib.suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=record.parent, delete=False, encoding="utf-8") as file:
            json.dump(result._asdict(), file)
        Path(file.name).replace(record)
    return result


def _record_file(path: Path, gpu_layers: int) -> Path:
    stat = path.stat()
    facts = [
        importlib.metadata.version("llama-cpp-python"),
        _library_stamp(),
        _cpu(),
        str(path.resolve()),
        stat.st_size,
        stat.st_mtime_ns,
        gpu_layers,
    ]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    return cache_folder() / "probes" / f"{name}.json"


def _library_stamp() -> list[object]:
    """Size and time of the installed engine's files: another build of the same version is another build."""
    try:
        files = importlib.metadata.files("llama-cpp-python") or []
        stats = [Path(str(f.locate())).stat() for f in files if ".so" in f.name or f.suffix in (".dylib", ".dll")]
    except (importlib.metadata.PackageNotFoundError, OSError):
        return []
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return platform.processor() or platform.machine()


def _run(path: Path, gpu_layers: int, adapter: Path | None, *, safe: bool) -> subprocess.CompletedProcess[str]:
    # -P: a file in the working folder must not stand in for a module of Python.
    module = [sys.executable, "-P", "-m", "fare_cli.engine.probe"]
    command = [*module, str(path), str(gpu_layers), "safe" if safe else "fast", *([str(adapter)] if adapter else [])]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{path}: loading it and decoding ten tokens took longer than {_SECONDS} s") from None


def _result(path: Path, done: subprocess.CompletedProcess[str]) -> ProbeResult:
    try:
        values = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ModelError(f"{path}: the trial run of this model failed: {said}") from None
    if "error" in values:
        raise ModelError(values["error"], values["hint"])
    return ProbeResult(**values)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _try(path: Path, gpu_layers: int, safe: bool, adapter: Path | None) -> dict[str, object]:
    """The child's part: load, decode, report."""
    import time

    import numpy as np

    from fare_cli.engine.native import Context, ContextParams, DecodeError, Model

    try:
        model = Model(path, gpu_layers=gpu_layers, use_extra_bufts=not safe)
        params = ContextParams(cells=256, sequences=1, batch=64, outputs=1, unified=True, flash=True, threads=2)
        context = Context(model, params)
        if adapter is not None:
            context.use_adapter(model.load_adapter(adapter))
        prompt = (model.tokenize("The capital of France is") or [0])[:32]
        begun = time.monotonic()
        context.decode(prompt, range(len(prompt)), [0] * len(prompt), [False] * (len(prompt) - 1) + [True])
        row = len(prompt) - 1
        for position in range(len(prompt), len(prompt) + _TOKENS):
            logits = context.logits(row)
            if logits is None or not np.isfinite(logits.max()):
                return {"error": f"{path}: this model's output is not numbers", "hint": "the file may be damaged"}
            context.decode([int(np.argmax(logits))], [position], [0], [True])
            row = 0
        seconds = time.monotonic() - begun
        result = ProbeResult(model.description, _TOKENS, round(seconds, 3), safe)
        context.close()
        model.close()
    except ModelError as error:
        return {"error": error.message, "hint": error.hint}
    except DecodeError as error:
        return {"error": f"{path}: {error}", "hint": None}
    return result._asdict()


if __name__ == "__main__":
    adapter_file = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    print(json.dumps(_try(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "safe", adapter_file)), flush=True)
