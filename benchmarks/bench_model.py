"""The model that every contender runs: SmolLM2-135M as Q4_0, made unable to end its turn.

The end-of-turn tokens get another text (same length, so the header is patched in place) and the end token is moved to
one that is never written. Thus everybody writes exactly the number of tokens asked for, with no logit bias, whose cost
differs between contenders (llama-cpp-python copies the whole row in Python). Weights and speed are untouched.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import tempfile
from pathlib import Path

FORMAT = "1"
Q4_0 = 2  # LLAMA_FTYPE_MOSTLY_Q4_0 in llama.h
_RENAMED = ((b"<|im_end|>", b"<|im_fin|>"), (b"<|endoftext|>", b"<|txtstarts|>"))
_END_KEY = b"tokenizer.ggml.eos_token_id"
_NEVER_WRITTEN = b"<empty_output>"


def bench_model(source: Path, folder: Path | None = None) -> Path:
    """The path of the benchmark's model, made from `source` once and kept in `folder` (the system's temporary one)."""
    folder = folder or Path(tempfile.gettempdir()) / "fare-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(source.read_bytes() + FORMAT.encode()).hexdigest()[:12]
    target = folder / f"endless-q4_0-{digest}.gguf"
    if not target.exists():
        unfinished = folder / f"{target.stem}.{os.getpid()}.part"
        _requantise(source, unfinished)
        _make_endless(unfinished)
        unfinished.replace(target)
    return target


def _requantise(source: Path, target: Path) -> None:
    import llama_cpp

    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = Q4_0
    params.allow_requantize = True
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    if code != 0:
        raise SystemExit(f"error: {source} cannot be quantised (code {code})")


def _make_endless(path: Path) -> None:
    from gguf import GGUFReader

    reader = GGUFReader(path)
    header_bytes = min(tensor.data_offset for tensor in reader.tensors)
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    never_written = tokens.index(_NEVER_WRITTEN.decode())
    del reader
    with path.open("r+b") as file:
        header = file.read(header_bytes)
        for text, other in _RENAMED:
            header = header.replace(text, other)
        place = header.index(_END_KEY) + len(_END_KEY) + 4  # behind the key stands its type, then four bytes of value
        header = header[:place] + never_written.to_bytes(4, "little") + header[place + 4 :]
        if len(header) != header_bytes:
            raise SystemExit("error: the header changed its length")
        file.seek(0)
        file.write(header)
