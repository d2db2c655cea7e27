"""Reading a checkpoint folder: what it says of itself, and that nothing in it is believed."""

from __future__ import annotations

import contextlib
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.errors import ModelError
from fare_cli.gguf.building.checkpoint import read_checkpoint, read_tensors, weight_files

Tensors = dict[str, tuple[str, list[int], int]]


def _safetensors(tensors: Tensors) -> bytes:
    """A file that announces tensors as name: (type, shape, bytes)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (type_name, shape, count) in tensors.items():
        header[name] = {"dtype": type_name, "shape": shape, "data_offsets": [end, end + count]}
        end += count
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole checkpoint: 10 weights in BF16 and 2 in F32."""
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    content = _safetensors({"embed": ("BF16", [5, 2], 20), "norm": ("F32", [2], 8)})
    (tmp_path / "model.safetensors").write_bytes(content)
    return tmp_path


def test_a_checkpoint_says_how_large_it_is(folder: Path) -> None:
    found = read_checkpoint(folder)
    assert (found.size.parameters, found.size.largest, found.weights_type) == (12, 10, "BF16")
    assert found.size.bytes == (folder / "model.safetensors").stat().st_size
    assert found.files == ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def test_the_checksum_is_over_what_is_converted_and_nothing_else(folder: Path) -> None:
    before = read_checkpoint(folder).sha256()
    (folder / "optimizer.pt").write_bytes(b"state")
    (folder / "modeling_tiny.py").write_text("raise SystemExit")
    assert read_checkpoint(folder).sha256() == before
    (folder / "config.json").write_text('{"model_type": "llama"}')
    assert read_checkpoint(folder).sha256() != before


def test_four_bit_experts_count_two_weights_in_a_byte(folder: Path) -> None:
    tensors: Tensors = {"experts_blocks": ("U8", [2, 16], 32), "experts_scales": ("U8", [2], 2)}
    (folder / "model.safetensors").write_bytes(_safetensors(tensors))
    assert read_checkpoint(folder).size.parameters == 64


def test_all_files_of_the_index_belong_to_it(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("ab", names, strict=True))})
    )
    (folder / names[0]).write_bytes(whole)
    with pytest.raises(ModelError, match=r"00002-of-00002\.safetensors cannot be read"):
        read_checkpoint(folder)
    (folder / names[1]).write_bytes(whole)
    assert read_checkpoint(folder).size.parameters == 24


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "model/../../x.safetensors", "evil.py"])
def test_an_index_cannot_point_out_of_the_folder(folder: Path, name: str) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelError, match="weight_map"):
        weight_files(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_what_is_missing_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ModelError, match=file):
        read_checkpoint(folder)


def test_a_folder_that_holds_an_adapter_is_told_apart(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")
    with pytest.raises(ModelError, match="LoRA adapter") as caught:
        read_checkpoint(folder)
    assert "--lora" in str(caught.value.hint)


@pytest.mark.parametrize("kept", [0, 4, 8, 30, -1])
def test_a_file_that_is_cut_off_is_found_out(folder: Path, kept: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ModelError, match="no whole safetensors file"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "BF16", "shape": [5, 2], "data_offsets": [0, 10]},
        {"dtype": "BF16", "shape": [5, -2], "data_offsets": [0, -20]},
        {"dtype": "BF16", "shape": [10**30], "data_offsets": [0, 2 * 10**30]},
        {"dtype": "BF16", "shape": [5], "data_offsets": [30, 40]},
        {"dtype": "??", "shape": [5], "data_offsets": [0, 2**70]},
        {"shape": [5]},
        ["BF16"],
        {"dtype": "BF16", "shape": "55", "data_offsets": "ab"},
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, entry: Any) -> None:
    text = json.dumps({"weights": entry}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(20))
    with pytest.raises(ModelError, match="no whole safetensors file"):
        read_tensors(file)


@given(content=st.binary(max_size=200), length=st.integers(0, 2**64 - 1))
def test_any_bytes_are_an_error_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, length: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    for start in (struct.pack("<Q", length), struct.pack("<Q", len(content)), b""):
        file.write_bytes(start + content)
        with contextlib.suppress(ModelError):
            read_tensors(file)
