"""What llama.cpp takes for a model, by its own account: run in a process of its own, since llama.cpp only logs it.

`python -m tests.gguf.buffer_sizes FILE` reads a JSON list of contexts on stdin (the fields of `ContextParams`) and
prints one object for each, in bytes: `weights`, `kv`, `compute`. With `--no-alloc` nothing is allocated, so that a file
of any size does, even one whose weights are a hole.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp

from fare_cli.engine import native
from fare_cli.engine.native import Context, Model
from fare_cli.engine.options import ContextParams

_lines: list[str] = []


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep(_level: int, text: bytes, _data: Any) -> None:
    _lines.append(text.decode(errors="replace"))


def _without_allocation() -> Any:
    params = _model_params()
    params.no_alloc, params.load_mode = True, llama_cpp.LLAMA_LOAD_MODE_NONE
    return params


_model_params = llama_cpp.llama_model_default_params


def _sizes(path: Path, contexts: list[dict[str, Any]]) -> Iterator[dict[str, int]]:
    model = Model(path)
    for fields in contexts:
        _lines.clear()
        Context(model, ContextParams(threads=2, **fields)).close()
        text = "".join(_lines)
        # The cache's line is right without an allocation, too: `size = 90.00 MiB (4096 cells, ...`.
        cache = re.findall(r"size = +([\d.]+) MiB \( *\d+ cells", text)
        work = re.findall(r"compute buffer size = +([\d.]+) MiB", text)
        yield {"weights": llama_cpp.llama_model_size(model.pointer), "kv": _bytes(cache), "compute": _bytes(work)}
    model.close()


def _bytes(mebibytes: list[str]) -> int:
    return round(sum(map(float, mebibytes)) * 2**20)


if __name__ == "__main__":
    native.llama_cpp.llama_log_set(_keep, ctypes.c_void_p(0))
    if sys.argv[2:] == ["--no-alloc"]:
        llama_cpp.llama_model_default_params = _without_allocation
    print(json.dumps(list(_sizes(Path(sys.argv[1]), json.load(sys.stdin)))))
