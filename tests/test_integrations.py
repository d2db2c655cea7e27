"""The recipes of docs/integrations.md: their files and commands, run with the tools where they are there."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, environment, tiny_model

__all__ = ["tiny_model"]

PAGE = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")

TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ModelOutput
from inspect_ai.solver import solver


@solver
def answering():
    async def solve(state, generate):
        state.output = ModelOutput.from_content("none", "It is 4." * (20_000 if state.sample_id == "long" else 1))
        return state

    return solve


@task
def sums():
    samples = [
        Sample(id="one", input="What is 2+2?", target="4"),
        Sample(id="two", input=[ChatMessageUser(content="What is 3+3?")], target=["6", "six"]),
        Sample(id="long", input="What is 1+1?", target="2"),
    ]
    return Task(dataset=samples, solver=answering())
"""

# A line of promptfoo 0.121.20, without its counts of tokens; and one of an answer that did not come.
LINE: dict[str, Any] = {
    "cost": 0,
    "gradingResult": {"pass": True, "score": 1, "reason": "No assertions"},
    "id": "5c9736c2-d87b-4f61-a726-092de53bb1d0",
    "prompt": {"raw": "What is 2+2?", "label": "{{question}}", "config": {}},
    "promptIdx": 0,
    "provider": {"id": "exec:./answer.sh", "label": ""},
    "response": {"output": "It is four; you asked What is 2+2?"},
    "score": 1,
    "success": True,
    "testCase": {"vars": {"question": "What is 2+2?", "reference": "4"}, "assert": [], "options": {}, "metadata": {}},
    "testIdx": 0,
    "vars": {"question": "What is 2+2?", "reference": "4"},
    "failureReason": 0,
}
FAILED = {**{name: value for name, value in LINE.items() if name != "response"}, "id": "failed", "error": "timeout"}


def command(section: str, start: str) -> list[str]:
    """The words of a command of the page, in the section of a tool."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    (found,) = re.findall(rf"^\$ (?:.*\| )?({start}.*)$", text, re.MULTILINE)
    return found.split()


def judge(words: list[str], folder: Path, model: Path, **options: Any) -> list[dict[str, Any]]:
    """The verdicts that the command of the page writes, with the small model in direct mode."""
    done = subprocess.run(
        [sys.executable, "-m", "fare_cli", *words[1:]],
        cwd=folder,
        capture_output=True,
        env=environment(FARE_MODEL=str(model), FARE_MODE="direct", FARE_CTX="2048", FARE_MAX_INVALID="100%"),
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in (folder / "verdicts.jsonl").read_text().splitlines()]


def test_what_promptfoo_wrote_is_read_as_it_is(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "results.jsonl").write_text(json.dumps(LINE) + "\n" + json.dumps(FAILED) + "\n")
    answered, failed = judge(command("promptfoo", "fare judge"), tmp_path, tiny_model)
    assert (answered["status"], failed["status"]) == ("ok", "invalid")
    assert answered["id"] == LINE["id"]
    shown = {name: answered["record"][name] for name in ("question", "answer", "reference")}
    assert shown == {"question": "What is 2+2?", "answer": LINE["response"]["output"], "reference": "4"}
    assert "response.output" in failed["error"]["message"]


def test_promptfoo_itself(tmp_path: Path, tiny_model: Path) -> None:
    if shutil.which("promptfoo") is None:
        pytest.skip("promptfoo is not installed")
    config = {
        "prompts": ["{{question}}"],
        "providers": ["exec:./answer.sh"],
        "tests": [{"vars": {"question": "What is 2+2?", "reference": "4"}}],
    }
    (tmp_path / "promptfooconfig.yaml").write_text(json.dumps(config))
    (tmp_path / "answer.sh").write_text("#!/bin/sh\necho It is 4.\n")
    (tmp_path / "answer.sh").chmod(0o755)
    quiet = {f"PROMPTFOO_DISABLE_{name}": "1" for name in ("TELEMETRY", "UPDATE", "REMOTE_GENERATION", "SHARING")}
    own = {**os.environ, **quiet, "PROMPTFOO_CONFIG_DIR": str(tmp_path / "home")}
    subprocess.run(command("promptfoo", "promptfoo eval"), cwd=tmp_path, env=own, check=True, capture_output=True)
    (verdict,) = judge(command("promptfoo", "fare judge"), tmp_path, tiny_model)
    assert verdict["status"] == "ok"
    assert verdict["record"]["answer"].strip() == "It is 4."


def test_inspect_ai_takes_the_verdicts_back_as_scores(tmp_path: Path, tiny_model: Path) -> None:
    if importlib.util.find_spec("inspect_ai") is None:
        pytest.skip("inspect_ai is not installed")
    from inspect_ai.log import read_eval_log

    def inspect(words: list[str]) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "inspect_ai", *words[1:], "--display", "plain"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    (tmp_path / "task.py").write_text(TASK)
    for name, text in re.findall(r"^```python\n# ([\w.]+)(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        (tmp_path / name).write_text(f"# {name}{text}")
    inspect([word.replace("MODEL", "none") for word in command("inspect_ai", "inspect eval")])
    (log,) = tmp_path.glob("logs/*.eval")
    records = subprocess.run(
        [sys.executable, "to_records.py", log], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    verdicts = judge(command("inspect_ai", "fare judge"), tmp_path, tiny_model, input=records.encode())
    assert [verdict["status"] for verdict in verdicts] == ["ok", "ok", "invalid"]
    assert verdicts[1]["record"]["reference"] == "6 or six"
    scored = inspect([word.replace("logs/LOG.eval", str(log)) for word in command("inspect_ai", "inspect score")])
    assert "accuracy" in scored
    samples = {str(sample.id): (sample.scores or {})["fare"] for sample in read_eval_log(str(log)).samples or []}
    for verdict in verdicts[:2]:
        assert samples[verdict["id"].split(":")[0]].value == ("C" if verdict["verdict"] == "yes" else "I")
    assert samples["long"].value != samples["long"].value, "not a number: unscored"
    assert "tokens" in str(samples["long"].explanation)
