"""The GitHub Action: valid by GitHub's schema, and its steps run in a shell the way a runner runs them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from fare_cli.run.manifest import read_manifest
from tests.cli.conftest import ROOT, tiny_model
from tests.gate.test_outputs import SCHEMA

__all__ = ["tiny_model"]

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
_EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")


def test_it_is_valid_by_githubs_schema(tmp_path: Path) -> None:
    def checked(text: str) -> int:
        (tmp_path / "action.yml").write_text(text)
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert checked(text) == 0
    assert checked(text.replace("shell: bash", "shells: bash")) != 0


def test_the_workflow_of_the_docs_uses_it_right(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(# \.github/workflows/.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "workflow.yml").write_text(text)
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", "workflow.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (step,) = [one for one in yaml.safe_load(text)["jobs"]["judge"]["steps"] if "/fare@" in one.get("uses", "")]
    needed = {name for name, one in ACTION["inputs"].items() if one.get("required")}
    assert needed <= set(step["with"]) <= set(ACTION["inputs"])
    assert set(re.findall(r"steps\.fare\.outputs\.(\w+)", text)) <= set(ACTION["outputs"])
    # The tables name them all.
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert re.search(rf"^\|[^|]*`{name}`", page, re.MULTILINE), name


def test_no_input_is_part_of_a_script() -> None:
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) == 5
    assert not any("${{" in script for script in scripts)
    named = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert named == set(ACTION["inputs"]), "every input is used, and every one used is there"


def test_what_is_cached_is_the_model_alone() -> None:
    (cache,) = [step["with"] for step in STEPS if step.get("uses", "").startswith("actions/cache@")]
    assert cache == {"path": "${{ steps.home.outputs.path }}/models", "key": "${{ steps.home.outputs.key }}"}


@dataclass
class Runner:
    """As much of a runner as composite steps see: expressions, environment, files of outputs and the summary."""

    folder: Path
    inputs: dict[str, str]
    temp: Path
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        return (self.temp / "summary").read_text(encoding="utf-8")

    def value(self, text: str) -> str:
        """A text of action.yml with its expressions filled in."""
        context = {
            "github.action_path": str(ROOT),
            "runner.temp": str(self.temp),
            **{
                f"inputs.{name}": self.inputs.get(name, one.get("default", ""))
                for name, one in ACTION["inputs"].items()
            },
            **{f"steps.{id}.outputs.{name}": one for id, named in self.outputs.items() for name, one in named.items()},
        }
        return _EXPRESSION.sub(lambda found: context.get(found[1], ""), text)

    def run(self) -> int:
        """All steps up to the first that fails; its exit code, or 0."""
        for number, step in enumerate(STEPS):
            if step.get("id") in self.outputs:
                continue
            if "uses" in step:
                # What setup-python gives; the cache is empty.
                self.outputs[step.get("id", str(number))] = {"python-path": sys.executable}
            elif "if" not in step or self._holds(step["if"]):
                code = self._shell(step, number)
                if code:
                    return code
        return 0

    def _holds(self, condition: str) -> bool:
        name, wanted = re.fullmatch(r"inputs\.([\w-]+) != '(.*)'", condition).groups()  # type: ignore[union-attr]
        return self.value(f"${{{{ inputs.{name} }}}}") != wanted

    def _shell(self, step: dict[str, Any], number: int) -> int:
        script, output = self.temp / f"{number}.sh", self.temp / f"{number}.output"
        script.write_text(step["run"], encoding="utf-8")
        output.touch()
        assert step["shell"] == "bash"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={
                **bare_environment(),
                **{name: self.value(value) for name, value in step["env"].items()},
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.temp / "summary"),
            },
        )
        lines = [line.partition("=") for line in output.read_text().splitlines()]
        self.outputs[step["id"]] = {name: value for name, _, value in lines}
        self.logs[step["id"]] = done.stdout + done.stderr
        self.codes[step["id"]] = done.returncode
        return done.returncode

    def output(self, name: str) -> str:
        """An output of the action."""
        return self.value(ACTION["outputs"][name]["value"])


def bare_environment() -> dict[str, str]:
    """What pip needs to install this checkout as it says, but from nowhere: what fare depends on is borrowed."""
    packages = [sysconfig.get_path("purelib"), *(folder for folder in sys.path if folder.endswith("-packages"))]
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "FARE_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys([*packages, os.environ.get("PYTHONPATH", "")])),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def scores(count: int, **more: object) -> str:
    rows = [
        {"question": f"What is {n}+2?", "answer": f"{n + 2}", "rubric": "Is it right?", **more} for n in range(count)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work space"
    folder.mkdir()
    (folder / "first.jsonl").write_text(scores(5))
    (folder / "two words.jsonl").write_text(scores(4, context="A sum."))
    return folder


Make = Callable[..., Runner]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the steps up to the installation give, which are run once."""
    folder = tmp_path_factory.mktemp("installed")
    ran = Runner(folder, {}, folder, outputs={"python": {"python-path": sys.executable}})
    step = next(step for step in STEPS if step.get("id") == "install")
    assert ran._shell(step, 0) == 0, ran.logs
    assert Path(ran.outputs["install"]["fare"]).is_file()
    return ran.outputs


@pytest.fixture
def runner(workspace: Path, installed: dict[str, dict[str, str]]) -> Make:
    """A runner that has installed fare; the inputs of the action by keyword."""

    def make(model: Path | str, **inputs: str) -> Runner:
        temp = workspace.parent / "temp"
        temp.mkdir(exist_ok=True)
        given = {"task": "score", "records": "first.jsonl\ntwo words.jsonl\n", "model": str(model), **inputs}
        named = {name.replace("_", "-"): value for name, value in given.items()}
        return Runner(workspace, named, temp, outputs=dict(installed))

    return make


def test_it_installs_judges_and_gates(workspace: Path, tiny_model: Path, runner: Make) -> None:
    # What stands in the repository is no setting of the judge.
    (workspace / "fare.toml").write_text('mode = "nonsense"\n')
    limits = "--min-score=1.0001\n--undecided=fail\n"
    ran = runner(tiny_model, judge_options="--mode=direct\n--ctx=2048\n", gate_options=limits)
    assert ran.run() == 0, ran.logs
    assert ran.output("outcome") == "pass"
    assert ran.output("verdicts") == "verdicts.jsonl"
    manifest = read_manifest(workspace / "verdicts.jsonl")
    assert manifest is not None
    assert (manifest.counts["ok"], manifest.complete) == (9, True)
    assert manifest.judge["options"]["mode"] == "direct"
    assert "### fare gate: pass" in ran.summary
    assert "### fare gate: pass" in Path(ran.output("markdown")).read_text()
    SCHEMA.validate(Path(ran.output("junit")).read_text())
    # Once more without installing: a limit that is broken, and one that cannot be told.
    for limits, code, outcome in (("--min-score=4.99", 1, "fail"), ("--records=10\n--min-score=2", 3, "invalid")):
        ran.inputs["gate-options"] = limits
        gate = next(step for step in STEPS if step.get("id") == "gate")
        assert ran._shell(gate, 9) == code
        assert ran.output("outcome") == outcome
        assert "::error title=fare gate" in ran.logs["gate"]


def test_the_gate_sees_verdicts_that_are_all_invalid(workspace: Path, tiny_model: Path, runner: Make) -> None:
    (workspace / "none.jsonl").write_text('{"question": "no answer"}\n')
    ran = runner(tiny_model, records="none.jsonl", judge_options="--mode=direct", gate_options="--min-score=2")
    assert ran.run() == 3
    assert (ran.codes["judge"], ran.codes["gate"], ran.output("outcome")) == (0, 3, "invalid")
    # A file from before is not what was judged now.
    ran.inputs["judge-options"] = "--mode=direct\n--strict"
    judge = next(step for step in STEPS if step.get("id") == "judge")
    assert ran._shell(judge, 8) == 3


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serves the files of a folder on 127.0.0.1; the address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_it_gets_the_model_it_was_told_and_no_other(workspace: Path, tiny_model: Path, runner: Make) -> None:
    sha256 = hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    with served(tiny_model.parent) as address:
        ran = runner(f"{address}/{tiny_model.name}", model_sha256=sha256, judge_options="--mode=direct")
        assert ran.run() == 0, ran.logs
        assert ran.output("outcome") == "", "nothing was gated"
        manifest = read_manifest(workspace / "verdicts.jsonl")
        assert manifest is not None
        assert manifest.judge["weights"] == f"sha256:{sha256}"
        # A cache that somebody has filled with another model.
        (model,) = ran.temp.glob("fare-model-*/models/judge.gguf")
        model.write_bytes(b"GGUF" + model.read_bytes())
        assert runner(ran.inputs["model"], model_sha256=sha256).run() == 1
    wrong = runner(tiny_model, model_sha256="0" * 64)
    assert wrong.run() == 1
    assert "FAILED" in wrong.logs["model"]
    assert "judge" not in wrong.codes


def test_hostile_inputs_stay_arguments(workspace: Path, tiny_model: Path, runner: Make) -> None:
    """Nothing in an input is run, or splits into more than one argument."""
    hostile = 'x"; touch owned; $(touch owned) `touch owned` *.jsonl'
    ran = runner(tiny_model, records=hostile, judge_options="--mode=direct")
    assert ran.run() == 2
    assert hostile in ran.logs["judge"]
    ran = runner(tiny_model, judge_options=hostile, gate_options=hostile, verdicts=hostile)
    assert ran.run() == 2
    assert not list(workspace.rglob("owned*"))
    assert not list(workspace.parent.rglob("owned*"))
