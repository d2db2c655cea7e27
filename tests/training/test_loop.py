"""The verbs one after the other, from records with critiques to a judge, on a model of 3M random weights.

It learns to say one thing, which is all that this needs: then its own turns can be right, and it can learn from them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from fare_cli.gguf.embedded import embedded_prompts, write_embedded
from fare_cli.prompting import load_task_prompt, prompt_from_texts, read_prompt_texts
from fare_cli.records import parse
from fare_cli.run.manifest import manifest_path
from tests.training.making import PAIR, VERIFY, sums, write_records
from tests.training.running import kill_verb, verb
from training.config import read_config
from training.loop import LoopOptions, batch_of, loop, split
from training.manifest import file_facts, read_manifest
from training.questions import read_records
from training.rollout import RolloutOptions
from training.samples import read_samples
from training.stages import read_stages
from training.start import start_checkpoint


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


CONFIG = """
about = "for a test"
[data]
max_length = 300
packing = false
[optimisation]
learning_rate = 1e-2
warmup = 0.0
max_steps = 14
schedule = "constant_with_warmup"
[compute]
bf16 = false
gradient_checkpointing = false
[saving]
every_steps = 4
"""
STAGES = ["start", "cold start", "iteration 1", "iteration 2"]


class Loop(NamedTuple):
    """What a loop was made from, and its folder. The start was dequantised once, as a loop does it."""

    sources: Path
    folder: Path

    def in_folder(self, folder: Path) -> Loop:
        """The same loop on a copy of what is there, with the start that an unfinished one has."""
        shutil.copytree(self.folder, folder)
        shutil.copytree(self.sources / "start", folder / "start")
        return Loop(self.sources, folder)

    def command(self) -> list[str]:
        named = ["--cold-start", "cold.jsonl", "--config", "config.toml", "--held-out", "held-out.jsonl"]
        return [
            *("loop", str(self.sources / "records.jsonl"), "-o", str(self.folder), "--type", "F16"),
            *(str(self.sources / one) if "." in one else one for one in named),
            *("--model", str(self.sources / "start.gguf"), "--max-tokens", "40", "--direct-share", "0"),
        ]

    def inputs(self, name: str) -> list[str]:
        """The hashes of what the manifest beside `name` says that it was made from."""
        manifest = read_manifest(self.folder / name)
        assert manifest is not None, name
        return [one.sha256 for one in manifest.inputs]

    def output(self, name: str) -> str:
        return file_facts(self.folder / name).sha256

    def forget(self, *names: str) -> None:
        """Takes outputs and their manifests away, and that of the whole loop."""
        for name in (*names, "judge.gguf", "iterations.jsonl"):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            manifest_path(path).unlink(missing_ok=True)


def _prompts() -> dict[str, dict[str, str]]:
    """Prompts that are not fare's."""
    texts = read_prompt_texts()
    texts["verify"]["system.txt"] += "Sums are simple.\n"
    return texts


@pytest.fixture(scope="module")
def made(start_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """A loop of a cold start and two iterations that ran to its end.

    The cold start teaches to say yes, so that of its records only those can be learnt from that are right.
    """
    sources = tmp_path_factory.mktemp("sources")
    (sources / "config.toml").write_text(CONFIG)
    write_embedded(start_gguf, sources / "start.gguf", _prompts(), {})
    right = [{**one, "id": f"c{n}", "critique": "It is so."} for n, one in enumerate(sums(40)) if one["gold"] == "yes"]
    write_records(sources / "cold.jsonl", right[:6])
    write_records(sources / "records.jsonl", sums(34)[12:])
    write_records(sources / "held-out.jsonl", sums(40)[34:])
    start_checkpoint(str(sources / "start.gguf"), sources / "start", print)
    begun = Loop(sources, tmp_path_factory.mktemp("begun"))
    made = begun.in_folder(tmp_path_factory.mktemp("loops") / "made")
    assert verb(*made.command()) == 0
    assert not (made.folder / "start").exists()
    return made


def test_each_iteration_goes_on_from_the_last_one_on_records_that_it_has_not_seen(made: Loop) -> None:
    told = read_stages(made.folder)
    assert [stage.name for stage in told] == STAGES
    assert made.inputs("checkpoint-1") == [made.output("samples-1.jsonl"), made.output("checkpoint-0")]
    assert made.inputs("checkpoint-2") == [made.output("samples-2.jsonl"), made.output("checkpoint-1")]
    for number in (1, 2):
        manifest = read_manifest(made.folder / f"samples-{number}.jsonl")
        assert manifest is not None
        assert manifest.inputs[0].sha256 == made.output(f"batch-{number}.jsonl")
        assert manifest.options["model"] == f"sha256:{made.output(f'policy-{number - 1}.gguf')}", "the current policy"
    assert made.inputs("judge.gguf") == made.inputs("policy-2.gguf") == [made.output("checkpoint-2")]
    losses = [stage.counts["sft"]["first_loss"] for stage in told[1:]]
    assert losses[1] < 0.5 * losses[0], "it has learnt from the cold start"

    seen = [{one.id for one in read_samples(made.folder / f"samples-{number}.jsonl")} for number in (1, 2)]
    assert seen[0]
    assert seen[1]
    assert not seen[0] & seen[1]


def test_the_prompts_that_the_start_brings_are_those_of_all_iterations(made: Loop) -> None:
    for name in ("policy-0.gguf", "policy-2.gguf", "judge.gguf"):
        assert embedded_prompts(made.folder / name) == _prompts()
    ours = prompt_from_texts("verify", _prompts()["verify"]).fingerprint
    for number in range(3):
        manifest = read_manifest(made.folder / f"samples-{number}.jsonl")
        assert manifest is not None
        assert manifest.options["prompts"]["verify"] == ours != load_task_prompt("verify").fingerprint


def test_what_it_got_wrong_is_not_learnt(made: Loop) -> None:
    """The rejection of what a model really says: of records whose answer is wrong nothing is kept."""
    gold = {record.id: record.gold for record in read_records(made.sources / "records.jsonl")}
    for number, stage in enumerate(read_stages(made.folder)[2:], start=1):
        batch = [record.id for record in read_records(made.folder / f"batch-{number}.jsonl")]
        kept = list(read_samples(made.folder / f"samples-{number}.jsonl"))
        counts = stage.counts["rollout"]
        assert counts["none_right"] >= sum(gold[one] == "no" for one in batch) > 0
        assert len(kept) == len(batch) - counts["none_right"]
        assert counts["tries_right"] == sum(4 * (one.pass_rate or 0) for one in kept)
        assert all(gold[one.id] == "yes" and one.target.endswith("Verdict: yes") for one in kept)
        rates = [one.pass_rate or 0 for one in kept]
        assert rates == sorted(rates, reverse=True)


def test_every_judge_of_a_loop_is_measured_when_it_is_there(made: Loop) -> None:
    held_out = made.folder / "held-out"
    report = json.loads((held_out / "curve.json").read_text())
    found = report["tables"]["curve"]["rows"]
    assert [row["stage"] for row in found] == STAGES
    assert [row["value"]["of"] for row in found] == [6] * 4
    # Half of the answers are right, and it says yes to all.
    assert [row["value"]["cases"] for row in found[1:]] == [3] * 3
    for stage, policy in zip(STAGES[1:], ("policy-0", "policy-1", "policy-2"), strict=True):
        manifest = read_manifest(held_out / stage.replace(" ", "-") / "report.json")
        assert manifest is not None
        assert manifest.inputs[1].sha256 == made.output(f"{policy}.gguf")


def test_a_restart_trains_each_iteration_from_the_cold_start(made: Loop, tmp_path: Path) -> None:
    restarted = made.in_folder(tmp_path / "restarted")
    restarted.forget("checkpoint-2", "policy-2.gguf")
    sampling = RolloutOptions(max_tokens=40, direct_share=0.0)
    options = LoopOptions(rollout=sampling, type="F16", restart=True)

    def measure() -> None:
        if read_stages(restarted.folder)[-1].name == "iteration 2":
            raise KeyboardInterrupt

    sources, config = made.sources, read_config(made.sources / "config.toml")
    with pytest.raises(KeyboardInterrupt):
        loop(
            sources / "records.jsonl",
            restarted.folder,
            str(sources / "start.gguf"),
            config,
            options,
            cold_start=sources / "cold.jsonl",
            measure=measure,
            say=lambda _: None,
        )
    assert restarted.inputs("checkpoint-2") == [made.output("samples-2.jsonl"), made.output("checkpoint-0")]
    assert restarted.output("checkpoint-2") != made.output("checkpoint-2")
    assert restarted.inputs("policy-2.gguf") == [restarted.output("checkpoint-2")]


def test_adapters_are_refused_before_anything_is_made(
    made: Loop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_lora = tmp_path / "lora.toml"
    with_lora.write_text(CONFIG + "[lora]\nrank = 4\nalpha = 8\n")
    command = ["loop", str(made.sources / "records.jsonl"), "-o", str(tmp_path / "loop"), "--config", str(with_lora)]
    assert verb(*command, "--model", str(made.sources / "start.gguf")) == 2
    assert "the config trains an adapter" in capsys.readouterr().err
    assert not (tmp_path / "loop").exists()


def _finished(folder: Path) -> dict[Path, tuple[int, int]]:
    """Which file, made when, lies under each name for which there is a manifest. The curve is drawn again and again."""
    found = [Path(str(path).removesuffix(".manifest.json")) for path in folder.rglob("*.manifest.json")]
    kept = [path for path in found if path.exists() and path.name != "curve.json"]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in kept}


def _lines(path: Path, count: int) -> bool:
    return path.is_file() and path.read_bytes().count(b"\n") >= count


# In which stage it is killed, and by what one sees that it is in the middle of it.
KILLS: dict[str, Callable[[Path], bool]] = {
    "rollout": lambda folder: _lines(folder / "samples-2.jsonl.journal.jsonl", 6),
    "sft": lambda folder: _lines(folder / "checkpoint-2.run" / "log.jsonl", 6),
    "export": lambda folder: (folder / "policy-2.gguf.export").is_dir(),
    "evaluate": lambda folder: (folder / "held-out" / "iteration-2").is_dir(),
    "export of the judge": lambda folder: (folder / "judge.gguf.export").is_dir(),
}


def test_a_loop_killed_in_every_stage_comes_to_the_same_end(made: Loop, tmp_path: Path) -> None:
    killed = made.in_folder(tmp_path / "killed")
    killed.forget("samples-2.jsonl", "checkpoint-2", "policy-2.gguf")
    (killed.folder / "samples-2.jsonl.journal.jsonl").unlink()
    shutil.rmtree(killed.folder / "held-out" / "iteration-2")
    finished = _finished(killed.folder)
    for stage, is_reached in KILLS.items():
        kill_verb(lambda is_reached=is_reached: is_reached(killed.folder), *killed.command())
        now = _finished(killed.folder)
        assert {path: now[path] for path in finished} == finished, f"made again before {stage}"
        assert "judge.gguf" not in {path.name for path in now}
        finished = now
    assert verb(*killed.command()) == 0
    assert {path: _finished(killed.folder)[path] for path in finished} == finished
    for name in ("samples-2.jsonl", "policy-2.gguf", "judge.gguf", "iterations.jsonl"):
        assert killed.output(name) == made.output(name), name


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
