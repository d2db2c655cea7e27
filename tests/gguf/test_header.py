"""The GGUF header reader: right on real files, and an error, never a crash or a huge allocation, on hostile ones."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fare_cli.errors import ModelError
from fare_cli.gguf.header import _FILE_TYPES, _TENSOR_TYPES, Header, read_header


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _pair(key: str, type_id: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", type_id) + value


_ARCHITECTURE = _pair("general.architecture", 8, _string("llama"))


def _tensor(name: str, *shape: int, type_id: int = 0, offset: int = 0) -> bytes:
    return _string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, type_id, offset)


def _two_tensors(one: bytes, other: bytes) -> bytes:
    return _file(_ARCHITECTURE, tensors=one + other, tensor_count=2) + bytes(999)


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
    writer.add_head_count_kv([2, 4])
    writer.add_array("qwen3.attention.sliding_window_pattern", [True, False])
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "<|im_end|>"])
    writer.add_array("tokenizer.ggml.token_type", [True] * 513)
    writer.add_array("tokenizer.ggml.scores", [0.5, 0.25, 0.0])
    writer.add_int32("after.arrays", -7)
    writer.add_tensor("output.weight", np.zeros((8, 64), dtype=np.float16))
    writer.add_tensor("blk.1.ffn_norm.weight", np.zeros(64, dtype=np.float32))
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
    assert header.metadata["qwen3.attention.head_count_kv"] == (2, 4)
    assert header.metadata["qwen3.attention.sliding_window_pattern"] == (True, False)
    assert header.vocabulary == 3
    assert "tokenizer.ggml.token_type" not in header.metadata, "only short arrays are kept"
    assert (header.architecture, header.context_length, header.parameters) == ("qwen3", 4096, 8 * 64 + 64)
    assert header.quantisation == "F16", "without a file type, the type that holds most weights names it"
    assert [(tensor.name, tensor.shape, tensor.type, tensor.bytes, tensor.layer) for tensor in header.tensors] == [
        ("output.weight", (64, 8), "F16", 1024, None),
        ("blk.1.ffn_norm.weight", (64,), "F32", 256, 1),
    ]


def test_every_way_to_cut_a_file_off_is_noticed(small_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(small_model.read_bytes())
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        with pytest.raises(ModelError):
            read_header(path)


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
    "tensor beyond the end": _file(_ARCHITECTURE, tensors=_tensor("t", 32, offset=_HUGE), tensor_count=1),
    "tensor of an unknown type": _file(_ARCHITECTURE, tensors=_tensor("t", 32, type_id=99), tensor_count=1),
    "tensor of 2^64 weights": _file(_ARCHITECTURE, tensors=_tensor("t", *[2**64 - 32] * 4), tensor_count=1),
    "tensor with a broken row": _file(_ARCHITECTURE, tensors=_tensor("t", 33, type_id=2), tensor_count=1),
    "tensor between alignments": _file(_ARCHITECTURE, tensors=_tensor("t", 32, offset=7), tensor_count=1) + bytes(999),
    "tensor with a long name": _file(_ARCHITECTURE, tensors=_tensor("t" * 64, 32), tensor_count=1) + bytes(999),
    "tensors with one name": _two_tensors(_tensor("t", 32), _tensor("t", 32, offset=128)),
    "tensors in one place": _two_tensors(_tensor("t", 32), _tensor("u", 32)),
    "tensors that overlap": _two_tensors(_tensor("t", 64), _tensor("u", 32, offset=128)),
    "tensors that overlap backwards": _two_tensors(_tensor("t", 32, offset=128), _tensor("u", 64)),
    "two values for one key": _file(_ARCHITECTURE, _ARCHITECTURE),
    "a value and an array for one key": _file(
        _ARCHITECTURE, _pair("k", 9, struct.pack("<IQ", 4, 600) + bytes(2400)), _pair("k", 4, bytes(4))
    ),
    "alignment of three": _file(_ARCHITECTURE, _pair("general.alignment", 4, struct.pack("<I", 3))),
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


# A file with a hole of 20 GB behind its first bytes: all counts are within the file, and every byte read is zero.
_HOLE = 20 * 10**9
_HOLLOW = {
    "strings": _pair("k", 9, struct.pack("<IQ", 8, 2**31)),
    "arrays": _pair("k", 9, struct.pack("<IQ", 9, 2**30)),
    "text": _pair("k", 8, struct.pack("<Q", 10**10)),
    "a key": struct.pack("<Q", 10**10),
    "pairs": b"",
}


@pytest.mark.parametrize("begin", _HOLLOW.values(), ids=_HOLLOW.keys())
def test_a_huge_hole_is_refused_at_once_and_in_little_memory(tmp_path: Path, begin: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60 if not begin else 2) + _ARCHITECTURE + begin)
    os.truncate(path, _HOLE)
    assert _read_in_little_memory(path) == "ModelError"


def test_as_many_tensors_as_fit_are_read_in_little_memory(tmp_path: Path) -> None:
    """65,536 empty tensors with names of 63 bytes are the most that is taken."""
    path = tmp_path / "model.gguf"
    count = 1 << 16
    tensors = b"".join(_tensor(f"{number:063}", 0) for number in range(count))
    path.write_bytes(_file(_ARCHITECTURE, tensors=tensors, tensor_count=count) + bytes(64))
    assert _read_in_little_memory(path) == "Header"
    path.write_bytes(_file(_ARCHITECTURE, tensors=tensors + _tensor("t", 0), tensor_count=count + 1) + bytes(64))
    assert _read_in_little_memory(path) == "ModelError"


def _read_in_little_memory(path: Path) -> str:
    """What came of reading a file in a process that may take 300 MB and 20 s of processor time beyond the file's own
    address space."""
    program = f"""
import resource, sys
from pathlib import Path
from fare_cli.errors import ModelError
from fare_cli.gguf.header import read_header
most = {path.stat().st_size} + 300 * 10**6
resource.setrlimit(resource.RLIMIT_AS, (most, most))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
try:
    print(type(read_header(Path(sys.argv[1]))).__name__)
except ModelError:
    print("ModelError")
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


_NUMBERS = st.one_of(st.integers(0, 40), st.integers(2**64 - 40, 2**64 - 1), st.integers(0, 2**64 - 1))
_VALUES = st.one_of(
    st.tuples(st.just(4), st.integers(0, 2**32 - 1).map(lambda number: struct.pack("<I", number))),
    st.tuples(st.just(8), st.tuples(_NUMBERS, st.binary(max_size=20)).map(lambda p: struct.pack("<Q", p[0]) + p[1])),
    st.tuples(
        st.just(9),
        st.tuples(st.integers(0, 13), _NUMBERS, st.binary(max_size=60)).map(
            lambda parts: struct.pack("<IQ", parts[0], parts[1]) + parts[2]
        ),
    ),
)
_TENSORS = st.tuples(
    st.sampled_from(["token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_up.weight", "blk.99999.x"]),
    st.lists(_NUMBERS, max_size=5),
    st.integers(0, 45),
    st.one_of(_NUMBERS, st.integers(0, 8).map(lambda number: 32 * number)),
).map(lambda parts: _tensor(parts[0], *parts[1], type_id=parts[2], offset=parts[3]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "general.alignment"]), _VALUES), max_size=4),
    st.lists(_TENSORS, max_size=4),
    st.one_of(st.none(), _NUMBERS),
    st.integers(0, 400),
)
def test_whatever_a_header_says_is_an_error_or_a_header(
    tmp_path: Path, pairs: list[tuple[str, tuple[int, bytes]]], tensors: list[bytes], count: int | None, data: int
) -> None:
    values = [_ARCHITECTURE, *(_pair(key, type_id, value) for key, (type_id, value) in pairs)]
    content = _file(*values, tensors=b"".join(tensors), tensor_count=len(tensors) if count is None else count)
    tracemalloc.start()
    try:
        header = _read(tmp_path, content + bytes(data))
    except ModelError:
        pass
    else:
        assert isinstance(header, Header)
        assert sum(tensor.bytes for tensor in header.tensors) <= len(content) + data
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
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
