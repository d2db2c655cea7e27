"""Several processes: who leads, what they share, and whether the work is split as the config says."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fare_cli.errors import EnvironmentFault, UsageError
from training.config import Config, Parallel

if TYPE_CHECKING:
    from accelerate import PartialState


def world_size() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_leader() -> bool:
    """Whether this process writes what is written once."""
    return int(os.environ.get("RANK", "0")) == 0


def all_processes() -> PartialState:
    """What lets processes wait for one another. On CPUs accelerate takes each for the only one unless it is told."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def check_world(parallel: Parallel) -> None:
    """Raises UsageError unless as many processes run as the config was written for, EnvironmentFault where it wants
    DeepSpeed and that is not installed.

    `accelerate launch --cpu` was seen to run one process where two were asked for, without a word.
    """
    if parallel.deepspeed is not None and importlib.util.find_spec("deepspeed") is None:
        raise EnvironmentFault(
            f"{parallel.deepspeed} is for DeepSpeed, which is not installed",
            "install it: pip install deepspeed; or name a file for parallel.fsdp instead",
        )
    if world_size() != parallel.processes:
        raise UsageError(
            f"{world_size()} process(es) run, and the config is for {parallel.processes}",
            f"torchrun --nproc-per-node {parallel.processes} -m training sft ...",
        )


def fsdp_options(file: Path) -> dict[str, Any]:
    """The FSDP part of an accelerate file, under the names that transformers gives them. Raises UsageError for a file
    that is none, or not for FSDP2."""
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        options = {key.removeprefix("fsdp_"): value for key, value in values["fsdp_config"].items()}
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{file} is no accelerate file with an fsdp_config: {error}") from None
    if options.get("version") != 2:
        raise UsageError(f"{file}: fsdp_version must be 2")
    return options


def trainer_options(config: Config) -> dict[str, Any]:
    """What the trainer is told about sharing the work."""
    parallel = config.parallel
    if parallel.deepspeed is not None:
        return {"deepspeed": str(parallel.deepspeed)}
    if parallel.fsdp is not None:
        return {"fsdp": True, "fsdp_config": fsdp_options(parallel.fsdp)}
    return {}


def shard_on_cpu(accelerator: Any, fsdp_plugin_args: dict[str, Any] | None) -> bool:
    """Whether FSDP is on: lets accelerate split the weights among processes of a CPU too.

    It turns FSDP on for accelerators only, and on a CPU silently keeps whole copies (1.15). The splitting itself
    (`fully_shard`) works there: this is how a config is tried without GPUs.
    """
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    state = accelerator.state
    if fsdp_plugin_args is not None and state.distributed_type == DistributedType.MULTI_CPU:
        state.distributed_type = DistributedType.FSDP
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**fsdp_plugin_args)
    return getattr(state, "fsdp_plugin", None) is not None


def check_split(model: Any, processes: int) -> int:
    """How many parameters are split among the processes. Raises EnvironmentFault unless every trained one is."""
    from torch.distributed.tensor import DTensor

    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    whole = [name for name, one in trained.items() if not isinstance(one, DTensor)]
    if whole:
        raise EnvironmentFault(
            f"{len(whole)} parameters are not split among the {processes} processes ({whole[0]}, ...)",
            "FSDP was asked for and did not happen: accelerate may not know this device",
        )
    return len(trained)
