"""The recipes of docs/ci.md: valid by the schemas of their servers, and the shell ones run in a repository."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from fare_cli.gguf.catalog import catalog
from fare_cli.run.manifest import read_manifest
from tests.cli.conftest import ROOT, environment, tiny_model
from tests.gate.test_outputs import SCHEMA

__all__ = ["tiny_model"]

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"^```(bash|yaml)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def block(start: str) -> str:
    """The one fenced block whose first or second line begins so."""
    (found,) = [text for _, text in _BLOCKS if any(line.startswith(start) for line in text.splitlines()[:2])]
    return found


GITHUB = block("# .github/workflows/judge.yml")
GITLAB = block("# .gitlab-ci.yml")
PRE_COMMIT = block("# .pre-commit-config.yaml")


@pytest.mark.parametrize(("text", "schema"), [(GITHUB, "vendor.github-workflows"), (GITLAB, "vendor.gitlab-ci")])
def test_pipelines_are_valid_by_the_schemas_of_their_servers(text: str, schema: str, tmp_path: Path) -> None:
    def checked(content: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "pipeline.yml").write_text(content)
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, "pipeline.yml"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = checked(text)
    assert done.returncode == 0, done.stdout
    broken = re.sub(r"(runs-on|stage): .*", r"\1: [[1]]", text)
    assert checked(broken).returncode != 0


def scripts_in(value: Any) -> list[str]:
    """All that a pipeline runs in a shell."""
    if isinstance(value, dict):
        own = [value[name] for name in ("run", "script", "before_script", "entry") if name in value]
        lines = [line for one in own for line in (one if isinstance(one, list) else [one])]
        return lines + [line for inner in value.values() for line in scripts_in(inner)]
    if isinstance(value, list):
        return [line for inner in value for line in scripts_in(inner)]
    return []


@pytest.mark.parametrize("text", [GITHUB, GITLAB, PRE_COMMIT])
def test_every_script_that_a_pipeline_runs_is_shell_and_in_the_page(text: str) -> None:
    scripts = scripts_in(yaml.safe_load(text))
    assert scripts
    for script in scripts:
        shell = re.sub(r"\$\{\{.*?\}\}", "x", script)
        subprocess.run(["bash", "-n", "-c", shell], check=True)
    for name in re.findall(r"bash (ci/\w+\.sh)", "\n".join(scripts)):
        assert f"# {name} " in block(f"# {name}")


def test_what_runs_the_change_neither_judges_nor_may_write() -> None:
    workflow = yaml.safe_load(GITHUB)
    assert workflow["permissions"] == {"contents": "read"}
    # yaml reads the key `on` as true.
    assert workflow[True] == "pull_request"
    judging = workflow["jobs"]["judge"]["steps"]
    checkouts = [step["with"]["ref"] for step in judging if "checkout" in step.get("uses", "")]
    assert checkouts == ["${{ github.event.pull_request.base.sha }}"]
    assert not any("answer " in step.get("run", "") for step in judging)
    (cache,) = [step["with"]["key"] for step in judging if "cache@" in step.get("uses", "")]
    assert "sha256" in cache
    (hook,) = yaml.safe_load(PRE_COMMIT)["repos"][0]["hooks"]
    assert (hook["stages"], hook["pass_filenames"]) == (["pre-push"], False)


ANSWER = """#!/usr/bin/env python3
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    print(json.dumps({**row, "answer": row["question"].upper() + %r}))
"""


class Repository:
    """A git repository that answers questions, with the scripts of the page and a model."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = model
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / "ci").mkdir()
        (folder / "eval").mkdir()
        for name in ("judge", "compare"):
            (folder / "ci" / f"{name}.sh").write_text(block(f"# ci/{name}.sh"))
        (folder / "ci" / "judge.sha256").write_text(hashlib.sha256(model.read_bytes()).hexdigest() + "\n")
        shutil.copytree(ROOT / "prompts", folder / "ci" / "prompts")
        rows = [{"id": f"q{number}", "question": f"what is {number}?"} for number in range(12)]
        (folder / "eval" / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.answers(" before")
        (folder / "answer").chmod(0o755)
        self.commit()

    def answers(self, end: str) -> None:
        (self.folder / "answer").write_text(ANSWER % end)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message=x")

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True)

    def compare(self, **extra: str) -> subprocess.CompletedProcess[str]:
        """As the page says it: the script of main, on the branch that is checked out."""
        program = self.folder.parent / "bin"
        program.mkdir(exist_ok=True)
        (program / "fare").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fare_cli "$@"\n')
        (program / "fare").chmod(0o755)
        path = f"{program}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", "set -o pipefail; git show main:ci/compare.sh | bash -s main"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env=environment(
                **{
                    "PATH": path,
                    "JUDGE_MODEL": str(self.model),
                    "FARE_THREADS": "1",
                    "GITHUB_STEP_SUMMARY": "",
                    **extra,
                }
            ),
        )


@pytest.fixture
def repository(tmp_path: Path, tiny_model: Path) -> Repository:
    made = Repository(tmp_path / "repository", tiny_model)
    made.git("checkout", "--quiet", "-b", "change")
    return made


def test_the_shell_recipe_judges_what_a_branch_changed(repository: Repository) -> None:
    done = repository.compare()
    assert (done.returncode, done.stdout) == (0, "nothing that answers has changed\n")
    repository.answers(" after")
    # A change may write what it likes into its own gate, questions and settings.
    (repository.folder / "ci" / "judge.sh").write_text("exit 0\n")
    (repository.folder / "ci" / "judge.sha256").write_text("0" * 64)
    (repository.folder / "eval" / "questions.jsonl").write_text('{"id": "q0", "question": "an easy one"}\n')
    (repository.folder / "fare.toml").write_text('max-invalid = "100%"\nmode = "critique"\n')
    repository.commit()
    done = repository.compare()
    # What the model with random weights says is not known, only that it is a decision.
    assert done.returncode in (0, 1), done.stderr
    assert re.search(r"^gate: (pass|fail)", done.stdout)
    verdicts = repository.folder / "verdicts.jsonl"
    manifest = read_manifest(verdicts)
    assert manifest is not None
    assert manifest.complete
    assert manifest.counts["total"] == 12
    assert manifest.judge["options"]["mode"] == "direct"
    SCHEMA.validate((repository.folder / "junit.xml").read_text())
    assert "### fare gate: " in (repository.folder / "comment.md").read_text()
    worktrees = subprocess.run(["git", "worktree", "list"], cwd=repository.folder, capture_output=True, text=True)
    assert len(worktrees.stdout.splitlines()) == 1


def test_the_shell_recipe_passes_nothing_that_it_could_not_judge(repository: Repository) -> None:
    repository.answers(" after")
    (repository.folder / "answer").write_text(ANSWER % " after" + "    break\n")
    lost = repository.compare()
    assert lost.returncode == 3
    assert "invalid" in lost.stderr
    other_model = repository.compare(JUDGE_MODEL=str(repository.folder / "answer"))
    assert other_model.returncode == 1
    assert "FAILED" in other_model.stdout + other_model.stderr or "did NOT match" in other_model.stderr


def test_the_table_of_licences_is_that_of_the_catalog() -> None:
    rows = dict(re.findall(r"^\| `([a-z][\w-]*)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    assert {name: entry.licence for name, entry in catalog().items()} == rows


def test_the_minutes_are_computed_from_the_benchmarks() -> None:
    """Asks and median seconds of fare, by pairs of two asks; the rest by active parameters."""
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    def minutes(work: str) -> float:
        asks, median = re.findall(rf"^\| {work} \| (\d+) \| [^|]+\| [^|]+\| ([\d.]+) s", benchmarks, re.MULTILINE)[0]
        return float(median) / (int(asks) / 2) * 100 / 60

    measured = minutes("direct, both orders"), minutes("critique of 128 tokens, both orders")
    rows = re.findall(r"^\| [^|]+ \| ([\d.]+) billion \| ([\d.]+) \| ([\d.]+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for parameters, direct, critique in rows:
        for shown, seconds in zip((direct, critique), measured, strict=True):
            assert float(shown) == pytest.approx(seconds * float(parameters) / 0.135, rel=0.03)
