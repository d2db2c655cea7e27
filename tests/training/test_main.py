"""`python -m training`: light to ask for help, and ended by errors as `fare` is."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.making import PAIR, write_records
from tests.training.running import verb
from training.__main__ import build_app

ROOT = Path(__file__).parents[2]
VERBS = sorted(build_app().commands)


@pytest.mark.parametrize("arguments", ["--help", *(f"{name} --help" for name in VERBS)])
def test_help_loads_nothing_heavy(arguments: str) -> None:
    program = (
        "import sys; from fare_cli.cli.main import run_app; from training.__main__ import build_app;"
        "run_app(build_app, 'training', sys.argv[1].split());"
        "print(*sorted(name for name in sys.modules if '.' not in name), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "Usage: training" in done.stdout
    assert not {"numpy", "llama_cpp", "torch", "transformers", "datasets", "scipy"} & set(done.stderr.split())


def test_fare_knows_nothing_of_training() -> None:
    for path in (ROOT / "fare_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.split(".")[0] == "training" for name in names), path


def test_errors_are_said_and_have_their_codes(
    tmp_path: Path, smollm2_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text('about = "x"\n[optimisation]\nlerning_rate = 1\n')
    samples = tmp_path / "samples.jsonl"
    samples.write_text("{}\n")
    assert verb("sft", str(samples), "-o", str(tmp_path / "o"), "--model", "x", "--config", str(config)) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"error: {config}: unknown key optimisation.lerning_rate")
    assert said[1] == "hint: did you mean learning_rate?"
    records = write_records(tmp_path / "records.jsonl", [{**PAIR, "gold": "C"}])
    model = str(smollm2_path)
    assert verb("rollout", str(records), "-o", str(tmp_path / "s.jsonl"), "--model", model, "--from-critiques") == 3
    assert "records.jsonl, line 1" in capsys.readouterr().err
    assert verb("nothing") == 2


def test_a_missing_package_is_said_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "trl" else find(name, *rest))
    config = ROOT / "training" / "configs" / "smoke.toml"
    code = verb("sft", str(tmp_path / "s.jsonl"), "-o", str(tmp_path / "o"), "--model", "x", "--config", str(config))
    assert code == 5
    assert capsys.readouterr().err.splitlines() == [
        "error: training needs packages that are not installed: trl",
        "hint: install them, in the checkout: pip install -e '.[train]'",
    ]
