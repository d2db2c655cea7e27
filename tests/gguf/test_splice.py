"""Another header, the same model: to the byte."""

from __future__ import annotations

import shutil
import stat
from collections import namedtuple
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.splice import splice

VALUES = {"fare.prompts": "{}", "fare.decoding": 'ü"\n'}


@pytest.fixture(params=[8, 32, 64, 4096])
def small_model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with arrays and tensors of several types, at several alignments."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    if request.param != 32:
        writer.add_custom_alignment(request.param)
    writer.add_context_length(4096)
    writer.add_string("general.name", "töst")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "<|im_end|>"])
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    random = np.random.default_rng(0)
    writer.add_tensor("output.weight", random.standard_normal((8, 64)).astype(np.float16))
    writer.add_tensor("output_norm.weight", random.standard_normal(67).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def fields(path: Path) -> dict[str, Any]:
    reader = gguf.GGUFReader(path)
    return {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def tensors(path: Path) -> dict[str, tuple[Any, ...]]:
    return {t.name: (t.tensor_type, list(t.shape), t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}


def test_only_our_values_are_added_and_tensors_are_the_same_bytes(small_model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    splice(small_model, target, VALUES)
    assert fields(target) == {**fields(small_model), **VALUES}
    assert tensors(target) == tensors(small_model)


def test_what_was_set_is_replaced_and_taking_it_out_gives_the_old_file_back(small_model: Path, tmp_path: Path) -> None:
    before = small_model.read_bytes()
    splice(small_model, small_model, VALUES)
    splice(small_model, small_model, {"fare.prompts": "x" * 5000})
    assert fields(small_model)["fare.prompts"] == "x" * 5000
    assert fields(small_model)["fare.decoding"] == VALUES["fare.decoding"]
    splice(small_model, small_model, dict.fromkeys(VALUES))
    assert small_model.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["small.gguf"]


def test_a_real_model_comes_back_to_the_byte(smollm2_path: Path, tmp_path: Path) -> None:
    with_values, without = tmp_path / "with.gguf", tmp_path / "without.gguf"
    splice(smollm2_path, with_values, VALUES)
    splice(with_values, without, dict.fromkeys(VALUES))
    assert with_values.stat().st_size > smollm2_path.stat().st_size
    assert without.read_bytes() == smollm2_path.read_bytes()


def test_the_permissions_are_those_of_the_source(small_model: Path, tmp_path: Path) -> None:
    small_model.chmod(0o640)
    splice(small_model, tmp_path / "out.gguf", VALUES)
    assert stat.S_IMODE((tmp_path / "out.gguf").stat().st_mode) == 0o640


def test_a_disk_without_room_is_told_before_anything_is_written(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 1000))
    with pytest.raises(EnvironmentFault, match="are free"):
        splice(small_model, tmp_path / "out.gguf", VALUES)
    assert [path.name for path in tmp_path.iterdir()] == ["small.gguf"]


def test_a_damaged_source_and_a_missing_folder_are_errors(small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        splice(small_model, tmp_path / "no" / "out.gguf", VALUES)
    small_model.write_bytes(small_model.read_bytes()[:200])
    with pytest.raises(ModelError, match="cut off"):
        splice(small_model, tmp_path / "out.gguf", VALUES)
    assert not (tmp_path / "out.gguf").exists()
