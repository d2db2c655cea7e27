"""Writes a model file with its weights in another type, by llama.cpp's own quantiser in a process of its own."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.disk import SPARE_BYTES, Say, check_space, writing
from fare_cli.gguf.header import Header, Tensor, read_header
from fare_cli.machine import usable_cpus


class QuantType(NamedTuple):
    """A type to quantise to: its number in `enum llama_ftype` (llama.h), bits a weight (about, where the model's
    widths suit it), and what it is good for."""

    file_type: int
    bits: float
    about: str


#: What can be made without an importance matrix and still judges; bits as measured on an 8B (Qwen3).
TYPES: Mapping[str, QuantType] = {
    "F16": QuantType(1, 16.0, "half precision, no quantisation"),
    "BF16": QuantType(32, 16.0, "half precision with the range of F32"),
    "Q8_0": QuantType(7, 8.5, "as good as F16 in nearly all that was measured"),
    "Q6_K": QuantType(18, 6.6, "hardly less than Q8_0"),
    "Q5_K_M": QuantType(17, 5.7, "between Q4_K_M and Q6_K"),
    "Q5_K_S": QuantType(16, 5.6, "a little smaller than Q5_K_M"),
    "Q5_0": QuantType(8, 5.6, "for widths that K types do not fit"),
    "Q4_K_M": QuantType(15, 4.9, "the usual choice for laptops"),
    "Q4_K_S": QuantType(14, 4.7, "a little smaller than Q4_K_M"),
    "Q4_1": QuantType(3, 5.1, "slow on CPUs; better make Q4_0 or Q4_K_M"),
    "Q4_0": QuantType(2, 4.7, "the fastest prompts on many CPUs"),
    "IQ4_NL": QuantType(25, 4.7, "as small as Q4_0 and closer to the source"),
    "IQ4_XS": QuantType(30, 4.5, "the smallest of four bits"),
    "MXFP4_MOE": QuantType(38, 4.4, "for mixtures of experts, above all gpt-oss"),
    "Q3_K_L": QuantType(13, 4.3, "where four bits do not fit into memory"),
    "Q3_K_M": QuantType(12, 4.0, "where four bits do not fit into memory"),
    "Q2_K": QuantType(10, 3.3, "a last resort: check what it does to verdicts"),
}

#: K types and their kin store rows in blocks of 256 weights; a tensor whose rows are no multiple of that gets a
#: stand-in with blocks of 32 (`tensor_type_fallback` in llama-quant.cpp).
_BLOCK = 256
_BLOCK_32 = frozenset({"F16", "BF16", "Q8_0", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL", "MXFP4_MOE"})
_STAND_INS = ("Q8_0", "Q5_1", "Q5_0", "Q4_0", "IQ4_NL", "F16")
_STAND_IN_GROWTH = 1.35

_NOT_QUANTISED = frozenset({"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8"})
_ANOTHER_PLACE = "make room, or name another place with -o"
_SAY_EVERY_S = 10.0


class StandIns(NamedTuple):
    """Weights that are in other types than those asked for, because their rows are no multiple of 256: their share of
    all, the types, and the length that most such rows have."""

    share: float
    types: tuple[str, ...]
    width: int


def type_named(name: str) -> str:
    """The type of TYPES that is meant by `name`, whatever its case. Raises UsageError with the nearest one."""
    wanted = name.upper()
    if wanted not in TYPES:
        near = difflib.get_close_matches(wanted, TYPES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(TYPES)}"
        raise UsageError(f"no quantisation type is called {name}", hint)
    return wanted


def quantize(
    source: Path,
    target: Path,
    type: str,
    *,
    imatrix: Path | None = None,
    threads: int | None = None,
    allow_requantize: bool = False,
    say: Say = lambda _: None,
) -> Header:
    """Writes `source` to `target` in a type of TYPES, and gives the header of what was written.

    `target` is there whole and checked, or as it was before. `imatrix` is a file of `studies.importance`;
    `say` is told what takes long. Raises UsageError for a source that is no model of full precision (unless
    `allow_requantize`) and for a type that does not suit it, EnvironmentFault for a full disk, ModelError otherwise.
    """
    header = check_source(source, type, allow_requantize=allow_requantize)
    begun = time.monotonic()
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        widths = (tensor.shape[0] for tensor in header.tensors if len(tensor.shape) > 1)
        needed = size_bytes(type, header.parameters, widths)
        check_space(target.parent, needed, target.name, _ANOTHER_PLACE)
        with _partial_file(target) as (partial, lock):
            say(f"quantising {source.name} to {type}")
            order = {
                "source": str(source),
                "target": str(partial),
                "file_type": TYPES[type].file_type,
                "threads": threads or usable_cpus(),
                "allow_requantize": allow_requantize,
                "imatrix": None if imatrix is None else str(imatrix),
            }
            _run(order, lock, source, say)
            written = _checked(partial, header, type)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
    gigabytes, seconds = target.stat().st_size / 1e9, time.monotonic() - begun
    say(f"{target.name}: {gigabytes:.2f} GB, {bits_per_weight(written):.1f} bits a weight, in {seconds:.0f} s")
    if (other := stand_ins(written, type)) is not None:
        say(
            f"{type} stores rows in blocks of {_BLOCK}, and {other.width} is no multiple of that: "
            f"{other.share:.0%} of the weights are in {' and '.join(other.types)} instead"
        )
    return written


def size_bytes(type: str, parameters: int, widths: Iterable[int]) -> int:
    """About how large a model of so many parameters is in a type; `widths` are those of its layers."""
    fits = type in _BLOCK_32 or all(width % _BLOCK == 0 for width in widths)
    return int(parameters * TYPES[type].bits * (1 if fits else _STAND_IN_GROWTH) / 8)


def check_source(source: Path, type: str, *, allow_requantize: bool = False) -> Header:
    """The header of a file that can be quantised to `type`. Raises UsageError where it cannot, ModelError where it is
    no model at all."""
    header = read_header(source)
    if header.metadata.get("general.type") == "adapter":
        raise UsageError(f"{source} is an adapter, not a model", "quantise the model that it stands on")
    if type == "MXFP4_MOE" and not header.metadata.get(f"{header.architecture}.expert_count"):
        raise UsageError(
            f"MXFP4_MOE is for mixtures of experts, and {source.name} has no experts",
            "Q4_K_M is as small; or take Q8_0",
        )
    # The experts of gpt-oss are published in MXFP4; this type leaves them as they are.
    kept = {"MXFP4"} if type == "MXFP4_MOE" else set()
    quantised = sorted({tensor.type for tensor in header.tensors} - _NOT_QUANTISED - kept)
    if quantised and not allow_requantize:
        raise UsageError(
            f"{source.name} is quantised already ({', '.join(quantised)}); again would add new errors to its own",
            "take the F16 or BF16 file of this model; --allow-requantize does it all the same",
        )
    return header


def stand_ins(header: Header, type: str) -> StandIns | None:
    """What a model quantised to `type` holds in other types. None where everything fitted."""
    if type in _BLOCK_32:
        return None
    found = [tensor for tensor in header.tensors if _does_not_fit(tensor) and tensor.type in _STAND_INS]
    if not found:
        return None
    widths: Counter[int] = Counter()
    for tensor in found:
        widths[tensor.shape[0]] += math.prod(tensor.shape)
    share = widths.total() / header.parameters
    return StandIns(share, tuple(sorted({tensor.type for tensor in found})), widths.most_common(1)[0][0])


def bits_per_weight(header: Header) -> float:
    """The mean over all weights in the file."""
    return 8 * sum(tensor.bytes for tensor in header.tensors) / max(header.parameters, 1)


def _does_not_fit(tensor: Tensor) -> bool:
    return len(tensor.shape) > 1 and tensor.shape[0] % _BLOCK != 0


@contextmanager
def _partial_file(target: Path) -> Iterator[tuple[Path, int]]:
    """A file beside `target` that this process alone writes, and the descriptor of its lock; the file is gone
    afterwards unless it was renamed."""
    partial = target.with_name(f".{target.name}.part")
    with partial.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnvironmentFault(f"another process is writing {target}", "wait for it to end") from None
        try:
            yield partial, lock.fileno()
        finally:
            partial.unlink(missing_ok=True)


def _checked(partial: Path, source: Header, type: str) -> Header:
    """The header of what was written. Raises ModelError unless it is the type asked for, with all the weights."""
    written = read_header(partial)
    if written.metadata.get("general.file_type") != TYPES[type].file_type:
        raise ModelError(f"llama.cpp wrote {written.quantisation} where {type} was asked for")
    parts = source.metadata.get("split.count", 1)
    if parts == 1 and written.parameters != source.parameters:
        raise ModelError(f"{written.parameters:,} of {source.parameters:,} weights were written")
    return written


def _run(order: Mapping[str, Any], lock: int, source: Path, say: Say) -> None:
    """Has a child process do it: what crashes llama.cpp ends only the child.

    The child holds the lock as well, so that the file stays its own if this process is killed.
    """
    # -P: a file in the working folder must not stand in for a module of Python.
    command = [sys.executable, "-P", "-m", "fare_cli.gguf.quantize", json.dumps(order)]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            pass_fds=[lock],
        )
        try:
            problem = _follow(child, say)
            code = child.wait()
        finally:
            # Ctrl-C and the like: the half file is removed, so nobody may go on writing it.
            child.kill()
            child.wait()
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if problem is not None:
        raise _failure(problem, Path(order["target"]))
    if code < 0:
        crashed = signal.Signals(-code).name
        hint = "the memory may be too small" if code == -signal.SIGKILL else "the file may be damaged: bring it again"
        raise ModelError(f"{source}: llama.cpp crashed while quantising it ({crashed})", hint)
    if code != 0:
        raise ModelError(f"{source}: quantising failed: {(said or ['no reason given'])[-1]}")


def _follow(child: subprocess.Popen[str], say: Say) -> dict[str, Any] | None:
    """Passes on how far the child is; what it gave as its problem, if there was one."""
    assert child.stdout is not None
    next_line = time.monotonic() + _SAY_EVERY_S
    for line in child.stdout:
        news = json.loads(line)
        if "error" in news:
            return dict(news)
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + _SAY_EVERY_S
            say(f"tensor {news['tensor']} of {news['of']}")
    return None


def _failure(problem: Mapping[str, Any], target: Path) -> EnvironmentFault:
    # llama.cpp reports a failed write as an error of its stream, without a reason.
    if "iostream" in problem["error"] and shutil.disk_usage(target.parent).free < SPARE_BYTES:
        return EnvironmentFault(f"{target.parent} is full", _ANOTHER_PLACE)
    return ModelError(problem["error"], problem["hint"])


def _work(order: dict[str, Any]) -> None:
    """The child's part; one JSON object a line says how far it is, the last one what went wrong."""
    # Ctrl-C must end llama.cpp's work, which Python's own handler cannot.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fare_cli.engine.native import quantize_model

    def tell(**news: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(news), flush=True)

    try:
        quantize_model(
            Path(order["source"]),
            Path(order["target"]),
            order["file_type"],
            threads=order["threads"],
            allow_requantize=order["allow_requantize"],
            importance=_importance(order["imatrix"]),
            progress=lambda tensor, of: tell(tensor=tensor, of=of),
        )
    except ModelError as error:
        tell(error=error.message, hint=error.hint)


def _importance(file: str | None) -> Mapping[str, Any] | None:
    if file is None:
        return None
    import numpy as np

    with np.load(file) as content:
        return {name: content[name] for name in content.files}


if __name__ == "__main__":
    _work(json.loads(sys.argv[1]))
