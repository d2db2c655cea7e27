"""The recipe as a user runs it: every verb in a process of its own, from rows of published sets to a judge.

The model has 3M random weights and trains for the eight steps of `smoke.toml`: that everything fits together, not that
anything is learnt. A loop, whose verbs sample and learn from what was right, is in test_loop.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.training.running import verb
from training.manifest import TrainingManifest, file_facts, read_manifest
from training.samples import read_samples

ROOT = Path(__file__).parents[2]
FIXTURES = Path(__file__).parent / "fixtures"
VERDICTS = "held-out.verify.judge.jsonl"


class Made(NamedTuple):
    """The commands in their order, the checkpoint that training started from, and the folder of all that was made."""

    commands: tuple[tuple[str, ...], ...]
    start: Path
    folder: Path

    def manifest(self, name: str) -> TrainingManifest:
        found = read_manifest(self.folder / name)
        assert found is not None, name
        return found

    def output(self, name: str | Path) -> str:
        return file_facts(self.folder / name).sha256


def _commands(folder: Path, start: Path, policy: Path) -> tuple[tuple[str, ...], ...]:
    def at(name: str) -> str:
        return str(folder / name)

    def rows(name: str) -> str:
        return str(FIXTURES / f"{name}.jsonl")

    config = str(ROOT / "training" / "configs" / "smoke.toml")
    known = ("--model", str(policy), "--from-critiques")
    return (
        *(("inject", "-o", at("injected.jsonl"), "--maths", rows("gsm8k"), "--code", rows("humaneval")),),
        *(("curate", at("injected.jsonl"), "-o", at("data"), "--mix", "all", "--cap", "150", "--held-out", "0.2"),),
        *(("rollout", at("data/train.jsonl"), "-o", at("samples.jsonl"), *known),),
        *(("rollout", at("data/held-out.jsonl"), "-o", at("watched.jsonl"), *known),),
        (
            *("sft", at("samples.jsonl"), "-o", at("checkpoint"), "--model", str(start)),
            *("--config", config, "--held-out", at("watched.jsonl")),
        ),
        ("export", at("checkpoint"), "-o", at("judge.gguf"), "--check", at("data/held-out.jsonl")),
        (
            *("evaluate", at("data/held-out.jsonl"), "-o", at("measured"), "--model", at("judge.gguf")),
            *("--mode", "direct", "--deterministic"),
        ),
    )


def _run(*command: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def made(start_checkpoint: Path, start_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("smoke")
    commands = _commands(folder, start_checkpoint, start_gguf)
    for command in commands:
        _run("training", *command)
    return Made(commands, start_checkpoint, folder)


def test_each_verb_takes_what_the_one_before_has_made(made: Made) -> None:
    """By the hashes that the manifests give: of outputs here, of inputs there."""
    chain: dict[str, list[str | Path]] = {
        "data/train.jsonl": ["injected.jsonl"],
        "samples.jsonl": ["data/train.jsonl"],
        "watched.jsonl": ["data/held-out.jsonl"],
        "checkpoint": ["samples.jsonl", made.start, "watched.jsonl"],
        "judge.gguf": ["checkpoint", "data/held-out.jsonl"],
        "measured/report.json": ["data/held-out.jsonl", "judge.gguf"],
    }
    for name, sources in chain.items():
        manifest = made.manifest(name)
        assert [one.sha256 for one in manifest.inputs] == [made.output(source) for source in sources], name
        for output in manifest.outputs:
            assert output.sha256 == file_facts(Path(output.file)).sha256, output.file


def test_no_question_of_what_is_trained_is_held_out(made: Made) -> None:
    groups = []
    for name in ("train", "held-out"):
        lines = (made.folder / "data" / f"{name}.jsonl").read_text().splitlines()
        groups.append({json.loads(line)["group"] for line in lines})
    assert groups[0]
    assert groups[1]
    assert not groups[0] & groups[1]


def test_it_trains_on_every_kind_of_sample_and_the_loss_falls(made: Made) -> None:
    samples = list(read_samples(made.folder / "samples.jsonl"))
    assert {one.task for one in samples} == {"pairwise", "step", "verify"}
    assert {one.kind for one in samples} == {"critique", "direct"}
    log = [json.loads(line) for line in (made.folder / "checkpoint" / "log.jsonl").read_text().splitlines()]
    assert sum("loss" in entry for entry in log) == made.manifest("checkpoint").counts["steps"] == 8
    before, after = [entry["eval_loss"] for entry in log if "eval_loss" in entry]
    assert after < before, "on the samples that are held out"


def test_the_exported_judge_judges_like_the_checkpoint_and_fare_judges_with_it(made: Made) -> None:
    labels = made.manifest("judge.gguf").counts["labels"]
    held_out = len((made.folder / "data" / "held-out.jsonl").read_text().splitlines())
    assert labels["F16"]["records"] == labels["Q8_0"]["records"] == held_out
    assert labels["F16"]["same_clear"] == labels["F16"]["clear"] > 0

    report = json.loads((made.folder / "measured" / "report.json").read_text())
    assert [row["task"] for row in report["tables"]["sets"]["rows"]] == ["pairwise", "step", "verify"]
    kept = (made.folder / "measured" / VERDICTS).read_text()
    records = made.folder / "measured" / "records" / "verify" / "held-out.jsonl"
    judge = ("--model", str(made.folder / "judge.gguf"), "--mode", "direct", "--deterministic", "--quiet")
    said = _run("fare_cli", "judge", "verify", str(records), *judge, "--format", "jsonl")
    assert said == kept, "evaluate judges as fare judge does"


def test_the_same_commands_again_do_nothing(made: Made) -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in made.folder.rglob("*") if path.is_file()}

    before = files()
    for command in made.commands:
        assert verb(*command) == 0
    after = files()
    # Of held-out records the copies by task are written each time.
    assert {path for path in before if before[path] != after.get(path)} == {
        path for path in before if "records" in path.parts
    }
    assert after.keys() == before.keys()
