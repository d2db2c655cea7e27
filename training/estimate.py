"""What a training takes of memory, disk and time, before it starts. The arithmetic is in docs/training.md."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import UsageError
from training.config import Config

_WEIGHT, _GRADIENT, _ADAM, _ADAM_8BIT = 4, 4, 8, 2
"""Bytes for each trained weight: F32, and two moments of Adam, in F32 or in 8 bits."""
_FROZEN, _FROZEN_4BIT = 2, 0.56
"""Bytes for each weight under an adapter: BF16, or NF4 with its scales."""
_SAVED = 4
_KEPT_PER_LAYER, _WORK_PER_LAYER = 2, 34
"""Bytes of activations for each token and unit of width: kept of each layer with gradient checkpointing, and all of
one layer while it is computed (Korthikanti et al. 2022, arXiv 2205.05198, without the attention matrix)."""
_PASSES, _PASSES_AGAIN = 6, 8
"""Operations for each token and weight: 2 forward and 4 backward, and 2 more where activations are computed twice."""


class Shape(NamedTuple):
    """How large a model is. `active` weights work on each token (fewer than all in a mixture of experts), `trained`
    ones change."""

    parameters: int
    active: int
    trained: int
    layers: int
    width: int
    vocabulary: int


class Estimate(NamedTuple):
    """Bytes on each device, bytes of checkpoints at the most, and seconds (None where no speed is known)."""

    memory: int
    disk: int
    seconds: float | None
    steps: int
    tokens: int

    def lines(self, processes: int) -> list[str]:
        """The estimate in words."""
        each = f" on each of {processes} devices" if processes > 1 else ""
        time = "not known: compute.tflops is not given" if self.seconds is None else _duration(self.seconds)
        return [
            f"{self.steps} steps over {self.tokens:,} tokens",
            f"memory: about {self.memory / 1e9:.1f} GB{each}",
            f"disk: about {self.disk / 1e9:.1f} GB of checkpoints at the most",
            f"time: {time}",
        ]


def model_shape(checkpoint: Path, config: Config) -> Shape:
    """The size of a checkpoint's model, from its config alone. Raises UsageError for one that transformers does not
    know."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        described = AutoConfig.from_pretrained(checkpoint)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(described)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{checkpoint} is no checkpoint of a language model: {error}") from error
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    total = sum(sizes.values())
    text = described.get_text_config()
    experts = getattr(text, "num_local_experts", None) or getattr(text, "num_experts", None)
    chosen = getattr(text, "num_experts_per_tok", None)
    idle = 0
    if experts and chosen:
        in_experts = sum(size for name, size in sizes.items() if ".experts." in name)
        idle = int(in_experts * (1 - chosen / experts))
    trained = total if config.lora is None else _in_adapters(model, config.lora.rank)
    return Shape(total, total - idle, trained, text.num_hidden_layers, text.hidden_size, text.vocab_size)


def _in_adapters(model: object, rank: int) -> int:
    """Weights of an adapter on all linear layers but the last one."""
    import torch

    assert isinstance(model, torch.nn.Module)
    layers = (m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "lm_head" not in name)
    return sum(rank * (layer.in_features + layer.out_features) for layer in layers)


def estimate(shape: Shape, config: Config, rows: int, tokens: int) -> Estimate:
    """What training on so many rows and tokens takes; to a factor of about 1.5."""
    optimisation, processes = config.optimisation, config.parallel.processes
    rows_a_step = optimisation.batch * optimisation.accumulate * processes
    epochs = optimisation.epochs
    steps = max(1, math.ceil(rows * epochs / rows_a_step))
    if optimisation.max_steps is not None:
        steps = optimisation.max_steps
        epochs = steps * rows_a_step / rows
    trained_tokens = int(tokens * epochs)
    split = processes if config.parallel.fsdp or config.parallel.deepspeed else 1
    seconds = None
    if config.compute.tflops is not None:
        passes = _PASSES_AGAIN if config.compute.gradient_checkpointing else _PASSES
        seconds = passes * shape.active * trained_tokens / (config.compute.tflops * 1e12 * processes)
    state = _state_bytes(shape, config)
    saved = shape.trained * (_SAVED + _ADAM)
    return Estimate(
        memory=int(state / split + _activation_bytes(shape, config)),
        disk=(config.saving.keep + 1) * saved + (shape.trained if config.lora else shape.parameters) * _SAVED,
        seconds=seconds,
        steps=steps,
        tokens=trained_tokens,
    )


def _state_bytes(shape: Shape, config: Config) -> float:
    """Weights, gradients and the optimiser's state."""
    adam = _ADAM_8BIT if config.optimisation.optimiser == "adamw_8bit" else _ADAM
    trained = shape.trained * (_WEIGHT + _GRADIENT + adam)
    if config.lora is None:
        return trained
    return trained + shape.parameters * (_FROZEN_4BIT if config.lora.four_bit else _FROZEN)


def _activation_bytes(shape: Shape, config: Config) -> int:
    """What is kept for the backward pass; the logits come in pieces and do not count (TRL's fused head)."""
    tokens = config.optimisation.batch * config.data.max_length
    in_layers = shape.layers * (_KEPT_PER_LAYER if config.compute.gradient_checkpointing else _WORK_PER_LAYER)
    return tokens * shape.width * (in_layers + _WORK_PER_LAYER)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} minutes" if seconds < 7200 else f"about {seconds / 3600:.1f} hours"
