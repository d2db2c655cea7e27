"""`fare models`: what a user sees of listing, showing and pulling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fare_cli.cli.models import models_app
from fare_cli.errors import ModelError
from fare_cli.gguf.catalog import catalog
from tests.engine import tiny_models
from tests.gguf.splitting import write_split


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `FARE_HOME` of the test's own, where nothing is installed."""
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def installed(home: Path, smollm2_path: Path) -> Path:
    """The small model, installed in the home."""
    path = home / "models" / "smollm2.gguf"
    path.parent.mkdir(parents=True)
    path.symlink_to(smollm2_path)
    return path


def test_an_empty_list_tells_how_to_get_a_model_on_stderr(home: Path) -> None:
    result = CliRunner().invoke(models_app, ["list"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "fare models pull smollm2" in result.stderr
    assert "judges poorly" in result.stderr


def test_the_list_has_one_line_a_model(installed: Path) -> None:
    (installed.parent / "other.gguf").write_bytes(b"GGUF")
    result = CliRunner().invoke(models_app, ["list"])
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["other", "smollm2"]
    assert str(installed) in result.stdout
    assert "fare models pull smollm2" not in result.stderr


def test_the_list_as_json_says_what_is_installed(home: Path) -> None:
    result = CliRunner().invoke(models_app, ["list", "--json"])
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["smollm2"]["bytes"] == catalog()["smollm2"].bytes
    assert not any(row["installed"] for row in rows.values())
    assert (rows["smollm2"]["unverified"], rows["qwen3-8b"]["unverified"]) == (False, True)
    assert (rows["fare-8b"]["command"], rows["fare-8b"]["restricts"]) == ("build", "no commercial use")


def test_the_size_of_a_split_model_is_that_of_all_its_parts(home: Path) -> None:
    (home / "models").mkdir(parents=True)
    for number in (1, 2, 3):
        (home / "models" / f"big-{number:05}-of-00003.gguf").write_bytes(b"GGUF" + bytes(9_999_996))
    result = CliRunner().invoke(models_app, ["list"])
    assert result.stdout.split("\t")[:2] == ["big", "0.03 GB"]


@pytest.mark.parametrize("by", ["name", "path"])
def test_show_prints_what_the_header_says(installed: Path, by: str) -> None:
    result = CliRunner().invoke(models_app, ["show", "smollm2" if by == "name" else str(installed), "--json"])
    shown = json.loads(result.stdout)
    memory = shown.pop("memory")
    assert [(row["ctx"], row["kv_type"]) for row in memory] == [
        (4096, "f16"),
        (4096, "q8_0"),
        (8192, "f16"),
        (8192, "q8_0"),
    ]
    # 30 layers of 3 heads of 64 values, keys and values, in 2 bytes each.
    assert memory[0]["cache_bytes"] == 4096 * 30 * 3 * 64 * 2 * 2
    types = shown.pop("tensor_types")
    assert list(types) == ["Q4_1", "Q8_0", "F32"]
    assert sum(types.values()) == pytest.approx(1)
    assert shown == {
        "name": "smollm2",
        "path": str(installed),
        "bytes": 98_362_432,
        "sha256": catalog()["smollm2"].sha256,
        "architecture": "llama",
        "quantisation": "Q4_1",
        "context": 8192,
        "parameters": 134_515_008,
        "parts": [],
        "adapter": None,
        "template": "chatml",
        "licence": "Apache-2.0",
        "source": None,
        "prompts": dict.fromkeys(("pairwise", "step", "verify", "score"), "fare"),
        "decoding": {},
        "quantisation_check": None,
    }


def test_show_for_people_has_the_same(installed: Path) -> None:
    lines = CliRunner().invoke(models_app, ["show", "smollm2"]).stdout.splitlines()
    shown = {line[:13].strip(): line[13:].strip() for line in lines}
    assert (shown["architecture"], shown["quantisation"], shown["context"]) == ("llama", "Q4_1", "8192")
    assert shown["tensor types"] == "Q4_1 78.9%, Q8_0 21.0%, F32 0.0%"
    assert "one ask of 8,192 tokens" in shown["memory"]
    assert shown["sha256"] == catalog()["smollm2"].sha256


def test_show_of_a_damaged_file_is_an_error(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF")
    result = CliRunner().invoke(models_app, ["show", str(path)])
    assert isinstance(result.exception, ModelError)
    assert "cut off" in result.exception.message


def test_pull_prints_the_path_on_stdout_and_talks_on_stderr(home: Path, smollm2_path: Path) -> None:
    for _ in range(2):
        result = CliRunner().invoke(models_app, ["pull", "smollm2", "--from", str(smollm2_path)])
        assert result.stdout == f"smollm2\t{home / 'models' / 'smollm2.gguf'}\n"


def test_the_list_gives_a_split_model_the_size_of_all_its_parts(home: Path, tmp_path: Path) -> None:
    whole = tiny_models.write_qwen3(tmp_path / "tiny.gguf")
    (home / "models").mkdir(parents=True)
    parts = write_split(whole, home / "models", "big", 3)
    result = CliRunner().invoke(models_app, ["list", "--json"])
    (row,) = [row for row in json.loads(result.stdout) if row["installed"]]
    assert (row["name"], row["bytes"]) == ("big", sum(part.stat().st_size for part in parts))
