"""A trial run of a model in a child process, so that a native crash is an error message and not the end of fare.

What a build and a model did once is remembered: the trial costs about a second and one load of the model.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from fare_cli.engine.build import engine_version, library_stamp
from fare_cli.errors import ModelError
from fare_cli.folders import cache_folder
from fare_cli.machine import cpu_flags

if TYPE_CHECKING:
    from fare_cli.engine.native import Model

_SECONDS = 600
_TEMPLATE_CPU_S = 5
_TEMPLATE_BYTES = 1 << 29
"""What a chat template may take; real ones take milliseconds and some megabytes."""
_TOKENS = 10
_TEMPLATE_HINT = "a template that does so is broken or hostile: get the model from its makers"
_NOT_A_CRASH = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class ProbeResult(NamedTuple):
    """What a trial showed: the model in llama.cpp's words, seconds for `tokens` tokens, and whether the fast CPU
    kernels crash here, so that the model must be loaded without them."""

    model: str
    tokens: int
    seconds: float
    safe_kernels: bool


def probe_model(path: Path, *, gpu_layers: int = -1, adapter: Path | None = None) -> ProbeResult:
    """Loads a model, with a LoRA adapter on top if one is named, renders its chat template and decodes ten tokens in a
    child process.

    Raises ModelError with the reason: a native crash (with its signal), a file llama.cpp refuses, no memory, a chat
    template that does not end or fills the memory (it is a program, and its author's word is all there is for it).
    """
    done = _run(path, gpu_layers, adapter, safe=False)
    if done.returncode == -signal.SIGXCPU:
        raise ModelError(
            f"{path}: its chat template was stopped after computing for {_TEMPLATE_CPU_S} s", _TEMPLATE_HINT
        )
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


def remembered_probe(path: Path, *, gpu_layers: int = -1, adapter: Path | None = None) -> ProbeResult:
    """Like `probe_model`, but a success with this build, CPU and files is not tried again."""
    record = _record_file([path, adapter] if adapter else [path], gpu_layers)
    with contextlib.suppress(OSError, ValueError, TypeError):
        return ProbeResult(**json.loads(record.read_text(encoding="utf-8")))
    result = probe_model(path, gpu_layers=gpu_layers, adapter=adapter)
    with contextlib.suppress(OSError):
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=record.parent, delete=False, encoding="utf-8") as file:
            json.dump(result._asdict(), file)
        Path(file.name).replace(record)
    return result


def _record_file(files: Sequence[Path], gpu_layers: int) -> Path:
    stats = [(str(file.resolve()), file.stat()) for file in files]
    facts = [
        engine_version(),
        library_stamp(),
        cpu_flags(),
        [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
        gpu_layers,
    ]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    return cache_folder() / "probes" / f"{name}.json"


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

    from fare_cli.engine.native import Context, DecodeError, Model
    from fare_cli.engine.options import ContextParams

    try:
        model = Model(path, gpu_layers=gpu_layers, use_extra_bufts=not safe)
        params = ContextParams(cells=256, sequences=1, batch=64, outputs=1, unified=True, flash=True, threads=2)
        context = Context(model, params)
        _try_template(model)
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


def _try_template(model: Model) -> None:
    """Renders the chat template under limits on time and memory; raises ModelError, or the child is killed."""
    from fare_cli.asks import Effort, Message, Piece
    from fare_cli.engine.template import ChatTemplate

    messages = (Message("system", (Piece("You judge.", True),)), Message("user", (Piece("Which?", False),)))
    try:
        with _limits():
            template = ChatTemplate(model)
            for effort in (None, *get_args(Effort)):
                template.prompt(messages, effort)
    except MemoryError:
        limit = f"{_TEMPLATE_BYTES >> 20} MiB"
        raise ModelError(f"{model.path}: its chat template takes more than {limit} of memory", _TEMPLATE_HINT) from None


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Bounds what this process may take from now on; beyond the time it gets SIGXCPU and dies."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    taken = {resource.RLIMIT_CPU: math.ceil(usage.ru_utime + usage.ru_stime), resource.RLIMIT_CORE: 0}
    more = {resource.RLIMIT_CPU: _TEMPLATE_CPU_S, resource.RLIMIT_CORE: 0}
    with contextlib.suppress(OSError):  # where the system does not tell, memory is not bounded
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        taken[resource.RLIMIT_AS], more[resource.RLIMIT_AS] = pages * resource.getpagesize(), _TEMPLATE_BYTES
    before = {kind: resource.getrlimit(kind) for kind in taken}
    for kind, (soft, hard) in before.items():
        bounds = [limit for limit in (soft, taken[kind] + more[kind]) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(kind, (min(bounds), hard))
    try:
        yield
    finally:
        for kind, limits in before.items():
            resource.setrlimit(kind, limits)


if __name__ == "__main__":
    adapter_file = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    print(json.dumps(_try(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "safe", adapter_file)), flush=True)
