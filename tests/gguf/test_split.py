"""Split models: llama.cpp's names, and parts that do not belong together."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from fare_cli.errors import ModelError
from fare_cli.gguf.header import read_header
from fare_cli.gguf.split import model_name, part_file_names, part_paths, read_model
from fare_cli.gguf.store import installed_models, resolve_model
from tests.engine import tiny_models
from tests.gguf.splitting import write_split


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("judge.gguf", "judge"),
        ("judge-00001-of-00003.gguf", "judge"),
        ("judge-00003-of-00003.gguf", "judge"),
        ("qwen2.5-7b-00001-of-00001.gguf", "qwen2.5-7b"),
        ("judge-00004-of-00003.gguf", "judge-00004-of-00003"),
        ("judge-00000-of-00003.gguf", "judge-00000-of-00003"),
        ("judge-1-of-3.gguf", "judge-1-of-3"),
        ("-00001-of-00003.gguf", "-00001-of-00003"),
    ],
)
def test_the_name_is_what_stands_before_the_parts_number(file: str, name: str) -> None:
    assert model_name(Path("folder") / file) == name


def test_all_parts_follow_from_any() -> None:
    parts = [Path("x") / name for name in part_file_names("big", 3)]
    assert [path.name for path in parts][1] == "big-00002-of-00003.gguf"
    assert all(part_paths(part) == parts for part in parts)
    assert part_paths(Path("one-00001-of-00001.gguf")) == [Path("one-00001-of-00001.gguf")]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return tiny_models.write_qwen3(tmp_path / "whole.gguf")


@pytest.fixture
def parts(home: Path, whole: Path) -> list[Path]:
    """The model in three parts, put into the models folder by hand."""
    return write_split(whole, home / "models", "big", 3)


def test_a_split_model_is_one_model_with_all_its_tensors(parts: list[Path], whole: Path) -> None:
    assert installed_models() == {"big": parts[0]}
    header, expected = read_model(parts[1]), read_header(whole)
    assert header.parameters == expected.parameters
    assert sorted(header.tensors) == sorted(expected.tensors)
    assert header.context_length == expected.context_length


def test_its_checksum_is_over_those_of_its_parts(parts: list[Path]) -> None:
    digests = [hashlib.sha256(part.read_bytes()).hexdigest() for part in parts]
    expected = hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()
    for given in ("big", None, parts[0], str(parts[2])):
        found = resolve_model(given)
        assert (found.path, found.name, found.sha256) == (parts[0], "big", expected)
    documented = "sha256sum big-*.gguf | sed 's/ .*//' | sha256sum"
    done = subprocess.run(documented, shell=True, cwd=parts[0].parent, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == expected


def test_parts_that_are_missing_are_named(parts: list[Path]) -> None:
    parts[1].unlink()
    with pytest.raises(ModelError, match=r"1 of its 3 parts missing.*big-00002-of-00003\.gguf"):
        resolve_model("big")
    parts[0].unlink()
    assert installed_models() == {}
    with pytest.raises(ModelError, match=r"big-00001-of-00003\.gguf, big-00002-of-00003\.gguf"):
        resolve_model(parts[2])


def test_a_whole_model_keeps_its_name_beside_a_split_one(parts: list[Path], whole: Path) -> None:
    (parts[0].parent / "big.gguf").write_bytes(whole.read_bytes())
    assert {name: path.name for name, path in installed_models().items()} == {
        "big": "big.gguf",
        "big-00001-of-00003": "big-00001-of-00003.gguf",
    }
    assert resolve_model("big-00001-of-00003").name == "big-00001-of-00003"


def test_parts_in_the_wrong_place_or_of_another_model_are_found(parts: list[Path], tmp_path: Path) -> None:
    second, third = parts[1].read_bytes(), parts[2].read_bytes()
    parts[1].write_bytes(third)
    with pytest.raises(
        ModelError, match=r"big-00002-of-00003\.gguf: its name says part 2 of 3, its header split\.no 2"
    ):
        read_model(parts[0])
    other = tiny_models.write_gpt_oss(tmp_path / "other.gguf")
    parts[1].write_bytes(write_split(other, tmp_path, "other", 3)[1].read_bytes())
    with pytest.raises(ModelError, match=r"its parts hold .* tensors, and it should have"):
        read_model(parts[0])
    parts[1].write_bytes(second[:-4000])
    with pytest.raises(ModelError, match=r"big-00002-of-00003\.gguf.*cut off"):
        read_model(parts[0])


def test_a_part_that_calls_itself_whole_is_no_part(parts: list[Path], whole: Path) -> None:
    parts[0].write_bytes(whole.read_bytes())
    with pytest.raises(ModelError, match=r"its name says part 1 of 3, its header split\.no 0 of 1"):
        read_model(parts[0])


def test_a_lone_later_part_is_no_model(parts: list[Path], tmp_path: Path) -> None:
    lone = tmp_path / "lone.gguf"
    lone.write_bytes(parts[1].read_bytes())
    with pytest.raises(ModelError, match=r"its header split\.no 1 of 3"):
        read_model(lone)
