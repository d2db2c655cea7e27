"""The memory plan: against what llama.cpp takes by its own account, and against the published sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.errors import ModelError
from fare_cli.gguf.header import Header, Tensor, read_header
from fare_cli.gguf.memory import (
    MemoryPlan,
    device_bytes,
    kv_bytes_per_token,
    layers_that_fit,
    memory_table,
    plan,
)
from tests.engine import tiny_models
from tests.gguf.real_sizes import write_fare_8b, write_fare_20b, write_gemma3_4b, write_granite_hybrid

KIB, GIB = 1 << 10, 1 << 30


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, smollm2_path: Path) -> Callable[[str], Path]:
    """The file of a model by name; those of FARE's size have their weights left out."""
    folder = tmp_path_factory.mktemp("models")
    writers: dict[str, Callable[[Path], object]] = {
        "qwen3": tiny_models.write_qwen3,
        "gpt-oss": tiny_models.write_gpt_oss,
        "gemma": tiny_models.write_gemma,
        "fare-8b": write_fare_8b,
        "fare-8b-q8_0": lambda path: write_fare_8b(path, small=False),
        "fare-20b": write_fare_20b,
        "gemma3": write_gemma3_4b,
        "granite-hybrid": write_granite_hybrid,
    }

    def path_of(name: str) -> Path:
        if name == "smollm2":
            return smollm2_path
        path = folder / f"{name}.gguf"
        if not path.exists():
            writers[name](path)
        return path

    return path_of


# Contexts as fare makes them: one or many sequences, shared cells and streams, with and without flash attention.
_CONTEXTS = [
    {"cells": cells, "sequences": sequences, "unified": unified, "outputs": outputs, "batch": batch, **attention}
    for cells, sequences, unified in [
        (4096, 1, True),
        (8192, 6, True),
        (16_384, 17, True),
        (17 * 1024, 17, False),
        (6 * 8192, 6, False),
    ]
    for batch, outputs in [(512, 64), (512, 200), (128, 64)]
    for attention in [{"flash": True}, {"flash": False}, {"flash": True, "kv_type": "q8_0"}]
]


def _taken(path: Path, *options: str) -> list[dict[str, int]]:
    """What llama.cpp takes for each of the contexts, from a process of its own."""
    command = [sys.executable, "-m", "tests.gguf.buffer_sizes", str(path), *options]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, input=json.dumps(_CONTEXTS), capture_output=True, text=True, check=True, cwd=root)
    taken: list[dict[str, int]] = json.loads(done.stdout)
    assert len(taken) == len(_CONTEXTS)
    return taken


@pytest.mark.parametrize("name", ["smollm2", "qwen3", "gpt-oss", "gemma", "fare-8b", "fare-20b"])
def test_the_plan_is_what_llama_cpp_takes(models: Callable[[str], Path], name: str) -> None:
    path = models(name)
    header = read_header(path)
    for context, taken in zip(_CONTEXTS, _taken(path, "--no-alloc"), strict=True):
        planned = plan(header, **context)  # type: ignore[arg-type]
        assert planned.weights_bytes == taken["weights"]
        # llama.cpp says MiB with two decimals, for each of the caches of a model with windows.
        assert planned.kv_bytes == pytest.approx(taken["kv"], abs=15_000), context
        assert planned.compute_bytes == pytest.approx(taken["compute"], rel=0.1), context


@pytest.mark.parametrize("name", ["gemma3", "granite-hybrid"])
def test_windows_and_recurrent_states_are_counted_as_llama_cpp_does(models: Callable[[str], Path], name: str) -> None:
    path = models(name)
    header = read_header(path)
    for context, taken in zip(_CONTEXTS, _taken(path, "--no-alloc"), strict=True):
        planned = plan(header, **context)  # type: ignore[arg-type]
        assert planned.weights_bytes == taken["weights"]
        assert planned.kv_bytes == pytest.approx(taken["kv"], abs=15_000), context
        beside = planned.kv_bytes + planned.compute_bytes
        assert beside == pytest.approx(taken["kv"] + taken["compute"], rel=0.1), context


def test_what_is_really_allocated_is_what_was_foretold(models: Callable[[str], Path]) -> None:
    """Without an allocation llama.cpp only simulates; with one it says the same."""
    path = models("gpt-oss")
    assert _taken(path) == _taken(path, "--no-alloc")


@pytest.mark.parametrize(("name", "published_gb"), [("fare-8b", 5.03), ("fare-8b-q8_0", 8.71), ("fare-20b", 12.1)])
def test_weights_have_the_published_sizes(models: Callable[[str], Path], name: str, published_gb: float) -> None:
    planned = plan(read_header(models(name)), cells=8192, sequences=1)
    assert planned.weights_bytes / 1e9 == pytest.approx(published_gb, rel=0.005)


def test_the_cache_of_an_8b_has_the_published_size(models: Callable[[str], Path]) -> None:
    header = read_header(models("fare-8b"))
    assert kv_bytes_per_token(header) == 144 * KIB
    assert plan(header, cells=16_384, sequences=1).kv_bytes == 2.25 * GIB
    assert plan(header, cells=16_384, sequences=1, kv_type="q8_0").kv_bytes == 2.25 * GIB * 17 / 32


def test_a_20b_takes_less_than_the_published_15_gb_with_8k(models: Callable[[str], Path]) -> None:
    """About 15 GB is what its users read; weights, cache and work space are 2 GB below, the rest is the system's."""
    planned = plan(read_header(models("fare-20b")), cells=8192, sequences=1)
    assert 12.5e9 < planned.total_bytes < 15e9


def test_windowed_layers_keep_their_window_where_sequences_have_cells_of_their_own(
    models: Callable[[str], Path],
) -> None:
    header = read_header(models("fare-20b"))
    shared = plan(header, cells=16_384, sequences=1)
    own = plan(header, cells=16_384, sequences=1, unified=False)
    assert shared.kv_bytes == 16_384 * kv_bytes_per_token(header)
    # Half of the layers keep 128 tokens and a piece of 512, rounded up to 768.
    assert own.kv_bytes == (16_384 + 768) / 2 * kv_bytes_per_token(header)


def _header(**values: Any) -> Header:
    metadata = {"general.architecture": "llama", **values}
    return Header(metadata, str(metadata["general.architecture"]), "F16", 32_768, 0, 1000, ())


def _llama(**values: Any) -> Header:
    usual = {"block_count": 4, "embedding_length": 64, "attention.head_count": 4, "feed_forward_length": 128}
    return _header(**{f"llama.{name}": value for name, value in {**usual, **values}.items()})


def test_layers_may_differ_in_their_heads() -> None:
    one = _llama(**{"attention.head_count_kv": (1, 1, 1, 1)})
    some = _llama(**{"attention.head_count_kv": (4, 0, 2, 1)})
    assert kv_bytes_per_token(some) == kv_bytes_per_token(one) * 7 // 4


def test_a_recurrent_layer_takes_a_state_for_each_sequence_and_no_cells() -> None:
    sizes = {"ssm.inner_size": 128, "ssm.state_size": 16, "ssm.conv_kernel": 4, "ssm.group_count": 1}
    attention = _llama(**sizes)
    tensors = (Tensor("blk.1.ssm_in.weight", (64, 64), "F32", 0), Tensor("blk.3.ssm_in.weight", (64, 64), "F32", 0))
    hybrid = replace(attention, tensors=tensors)
    assert kv_bytes_per_token(hybrid) == kv_bytes_per_token(attention) // 2
    state = 4 * (3 * (128 + 2 * 16) + 16 * 128)
    few, many = (plan(hybrid, cells=1024, sequences=count).kv_bytes for count in (1, 9))
    assert few == 1024 * kv_bytes_per_token(hybrid) + 2 * state
    assert many - few == 8 * 2 * state


def test_a_window_that_llama_cpp_ignores_saves_nothing() -> None:
    header = _llama(**{"attention.sliding_window": 128})
    assert plan(header, cells=8192, sequences=1, unified=False) == plan(_llama(), cells=8192, sequences=1)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"block_count": 100_000}, "layers"),
        ({"block_count": 0}, "layers"),
        ({"block_count": "many"}, "llama.block_count"),
        ({"embedding_length": -1}, "llama.embedding_length"),
        ({"attention.head_count": 2**60}, "llama.attention.head_count"),
        ({"attention.head_count_kv": (1, 2)}, "2 entries for 4 layers"),
        ({"feed_forward_length": 1.5}, "llama.feed_forward_length"),
    ],
)
def test_a_header_that_does_not_add_up_is_an_error(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=named) as caught:
        plan(_llama(**changed), cells=1024, sequences=1)
    assert caught.value.hint


def test_a_header_without_dimensions_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"llama\.block_count is missing"):
        plan(_header(), cells=1024, sequences=1)


@given(
    st.dictionaries(
        st.sampled_from(
            ["block_count", "embedding_length", "attention.head_count", "attention.head_count_kv",
             "attention.key_length", "attention.sliding_window", "expert_used_count", "feed_forward_length",
             "ssm.inner_size", "nextn_predict_layers", "attention.sliding_window_pattern"]
        ),
        st.one_of(st.integers(-3, 2**64), st.booleans(), st.sampled_from(["", "many"]), st.floats(),
                  st.lists(st.integers(0, 2**64), max_size=6).map(tuple)),
    ),
    st.sampled_from(["llama", "gemma3", "gpt-oss", "smallthinker"]),
)  # fmt: skip
def test_no_header_makes_the_plan_crash(values: dict[str, Any], architecture: str) -> None:
    usual = {"block_count": 4, "embedding_length": 64, "attention.head_count": 4, "feed_forward_length": 128}
    named = {f"{architecture}.{name}": value for name, value in {**usual, **values}.items()}
    header = replace(_header(**named), architecture=architecture)
    try:
        planned = plan(header, cells=1024, sequences=3, unified=False)
    except ModelError:
        return
    assert min(planned) >= 0


@given(st.integers(1, 200_000), st.integers(1, 64), st.booleans(), st.booleans())
def test_more_cells_never_take_less(cells: int, sequences: int, unified: bool, flash: bool) -> None:
    header = _llama(**{"attention.head_count_kv": 2})
    less = plan(header, cells=cells, sequences=sequences, unified=unified, flash=flash)
    more = plan(header, cells=cells + 4096, sequences=sequences, unified=unified, flash=flash)
    assert more.kv_bytes >= less.kv_bytes
    assert more.total_bytes >= less.total_bytes


def test_the_table_shows_contexts_up_to_the_model_s_own(models: Callable[[str], Path]) -> None:
    rows = memory_table(read_header(models("smollm2")))
    assert [(row.ctx, row.kv_type) for row in rows] == [
        (4096, "f16"),
        (4096, "q8_0"),
        (8192, "f16"),
        (8192, "q8_0"),
    ]
    rows = memory_table(read_header(models("fare-8b")), contexts=[4096], slots=[1, 4])
    assert [(row.slots, row.plan.kv_bytes) for row in rows if row.kv_type == "f16"] == [
        (1, 4096 * 144 * KIB),
        (4, 4 * 4096 * 144 * KIB),
    ]


def _split(models: Callable[[str], Path], name: str) -> tuple[Header, MemoryPlan]:
    header = read_header(models(name))
    return header, plan(header, cells=8192, sequences=1)


def test_all_layers_go_to_a_gpu_that_holds_them_and_none_to_a_tiny_one(models: Callable[[str], Path]) -> None:
    header, whole = _split(models, "fare-8b")
    assert layers_that_fit(header, whole, 8 * GIB) == 37
    assert layers_that_fit(header, whole, GIB // 4) == 0
    assert device_bytes(header, 0, whole) == 0
    # Everything but the token embeddings.
    assert whole.total_bytes - device_bytes(header, 37, whole) == pytest.approx(0.39e9, rel=0.1)


def test_a_gpu_that_is_too_small_gets_a_part(models: Callable[[str], Path]) -> None:
    header, whole = _split(models, "fare-8b")
    layers = layers_that_fit(header, whole, 4 * GIB)
    assert 15 < layers < 30
    assert device_bytes(header, layers, whole) <= 4 * GIB < device_bytes(header, layers + 1, whole)


def test_embeddings_that_are_the_output_are_copied_to_the_gpu(models: Callable[[str], Path]) -> None:
    header, whole = _split(models, "smollm2")
    embeddings = next(tensor.bytes for tensor in header.tensors if tensor.name == "token_embd.weight")
    assert device_bytes(header, 31, whole) >= whole.weights_bytes - embeddings + embeddings
