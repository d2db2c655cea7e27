"""What watches over a training: the log that survives a kill, checkpoints known to be whole, and the loss."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from fare_cli.errors import EnvironmentFault
from fare_cli.gguf.disk import Say
from fare_cli.run.files import write_whole

LOG = "log.jsonl"
_WHOLE = "whole"
_SAY_EVERY = 20


def last_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint in a run's folder that was written to its end; half-written ones are removed.

    The trainer itself takes the one with the highest number, whatever is in it.
    """
    whole = []
    for folder in run.glob("checkpoint-*"):
        if (folder / _WHOLE).is_file():
            whole.append(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return max(whole, key=_step, default=None)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def keep_log_up_to(run: Path, checkpoint: Path | None) -> None:
    """Takes from the log what came after the checkpoint: it is trained again."""
    log = run / LOG
    if not log.is_file():
        return
    last = _step(checkpoint) if checkpoint is not None else 0
    kept = []
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            break  # torn by the kill
        if values["step"] <= last:
            kept.append(line + "\n")
    write_whole(log, "".join(kept), "log")


class Watch(TrainerCallback):  # type: ignore[misc]
    """Writes every step to the log, marks whole checkpoints, and ends a training whose loss is no number."""

    def __init__(self, run: Path, say: Say) -> None:
        self._run = run
        self._say = say

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any], **_: Any
    ) -> None:
        for name in ("loss", "grad_norm", "eval_loss"):
            value = logs.get(name)
            if isinstance(value, float) and not math.isfinite(value):
                # Checkpoints are saved after the log: the last one is from before this step.
                raise diverged(name, state.global_step, self._run)
        if not state.is_world_process_zero:
            return
        values = {"step": state.global_step, **{key: value for key, value in logs.items() if key != "step"}}
        with (self._run / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(values) + "\n")
        if "eval_loss" in logs:
            self._say(f"step {state.global_step}: loss on held-out samples {logs['eval_loss']:.4f}")
        elif "loss" in logs and (state.global_step % _SAY_EVERY == 0 or state.global_step == 1):
            self._say(f"step {state.global_step} of {state.max_steps}: loss {logs['loss']:.4f}")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.is_world_process_zero:
            write_whole(self._run / f"checkpoint-{state.global_step}" / _WHOLE, "", "mark of a whole checkpoint")


def diverged(name: str, step: int, run: Path) -> EnvironmentFault:
    """The error for a loss or gradient that is no number."""
    return EnvironmentFault(
        f"the training has diverged: {name} is not a number at step {step}; {_kept(run)}",
        "lower optimisation.learning_rate, or raise optimisation.warmup: that is another training, so give it another "
        "name with -o, or --force to put it in the place of this one",
    )


def out_of_memory(error: Exception, run: Path) -> EnvironmentFault:
    """The error for a device whose memory does not suffice."""
    return EnvironmentFault(
        f"the memory of the device does not suffice: {str(error).partition('. ')[0]}; {_kept(run)}",
        "lower data.max_length or optimisation.batch, set compute.gradient_checkpointing, or train an adapter ([lora])",
    )


def _kept(run: Path) -> str:
    last = last_checkpoint(run)
    return f"the last checkpoint from before is {last}" if last is not None else "no checkpoint was saved before"
