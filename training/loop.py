"""The iterations: sample the current policy on records it has not seen, keep what is right, train on it, and again.

Every stage is a verb with a manifest of its own, so that a loop that was killed finds what is done and goes on there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.errors import InvalidRecordsError, UsageError
from fare_cli.gguf.disk import Say
from fare_cli.gguf.model_prompts import install_prompts, own_prompt_texts
from fare_cli.gguf.store import ModelFile, resolve_model
from fare_cli.prompting import PromptTexts, read_prompt_texts
from fare_cli.records import Record
from fare_cli.run.files import write_whole
from training.config import Config
from training.export import ExportOptions, export, prompt_fingerprints
from training.manifest import FileFacts, TrainingManifest, model_facts, plan, read_manifest
from training.policy import LocalPolicy
from training.questions import draw, read_records
from training.rollout import RolloutOptions, from_critiques, rollout
from training.sft import sft
from training.stages import START, SUMMARY, Stage, iteration, write_stages
from training.start import start_checkpoint

JUDGE = "judge.gguf"


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """`restart` trains each iteration from the start (or the cold start) again and not from the current weights. The
    recipe does not do that: it is there to be compared with. `type` is that of the judge that comes out."""

    iterations: int = 2
    rollout: RolloutOptions = field(default_factory=RolloutOptions)
    restart: bool = False
    type: str = "Q8_0"
    prompts_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise UsageError(f"--iterations {self.iterations}: at least one is needed")


class Weights(NamedTuple):
    """The current weights in their two forms: to sample from, and to train."""

    gguf: str
    checkpoint: str


def batch_of(record: Record, iterations: int, seed: int) -> int:
    """The iteration, from 1, whose batch a record is in. Records of one question are in the same, tasks are mixed in
    each as in the whole."""
    return 1 + draw("batch", seed, record.group or record.question) % iterations


def split(records: Path, folder: Path, iterations: int, seed: int) -> list[Path]:
    """The records as disjoint batches, a file for each iteration. Raises InvalidRecordsError for an empty batch."""
    paths = []
    for number, lines in cut(records, iterations, seed).items():
        paths.append(folder / f"batch-{number}.jsonl")
        write_whole(paths[-1], "".join(lines), "batch")
    return paths


def cut(records: Path, iterations: int, seed: int) -> dict[int, list[str]]:
    """The lines of each iteration's batch. Raises InvalidRecordsError for an empty one."""
    batches: dict[int, list[str]] = {number: [] for number in range(1, iterations + 1)}
    for record in read_records(records):
        line = json.dumps({"task": record.task, **record.to_json()}, ensure_ascii=False)
        batches[batch_of(record, iterations, seed)].append(line + "\n")
    if not all(batches.values()):
        raise InvalidRecordsError(f"{records} has too few questions for {iterations} disjoint batches")
    return batches


def loop(
    records: Path,
    folder: Path,
    start: str,
    config: Config,
    options: LoopOptions,
    *,
    cold_start: Path | None = None,
    measure: Callable[[], None] = lambda: None,
    say: Say,
    force: bool = False,
) -> TrainingManifest:
    """Runs all iterations in `folder`; the judge is `judge.gguf` there, what each iteration did in `iterations.jsonl`.

    `start` is an installed model or a GGUF file. `cold_start` are records with critiques to learn first. `measure` is
    called whenever another judge stands in `iterations.jsonl`, the start being the first. Raises UsageError for what
    cannot be trained in a loop, and what the verbs raise; what is finished by then stays, and the same command goes on
    from it.
    """
    begun = time.monotonic()
    model = loop_start(start, config)
    folder.mkdir(parents=True, exist_ok=True)
    inputs: list[Path | FileFacts] = [records, model_facts(model), *([cold_start] if cold_start is not None else [])]
    work = plan("loop", inputs, _described(config, options, _prompt_texts(model, options)), options.rollout.seed)
    summary, judge = folder / SUMMARY, folder / JUDGE
    if not work.begin(summary, force=force):
        say(f"{folder} is made already")
        measure()
        manifest = read_manifest(summary)
        assert manifest is not None
        return manifest
    options = replace(options, prompts_dir=_prompts(model, folder, options))
    run = _Loop(folder, config, options, measure, say, force)
    batches = split(records, folder, options.iterations, options.rollout.seed)
    checkpoint = start_checkpoint(str(model.path), folder / START, say)
    weights = Weights(str(model.path), str(checkpoint))
    run.reached(Stage(START, model.path))
    if cold_start is not None:
        weights = run.iteration(0, cold_start, weights, weights)
    origin = weights
    for number, batch in enumerate(batches, start=1):
        weights = run.iteration(number, batch, weights, origin if options.restart else weights)
    say(f"exporting the judge as {options.type}")
    exported = ExportOptions(type=options.type, prompts_dir=options.prompts_dir)
    export(Path(weights.checkpoint), judge, exported, say=say, force=force)
    manifest = work.write_manifest([summary, judge], {"iterations": len(batches)}, seconds=time.monotonic() - begun)
    shutil.rmtree(checkpoint)
    return manifest


def loop_start(start: str, config: Config) -> ModelFile:
    """The model to start from. Raises UsageError for adapters, below or above: each would need the last one's base; and
    for a config of several processes, since one samples."""
    if config.parallel.processes > 1:
        raise UsageError(
            f"a loop is one process, and the config is for {config.parallel.processes}",
            "run each iteration's verbs one by one: rollout, sft under torchrun, export",
        )
    if config.lora is not None:
        raise UsageError("a loop trains all weights, and the config trains an adapter", "take [lora] out of it")
    model = resolve_model(start)
    if model.adapter is not None:
        raise UsageError(f"{start} is an adapter", "start from its base, or from a checkpoint with it merged")
    return model


def _prompts(model: ModelFile, folder: Path, options: LoopOptions) -> Path | None:
    """The prompts of all stages: those that were named, else those that the start brings. None stands for fare's."""
    if options.prompts_dir is not None or not own_prompt_texts(model.path):
        return options.prompts_dir
    install_prompts(_prompt_texts(model, options), folder / "prompts")
    return folder / "prompts"


def _prompt_texts(model: ModelFile, options: LoopOptions) -> PromptTexts:
    if options.prompts_dir is not None:
        return read_prompt_texts(options.prompts_dir)
    return {**read_prompt_texts(), **own_prompt_texts(model.path)}


def _described(config: Config, options: LoopOptions, texts: PromptTexts) -> dict[str, Any]:
    sampled = {name: getattr(options.rollout, name) for name in options.rollout.__slots__}
    return {
        "iterations": options.iterations,
        "restart": options.restart,
        "type": options.type,
        "prompts": prompt_fingerprints(texts),
        "rollout": sampled,
        "config": config.outcome(),
    }


@dataclass(frozen=True, slots=True)
class _Loop:
    """What all iterations have in common, and the stages reached so far."""

    folder: Path
    config: Config
    options: LoopOptions
    measure: Callable[[], None]
    say: Say
    force: bool
    stages: list[Stage] = field(default_factory=list)

    def reached(self, stage: Stage) -> None:
        """Another judge is there to be measured."""
        self.stages.append(stage)
        write_stages(self.folder, self.stages)
        self.measure()

    def iteration(self, number: int, records: Path, policy: Weights, trained_from: Weights) -> Weights:
        """The weights after one more iteration. Iteration 0 is the cold start."""
        self.say(f"{iteration(number)}: {records.name}")
        samples = self.folder / f"samples-{number}.jsonl"
        sampled = self._samples(number, records, samples, policy)
        checkpoint = self.folder / f"checkpoint-{number}"
        trained = sft(
            samples,
            checkpoint,
            trained_from.checkpoint,
            self.config,
            seed=self.options.rollout.seed,
            say=self.say,
            force=self.force,
        )
        assert trained is not None, "a loop is one process"
        gguf = self.folder / f"policy-{number}.gguf"
        # Compared with its checkpoint is the judge at the end: it is converted in the same way.
        exported = ExportOptions(type="F16", prompts_dir=self.options.prompts_dir, compare=False)
        export(checkpoint, gguf, exported, say=self.say, force=self.force)
        self.reached(Stage(iteration(number), gguf, {"rollout": sampled.counts, "sft": trained.counts}))
        return Weights(str(gguf), str(checkpoint))

    def _samples(self, number: int, records: Path, samples: Path, weights: Weights) -> TrainingManifest:
        options = self.options
        policy = LocalPolicy(weights.gguf, options.rollout, prompts_dir=options.prompts_dir)
        make = rollout if number else from_critiques
        try:
            return make(records, samples, policy, policy.gguf, options.rollout, say=self.say, force=self.force)
        finally:
            policy.close()
