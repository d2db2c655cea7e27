"""Checking installed models again, byte for byte."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from fare_cli.errors import ModelError
from fare_cli.gguf.importing import import_model
from fare_cli.gguf.notes import notes_file
from fare_cli.gguf.store import file_sha256, resolve_model
from fare_cli.gguf.verify import verify_model
from tests.engine import tiny_models
from tests.gguf.splitting import write_split


@pytest.fixture
def installed(home: Path, tmp_path: Path) -> Path:
    return import_model(tiny_models.write_qwen3(tmp_path / "tiny.gguf")).path


def _flip(path: Path, place: int) -> None:
    """Changes one bit and leaves size and time as they were: what a failing disk does."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_what_was_installed_is_in_order(installed: Path) -> None:
    result = verify_model("tiny")
    assert result.ok
    assert result.expected == result.sha256 == hashlib.sha256(installed.read_bytes()).hexdigest()
    assert result.expected_from == "notes"


def test_one_bit_is_found_even_where_size_and_time_are_the_same(installed: Path) -> None:
    before = file_sha256(installed)
    _flip(installed, -1)
    assert file_sha256(installed) == before, "which is remembered"
    result = verify_model("tiny")
    assert not result.ok
    assert f"and should be {before}" in result.problems[0]
    assert resolve_model("tiny").sha256 == result.sha256, "from now on the judge is what it really is"


def test_a_part_that_changed_is_found(home: Path, tmp_path: Path) -> None:
    whole = tiny_models.write_qwen3(tmp_path / "whole.gguf")
    first = import_model(write_split(whole, tmp_path / "split", "big", 3)[0]).path
    assert verify_model("big").ok
    _flip(first.with_name("big-00003-of-00003.gguf"), -1)
    assert "its checksum is" in verify_model("big").problems[0]
    first.with_name("big-00002-of-00003.gguf").unlink()
    result = verify_model("big")
    assert (result.ok, result.sha256, len(result.problems)) == (False, None, 1)
    assert "big-00002-of-00003.gguf" in result.problems[0]


def test_a_file_that_was_cut_is_said_to_be(installed: Path) -> None:
    with installed.open("r+b") as file:
        file.truncate(installed.stat().st_size - 4096)
    problems = verify_model("tiny").problems
    assert "cut off" in problems[0]
    assert "its checksum is" in problems[1]


def test_without_a_checksum_only_the_file_itself_is_checked(installed: Path) -> None:
    notes_file(installed).unlink()
    result = verify_model("tiny")
    assert (result.ok, result.expected, result.expected_from) == (True, None, None)
    assert result.sha256 == file_sha256(installed)


def test_the_catalog_knows_where_no_notes_are(home: Path, smollm2_path: Path) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / "smollm2.gguf").symlink_to(smollm2_path)
    result = verify_model("smollm2")
    assert (result.ok, result.expected_from) == (True, "catalog")


def test_notes_that_cannot_be_read_are_a_problem_and_no_end(installed: Path) -> None:
    notes_file(installed).write_text("{")
    result = verify_model("tiny")
    assert "tiny.json" in result.problems[0]
    assert result.sha256 is not None


def test_an_adapter_is_checked_against_its_base(installed: Path, tmp_path: Path) -> None:
    adapter = import_model(tiny_models.write_lora(tmp_path / "lora.gguf"), base="tiny")
    assert verify_model("lora").ok
    tiny_models.write_llama3(installed)
    assert "does not fit tiny" in verify_model("lora").problems[0]
    installed.unlink()
    assert "tiny, which is not installed" in verify_model("lora").problems[0]
    notes_file(adapter.path).unlink()
    assert "do not name its base" in verify_model("lora").problems[0]


def test_a_name_that_is_not_installed_is_an_error(installed: Path) -> None:
    with pytest.raises(ModelError, match="no model is installed as tinny") as caught:
        verify_model("tinny")
    assert "tiny" in str(caught.value.hint)
    with pytest.raises(ModelError, match="no model is installed as"):
        verify_model(str(installed))
