"""The pinned llama.cpp has what fare uses, and what would abort the process is refused first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp
import pytest

from fare_cli.engine import native
from fare_cli.engine.native import Context, Model
from fare_cli.engine.options import ContextParams
from fare_cli.errors import ModelError


@pytest.fixture
def context(tiny: Callable[[str], Path]) -> Iterator[Context]:
    model = Model(tiny("qwen3"), gpu_layers=0)
    params = ContextParams(cells=1024, sequences=4, batch=64, outputs=4, unified=False, flash=True, threads=1)
    opened = Context(model, params)
    yield opened
    opened.close()
    model.close()


@pytest.mark.parametrize("symbol", native.SYMBOLS)
def test_the_pinned_version_has_every_symbol(symbol: str) -> None:
    assert hasattr(llama_cpp, symbol)


def test_the_list_of_symbols_is_complete() -> None:
    source = Path(native.__file__).read_text(encoding="utf-8")
    used = {word.split("(")[0].rstrip(".,)") for word in source.replace("[", " ").split() if "llama_cpp." in word}
    names = {part for word in used for part in word.split("llama_cpp.")[1:]}
    names = {"".join(c for c in name.split(".")[0] if c.isalnum() or c == "_") for name in names}
    assert names - set(native.SYMBOLS) - {"__version__", "_ggml", "llama_token"} == set()


def test_ggml_has_every_function_that_lists_devices() -> None:
    assert all(hasattr(native.libggml, name) for name in native._DEVICE_FUNCTIONS)


def test_a_build_without_gpu_support_lists_no_gpu() -> None:
    assert native.devices() == [] or native.build_info()["gpu_offload"]


def test_a_sequence_out_of_range_is_an_exception(context: Context) -> None:
    with pytest.raises(ValueError, match="out of range"):
        context.decode([1], [0], [4], [True])
    with pytest.raises(ValueError, match="out of range"):
        context.branch(0, 4)


def test_fewer_output_rows_than_sequences_are_an_exception(tiny: Callable[[str], Path]) -> None:
    model = Model(tiny("qwen3"), gpu_layers=0)
    params = ContextParams(cells=1024, sequences=4, batch=64, outputs=3, unified=True, flash=True, threads=1)
    with pytest.raises(ValueError, match="output rows"):
        Context(model, params)
    model.close()


def test_too_many_rows_are_an_exception(context: Context) -> None:
    with pytest.raises(ValueError, match="at most 64"):
        context.decode([1] * 65, range(65), [0] * 65, [False] * 65)
    with pytest.raises(ValueError, match="output rows"):
        context.decode([1] * 5, range(5), [0] * 5, [True] * 5)


def test_a_token_out_of_the_vocabulary_is_an_exception(context: Context) -> None:
    with pytest.raises(native.DecodeError) as caught:
        context.decode([10**6], [0], [0], [True])
    assert caught.value.code < 0


def test_no_logits_where_none_were_wanted(context: Context) -> None:
    context.decode([1, 2], [0, 1], [0, 0], [False, True])
    assert context.logits(0) is None
    assert context.logits(1) is not None


def test_an_interrupted_decode_says_so_and_the_next_one_works(context: Context) -> None:
    context.interrupt()
    with pytest.raises(native.DecodeError) as caught:
        context.decode([1], [0], [0], [True])
    assert caught.value.code == 2
    context.resume()
    context.decode([1], [0], [0], [True])


def test_a_file_that_is_no_model_names_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(b"not a model at all")
    with pytest.raises(ModelError, match=r"no\.gguf"):
        Model(path)


def test_pieces_longer_than_any_small_buffer_come_whole(smollm2_path: Path) -> None:
    model = Model(smollm2_path, gpu_layers=0)
    lengths = [len(model.piece(token)) for token in range(model.vocabulary_size)]
    assert max(lengths) > 64
    text = " " * 200 + "=" * 80
    assert b"".join(model.piece(token) for token in model.tokenize(text)).decode() == text
    model.close()


def test_loading_prints_nothing(tiny: Callable[[str], Path]) -> None:
    program = f"from pathlib import Path; from fare_cli.engine.native import Model; Model(Path({str(tiny('qwen3'))!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b""
    assert done.stderr == b""
