"""Supervised fine-tuning: plain next-token loss on what the judge itself writes, going on from the current weights."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fare_cli.errors import InputError, InvalidRecordsError, UsageError
from fare_cli.gguf.disk import Say, check_space
from fare_cli.run.files import write_whole
from training.config import Config
from training.estimate import Shape, estimate, model_shape
from training.manifest import Plan, TrainingManifest, plan, read_manifest
from training.packing import fitting, rows
from training.parallel import all_processes, check_world, is_leader
from training.samples import Sample, read_samples
from training.start import start_checkpoint, start_facts
from training.watching import LOG, keep_log_up_to, last_checkpoint, out_of_memory

PACKAGES = ("torch", "transformers", "trl", "accelerate", "peft", "bitsandbytes", "deepspeed")

_PLAN = "plan"
_STARTED_FROM = "start"


def run_folder(output: Path) -> Path:
    """Where the work on `output` lies while it lasts: checkpoints, log, and the dequantised start."""
    return output.with_name(output.name + ".run")


def sft(
    samples: Path,
    output: Path,
    start: str,
    config: Config,
    *,
    held_out: Path | None = None,
    seed: int = 0,
    say: Say,
    force: bool = False,
) -> TrainingManifest | None:
    """Trains the model of `start` on a file of samples, in its order, and writes the checkpoint to the folder `output`.

    What it takes is said before it starts. An interrupted training goes on from its last whole checkpoint, to the same
    losses. The log of every step is `log.jsonl` in the checkpoint. `held_out` are samples that only the loss is
    computed of. None is returned by processes that do not lead.

    Raises UsageError and InvalidRecordsError for what cannot be trained, and where checkpoints of another training lie
    that has not ended, unless `force` gives them up; EnvironmentFault for too little disk or memory and where the loss
    becomes no number; checkpoints stay where they are.
    """
    begun = time.monotonic()
    check_world(config.parallel)
    speak: Say = say if is_leader() else lambda _: None
    run = run_folder(output)
    inputs = (samples, start_facts(start), held_out)
    work = plan("sft", filter(None, inputs), config.outcome(), seed)
    if not force and work.is_done(output):
        return _made_before(output, work, speak)
    if not force:
        _see_unfinished(run, work)
    if is_leader():
        work.begin(output, force=force)
    train, counts = _chosen(samples, config)
    tested, _ = _chosen(held_out, config) if held_out is not None else ([], {})
    checkpoint = _shared_start(start, run, speak)
    shape = model_shape(checkpoint, config)
    _check_ids(samples, train, shape)
    if held_out is not None:
        _check_ids(held_out, tested, shape)
    _plan_ahead(train, counts["too_long"], shape, config, run, speak)
    if is_leader():
        _take_up(run, work)
    log = _train(checkpoint, config, run, train, tested, seed, speak)
    if not is_leader():
        return None
    _publish(run, output)
    counts |= {"steps": len(log), "first_loss": log[0], "last_loss": log[-1], "parameters": shape.trained}
    manifest = work.write_manifest([output], counts, seconds=time.monotonic() - begun, packages=PACKAGES)
    shutil.rmtree(run, ignore_errors=True)
    return manifest


def _shared_start(start: str, run: Path, say: Say) -> Path:
    """The checkpoint to start from; made by the leader where it is a GGUF file, while the others wait."""
    with all_processes().main_process_first():
        return start_checkpoint(start, run / _STARTED_FROM, say)


def _made_before(output: Path, work: Plan, say: Say) -> TrainingManifest | None:
    """What all processes do where the work is done; what a kill has left of it is removed."""
    if not is_leader():
        return None
    say(f"{output} is made already")
    run = run_folder(output)
    if _is_of(run, work):
        shutil.rmtree(run, ignore_errors=True)
    return read_manifest(output)


def _see_unfinished(run: Path, work: Plan) -> None:
    """Raises UsageError where checkpoints of another training lie that has not ended: hours of work, perhaps."""
    if _is_of(run, work):
        return
    last = last_checkpoint(run)
    if last is not None:
        raise UsageError(
            f"{run} holds an unfinished training on another model, samples, config or seed, up to {last.name}",
            "train to another name with -o, or give that training up with --force",
        )


def _is_of(run: Path, work: Plan) -> bool:
    mark = run / _PLAN
    return mark.is_file() and mark.read_text("utf-8").strip() == work.fingerprint


def _chosen(path: Path, config: Config) -> tuple[list[Sample], dict[str, Any]]:
    found = list(read_samples(path))
    kept = fitting(found, config.data.max_length)
    if not kept:
        raise InvalidRecordsError(
            f"{path} has no sample of at most {config.data.max_length} tokens", "raise data.max_length"
        )
    tokens = sum(len(sample.input_ids) for sample in kept)
    trained = sum(sum(sample.completion_mask) for sample in kept)
    return kept, {
        "samples": len(kept),
        "too_long": len(found) - len(kept),
        "tokens": tokens,
        "trained_tokens": trained,
    }


def _check_ids(path: Path, samples: Sequence[Sample], shape: Shape) -> None:
    largest = max(max(sample.input_ids) for sample in samples)
    if largest >= shape.vocabulary:
        raise InputError(
            f"{path} holds the token id {largest}, and the model's vocabulary ends at {shape.vocabulary - 1}",
            "samples are made for one vocabulary: roll out with a GGUF file of this model",
        )


def _plan_ahead(train: Sequence[Sample], too_long: int, shape: Shape, config: Config, run: Path, say: Say) -> None:
    """Says what it takes. Raises EnvironmentFault where the disk has no room for the checkpoints."""
    count = sum(1 for _ in rows(train, config.data.max_length, packing=config.data.packing))
    foreseen = estimate(shape, config, count, sum(len(sample.input_ids) for sample in train))
    if too_long:
        say(f"{too_long} samples are longer than {config.data.max_length} tokens (data.max_length) and left out")
    say(f"{shape.parameters:,} parameters, {shape.trained:,} of them trained, on {len(train)} samples in {count} rows")
    for line in foreseen.lines(config.parallel.processes):
        say(line)
    here = sum(file.stat().st_size for file in run.rglob("*") if file.is_file()) if run.is_dir() else 0
    check_space(run, max(0, foreseen.disk - here), "the training", "make room, or write to another disk with -o")


def _take_up(run: Path, work: Plan) -> None:
    """Makes the run's folder this plan's: what another plan has left there is removed."""
    run.mkdir(parents=True, exist_ok=True)
    if not _is_of(run, work):
        for old in run.iterdir():
            if old.name != _STARTED_FROM:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        write_whole(run / _PLAN, work.fingerprint + "\n", "mark of the run")
    keep_log_up_to(run, last_checkpoint(run))


def _train(
    checkpoint: Path,
    config: Config,
    run: Path,
    train: Sequence[Sample],
    tested: Sequence[Sample],
    seed: int,
    say: Say,
) -> list[float]:
    """The losses of all steps; the checkpoint is in `run` / final."""
    import torch

    from training.trainer import make_trainer

    all_processes().wait_for_everyone()
    trainer = make_trainer(checkpoint, config, run, train, held_out=tested, seed=seed, say=say)
    last = last_checkpoint(run)
    if last is not None:
        say(f"going on from {last.name}")
    try:
        trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(error, run) from None
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(run / "final"))
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def _publish(run: Path, output: Path) -> None:
    """Gives the finished checkpoint its name, with the log inside."""
    final = run / "final"
    for name in ("training_args.bin", "README.md"):
        (final / name).unlink(missing_ok=True)
    shutil.copyfile(run / LOG, final / LOG)
    aside = output.with_name(output.name + ".old")
    if output.exists():
        output.rename(aside)
    final.replace(output)
    if aside.is_dir():
        shutil.rmtree(aside)
    else:
        aside.unlink(missing_ok=True)


def losses(log: Path) -> list[float]:
    """The loss of every step in a log."""
    entries = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    return [entry["loss"] for entry in entries if "loss" in entry]
