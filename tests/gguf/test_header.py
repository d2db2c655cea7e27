"""The GGUF header reader: right on real files, and an error, never a crash or a huge allocation, on hostile ones."""

from __future__ import annotations

import contextlib
import os
import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fare_cli.errors import ModelError
from fare_cli.gguf.header import _FILE_TYPES, _TENSOR_TYPES, read_header


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _pair(key: str, type_id: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", type_id) + value


_ARCHITECTURE = _pair("general.architecture", 8, _string("llama"))


def _file(*pairs: bytes, tensors: bytes = b"", tensor_count: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensor_count, len(pairs)) + b"".join(pairs) + tensors


def _read(folder: Path, content: bytes) -> object:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return read_header(path)


@pytest.fixture
def small_model(tmp_path: Path) -> Path:
    """A well-formed file written by the format's own library: arrays of all shapes, two tensors, no file type."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(4096)
    writer.add_string("general.name", "töst")
    writer.add_float32("qwen3.rope.freq_base", 1e6)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "<|im_end|>"])
    writer.add_array("tokenizer.ggml.scores", [0.5, 0.25, 0.0])
    writer.add_int32("after.arrays", -7)
    writer.add_tensor("output.weight", np.zeros((8, 64), dtype=np.float16))
    writer.add_tensor("output_norm.weight", np.zeros(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_real_model_is_read_right(smollm2_path: Path) -> None:
    header = read_header(smollm2_path)
    assert (header.architecture, header.quantisation, header.context_length) == ("llama", "Q4_1", 8192)
    assert header.parameters == 134_515_008
    assert "im_start" in str(header.metadata["tokenizer.chat_template"])


def test_values_before_and_after_arrays_are_read(small_model: Path) -> None:
    header = read_header(small_model)
    assert header.metadata["general.name"] == "töst"
    assert header.metadata["qwen3.rope.freq_base"] == 1e6
    assert header.metadata["tokenizer.ggml.add_bos_token"] is False
    assert header.metadata["after.arrays"] == -7
    assert "tokenizer.ggml.tokens" not in header.metadata
    assert (header.architecture, header.context_length, header.parameters) == ("qwen3", 4096, 8 * 64 + 64)
    assert header.quantisation == "F16", "without a file type, the type that holds most weights names it"


def test_every_way_to_cut_a_file_off_is_noticed(small_model: Path, tmp_path: Path) -> None:
    whole = small_model.read_bytes()
    for size in range(len(whole)):
        with pytest.raises(ModelError):
            _read(tmp_path, whole[:size])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_an_error_or_another_header(small_model: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(small_model.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModelError):
        _read(tmp_path, bytes(content))


_HUGE = 2**63
_HOSTILE = {
    "empty": b"",
    "another format": b"PK\x03\x04" + bytes(100),
    "text": b"This is not a model, it is a page of text that says so.",
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "first version": _file(_ARCHITECTURE, version=1),
    "future version": _file(_ARCHITECTURE, version=9),
    "no architecture": _file(_pair("general.name", 8, _string("x"))),
    "architecture is a number": _file(_pair("general.architecture", 4, struct.pack("<I", 1))),
    "huge pair count": b"GGUF" + struct.pack("<IQQ", 3, 0, _HUGE) + _ARCHITECTURE,
    "huge tensor count": _file(_ARCHITECTURE, tensor_count=_HUGE),
    "huge string": _file(_ARCHITECTURE, _string("k") + struct.pack("<IQ", 8, _HUGE)),
    "huge key": _file(_ARCHITECTURE, struct.pack("<Q", _HUGE)),
    "huge array": _file(_ARCHITECTURE, _pair("k", 9, struct.pack("<IQ", 4, _HUGE))),
    "huge array of strings": _file(_ARCHITECTURE, _pair("k", 9, struct.pack("<IQ", 8, _HUGE))),
    "array of an unknown type": _file(_ARCHITECTURE, _pair("k", 9, struct.pack("<IQ", 99, 1))),
    "unknown type": _file(_ARCHITECTURE, _pair("k", 99, bytes(8))),
    "arrays in arrays": _file(_ARCHITECTURE, _pair("k", 9, struct.pack("<IQ", 9, 1) * 100_000)),
    "alignment of zero": _file(_ARCHITECTURE, _pair("general.alignment", 4, struct.pack("<I", 0))),
    "tensor of many dimensions": _file(_ARCHITECTURE, tensors=_string("t") + struct.pack("<I", 2**31), tensor_count=1),
    "tensor beyond the end": _file(
        _ARCHITECTURE, tensors=_string("t") + struct.pack("<IQIQ", 1, 32, 0, _HUGE), tensor_count=1
    ),
}


@pytest.mark.parametrize("content", _HOSTILE.values(), ids=_HOSTILE.keys())
def test_a_hostile_file_is_refused_without_allocating_for_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ModelError, match=r"model\.gguf") as caught:
        read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.hint
    assert peak < 3_000_000


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no file"):
        read_header(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_header(tmp_path / "absent.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelError, match="no file"):
        read_header(tmp_path / "pipe.gguf")


def test_the_tables_agree_with_the_format_s_own_library() -> None:
    for type_id, (name, elements, size) in _TENSOR_TYPES.items():
        kind = gguf.GGMLQuantizationType(type_id)
        assert (kind.name, *gguf.GGML_QUANT_SIZES[kind]) == (name, elements, size)
    for type_id, name in _FILE_TYPES.items():
        theirs = gguf.LlamaFileType(type_id).name.removeprefix("ALL_").removeprefix("MOSTLY_")
        assert theirs.removesuffix("_MOE") == name
