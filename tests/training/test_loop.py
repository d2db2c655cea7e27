"""The verbs one after the other, from records with critiques to a judge, on a model of 3M random weights.

It learns to say one thing, which is all that this needs: then its own turns can be right, and it can learn from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fare_cli.records import parse
from tests.training.making import PAIR, VERIFY, sums, write_records
from tests.training.running import verb
from training.config import Compute, Config, Data, Optimisation
from training.loop import LoopOptions, batch_of, loop, split
from training.manifest import read_manifest
from training.questions import read_records
from training.rollout import RolloutOptions
from training.samples import read_samples


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_batches_are_disjoint_by_question_and_mixed_alike(tmp_path: Path) -> None:
    pairs = [{**PAIR, "id": f"p{n}", "question": f"Question {n // 2}?"} for n in range(400)]
    others = [{**VERIFY, "id": f"v{n}", "group": f"g{n // 4}", "question": f"Other {n}?"} for n in range(200)]
    records = write_records(tmp_path / "records.jsonl", [*pairs, *others])
    paths = split(records, tmp_path, 3, seed=1)
    batches = [list(read_records(path)) for path in paths]
    assert sum(map(len, batches)) == 600
    questions = [{record.group or record.question for record in batch} for batch in batches]
    assert not questions[0] & questions[1] | questions[1] & questions[2] | questions[0] & questions[2]
    for batch in batches:
        shares = sum(record.task == "pairwise" for record in batch) / len(batch)
        assert 0.55 < shares < 0.78
    assert {record.id for batch in batches for record in batch} == {record.id for record in read_records(records)}
    assert batch_of(parse("pairwise", pairs[0]), 3, 1) == batch_of(parse("pairwise", pairs[1]), 3, 1)


def _yes(count: int) -> list[dict[str, Any]]:
    return [one for one in sums(2 * count) if one["gold"] == "yes"]


def test_a_loop_makes_a_judge_and_goes_on_where_it_was(start_gguf: Path, tmp_path: Path) -> None:
    cold = [{**one, "id": f"c{n}", "critique": "It is so."} for n, one in enumerate(_yes(6))]
    cold_start = write_records(tmp_path / "cold.jsonl", cold)
    records = write_records(tmp_path / "records.jsonl", _yes(8)[2:])
    config = Config(
        about="for a test",
        data=Data(max_length=300, packing=False),
        optimisation=Optimisation(learning_rate=1e-2, warmup=0.0, max_steps=16),
        compute=Compute(bf16=False, gradient_checkpointing=False),
    )
    options = LoopOptions(iterations=1, rollout=RolloutOptions(max_tokens=40), type="F16")
    folder = tmp_path / "loop"
    said: list[str] = []
    manifest = loop(records, folder, str(start_gguf), config, options, cold_start=cold_start, say=said.append)
    assert [line for line in said if line.startswith(("cold start", "iteration"))] == [
        "cold start: cold.jsonl",
        "iteration 1: batch-1.jsonl",
    ]
    told = [json.loads(line) for line in (folder / "iterations.jsonl").read_text().splitlines()]
    assert [one["iteration"] for one in told] == [0, 1]
    assert told[1]["rollout"]["tries_right"] > 0
    assert told[1]["sft"]["first_loss"] < 0.5 * told[0]["sft"]["first_loss"], "it went on from the cold start"
    sampled = list(read_samples(folder / "samples-1.jsonl"))
    assert all(one.target.endswith("Verdict: yes") for one in sampled)
    assert all(one.pass_rate in (0.25, 0.5, 0.75, 1.0) for one in sampled)
    assert read_manifest(folder / "iterations.jsonl") == manifest

    (folder / "judge.gguf").unlink()
    (folder / "iterations.jsonl").unlink()
    said.clear()
    loop(records, folder, str(start_gguf), config, options, cold_start=cold_start, say=said.append)
    assert (folder / "judge.gguf").is_file()
    assert sum(line.endswith("is made already") for line in said) == 6, "only the judge was made again"


def test_a_dry_run_says_what_a_loop_takes(start_gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = write_records(tmp_path / "records.jsonl", [*sums(20), {**PAIR, "gold": "tie"}])
    config = Path(__file__).parents[2] / "training" / "configs" / "smoke.toml"
    command = ["loop", str(records), "-o", str(tmp_path / "loop"), "--model", str(start_gguf), "--config", str(config)]
    assert verb(*command, "--max-tokens", "50", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "21 records, 1 of them without one right label"
    first, second = [line for line in lines if line.startswith("iteration")]
    counts = [int(line.split()[2]) for line in (first, second)]
    assert sum(counts) == 20
    assert f"{counts[0] * 4} turns of at most 50 tokens" in first
    assert any("memory: about" in line for line in lines)
    assert not list((tmp_path / "loop").glob("samples*"))
