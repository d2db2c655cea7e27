"""`fare doctor`: says whether this machine can judge, with an exit code, and where each setting came from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fare_cli.cli.doctor import doctor


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `FARE_HOME` without models, and an empty working directory."""
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def _doctor(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(doctor)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def _checks(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, said = _doctor("--json", *arguments)
    report = json.loads(said)
    assert report["ok"] == (code == 0)
    return code, {check["name"]: check for check in report["checks"]}


def test_a_machine_with_a_model_can_judge(smollm2_path: Path) -> None:
    code, checks = _checks("--model", str(smollm2_path))
    assert code == 0
    assert {"python", "platform", "engine", "gpu", "memory", "model", "decode"} <= set(checks)
    assert checks["engine"]["values"]["llama_cpp_python"] == "0.3.36"
    assert checks["memory"]["values"]["total_bytes"] > 10**8
    assert checks["model"]["values"]["path"] == str(smollm2_path)
    assert checks["decode"]["values"]["tokens"] == 10


def test_the_plan_is_that_of_the_settings_in_force(smollm2_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARE_SLOTS", "3")
    monkeypatch.setenv("FARE_CTX", "2048")
    monkeypatch.setenv("FARE_KV_TYPE", "q8_0")
    _, checks = _checks("--model", str(smollm2_path))
    plan = checks["plan"]["values"]
    assert (plan["slots"], plan["ctx"], plan["kv_type"]) == (3, 2048, "q8_0")
    assert plan["weights_bytes"] == 96_576_768
    assert plan["kv_bytes"] == plan["cells"] * 23_040 * 17 // 32
    assert "0.10" in checks["plan"]["message"]


def test_a_model_that_does_not_fit_is_a_problem_and_is_not_loaded(tmp_path: Path, too_large_model: Path) -> None:
    code, checks = _checks("--model", str(too_large_model))
    assert code == 0, "with the context that fare chooses it fits"
    (tmp_path / "work" / "fare.toml").write_text("ctx = 200_000_000")
    code, checks = _checks("--model", str(too_large_model))
    assert code == 5
    assert checks["plan"]["status"] == "problem"
    assert "--ctx" in checks["plan"]["hint"]
    assert "decode" not in checks


def test_without_a_model_the_exit_code_is_5_and_the_command_is_named() -> None:
    code, said = _doctor()
    assert code == 5
    assert "no model is installed" in said
    assert "hint: get the small one with: fare models pull smollm2" in said


def test_a_cut_off_model_is_found_without_a_crash(tmp_path: Path, smollm2_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    with smollm2_path.open("rb") as source, path.open("wb") as target:
        target.write(source.read(50_000_000))
    code, checks = _checks("--model", str(path))
    assert code == 5
    assert checks["model"]["status"] == "problem"
    assert "cut off" in checks["model"]["message"]
    assert "decode" not in checks


def test_a_model_that_llama_cpp_refuses_is_found(tmp_path: Path, smollm2_path: Path) -> None:
    code, checks = _checks("--model", str(_with(smollm2_path, tmp_path, b"blk.7.ffn_norm", b"blk.7.ffn_nurm")))
    assert code == 5
    assert checks["plan"]["status"] == "ok"
    assert checks["decode"]["status"] == "problem"
    assert "cannot load" in checks["decode"]["message"]


def test_a_model_whose_size_cannot_be_told_is_a_problem(tmp_path: Path, smollm2_path: Path) -> None:
    code, checks = _checks("--model", str(_with(smollm2_path, tmp_path, b"llama", b"xlama")))
    assert code == 5
    assert "context length" in checks["plan"]["message"]
    assert "decode" not in checks


def _with(model: Path, folder: Path, old: bytes, new: bytes) -> Path:
    """A copy of a model with the first occurrence of some bytes replaced."""
    path = folder / "odd.gguf"
    shutil.copy(model, path)
    with path.open("r+b") as file:
        start = file.read(4_000_000).index(old)
        file.seek(start)
        file.write(new)
    return path


def test_settings_are_shown_with_their_origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "fare.toml").write_text('votes = 3\nmodel = "judge"\n')
    monkeypatch.setenv("FARE_SLOTS", "7")
    code, said = _doctor("--settings", "--json", "--model", "flagged")
    assert code == 0
    rows = json.loads(said)
    assert rows["model"] == {"value": "flagged", "origin": "--model"}
    assert rows["slots"] == {"value": 7, "origin": "FARE_SLOTS"}
    assert rows["votes"] == {"value": 3, "origin": str(tmp_path / "work" / "fare.toml")}
    assert rows["mode"] == {"value": "critique", "origin": "default"}
    assert json.loads(_doctor("--settings", "--json", "--isolated")[1])["votes"]["value"] == 1


def test_settings_for_people_have_one_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARE_SLOTS", "7")
    lines = _doctor("--settings")[1].splitlines()
    shown = {line.split()[0]: line.split()[1:] for line in lines}
    assert shown["slots"] == ["7", "FARE_SLOTS"]
    assert shown["threads"] == ["-", "default"]
