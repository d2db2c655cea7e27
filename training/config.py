"""How a model is trained, read from a TOML file: every name checked, nothing passed over."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fare_cli.errors import UsageError
from fare_cli.unknown_fields import near_miss

Attention = Literal["sdpa", "eager", "flash_attention_2", "by_sample"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(_Table):
    """`max_length` in tokens: longer samples are left out and counted. With `packing` samples in their order fill rows
    of that length; they do not see each other."""

    max_length: int = Field(default=2048, ge=8)
    packing: bool = True


class Optimisation(_Table):
    """`batch` counts rows a device and step, `accumulate` how many such batches make one step of the optimiser.

    `optimiser` adamw_8bit keeps its state in 8 bits (bitsandbytes, on a GPU). `warmup` is a share of the steps.
    `max_steps` is how long it trains whatever the number of samples; None goes through them `epochs` times.
    """

    learning_rate: float = Field(gt=0)
    schedule: Literal["constant_with_warmup", "cosine", "linear"] = "cosine"
    warmup: float = Field(default=0.03, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    batch: int = Field(default=1, ge=1)
    accumulate: int = Field(default=1, ge=1)
    optimiser: Literal["adamw", "adamw_8bit"] = "adamw"


class Compute(_Table):
    """`bf16` computes in bfloat16 over weights in F32 (autocast). `gradient_checkpointing` computes activations twice
    instead of keeping them. `attention` by_sample is the fast one on CPUs (training/attention.py). `tflops` is what one
    device does in training (10^12 operations a second), for the estimate of the time: measured, or a guess that the
    file calls one."""

    bf16: bool = True
    gradient_checkpointing: bool = True
    attention: Attention = "sdpa"
    tflops: float | None = Field(default=None, gt=0)


class Lora(_Table):
    """An adapter of this rank instead of all weights. `four_bit` keeps the weights below it in NF4 (QLoRA, on a
    GPU)."""

    rank: int = Field(ge=1)
    alpha: float = Field(gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | list[str] = "all-linear"
    four_bit: bool = False


class Parallel(_Table):
    """How many `processes` share the work: checked against what really runs. `fsdp` is an accelerate file (FSDP2),
    `deepspeed` a DeepSpeed one (ZeRO), both relative to the config. Neither keeps all weights in each process."""

    processes: int = Field(default=1, ge=1)
    fsdp: Path | None = None
    deepspeed: Path | None = None


class Saving(_Table):
    """A checkpoint to go on from every so many steps, the newest `keep` of them; held-out samples as often."""

    every_steps: int = Field(default=100, ge=1)
    keep: int = Field(default=2, ge=1)
    evaluate_every_steps: int = Field(default=100, ge=1)


class Config(_Table):
    """All that decides a training, apart from its inputs and its seed."""

    about: str = Field(min_length=1)
    optimisation: Optimisation
    data: Data = Data()
    compute: Compute = Compute()
    saving: Saving = Saving()
    parallel: Parallel = Parallel()
    lora: Lora | None = None

    def outcome(self) -> dict[str, Any]:
        """The part that decides what is learnt: not how often is saved, nor how fast a device is. Of the files of
        `parallel` it has what stands in them. Raises UsageError for one that cannot be read."""
        values = self.model_dump(mode="json", exclude={"about", "saving"})
        del values["compute"]["tflops"]
        values["parallel"] |= {"fsdp": _values(self.parallel.fsdp), "deepspeed": _values(self.parallel.deepspeed)}
        return values


def _values(file: Path | None) -> Any:
    """What stands in a YAML file, or in a JSON file, which is one too."""
    if file is None:
        return None
    import yaml

    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "files for several GPUs lie in training/configs") from None


def read_config(path: Path) -> Config:
    """The config in a TOML file. Raises UsageError naming file and key, and the key that was probably meant."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path} cannot be read: {reason}", "configs lie in training/configs") from None
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise _refusal(path, error) from None
    _check(path, config)
    folder = path.absolute().parent
    files = {name: folder / file for name in ("fsdp", "deepspeed") if (file := getattr(config.parallel, name))}
    return config.model_copy(update={"parallel": config.parallel.model_copy(update=files)})


def _check(path: Path, config: Config) -> None:
    if config.parallel.fsdp and config.parallel.deepspeed:
        raise UsageError(f"{path}: parallel has both fsdp and deepspeed", "choose one")
    if config.lora is not None and config.lora.four_bit and config.parallel.deepspeed:
        raise UsageError(f"{path}: four_bit weights cannot be split by DeepSpeed ZeRO-3", "use fsdp, or one process")


def _refusal(path: Path, error: ValidationError) -> UsageError:
    # A misspelt key is a missing one, too: the misspelling says more.
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    place = [str(part) for part in first["loc"] if part != "function-after"]
    name = ".".join(place)
    if first["type"] == "extra_forbidden":
        known = _fields(place[:-1])
        meant = near_miss(place[-1], known)
        hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}"
        return UsageError(f"{path}: unknown key {name}", hint)
    if first["type"] == "missing":
        return UsageError(f"{path}: {name} is missing")
    reason = str(first["msg"]).removeprefix("Input ")
    return UsageError(f"{path}: {name} cannot be {first['input']!r}: {reason}")


def _fields(place: list[str]) -> tuple[str, ...]:
    """The keys of the table at `place`."""
    tables: dict[str, type[BaseModel]] = {
        "optimisation": Optimisation,
        "data": Data,
        "compute": Compute,
        "saving": Saving,
    }
    tables |= {"parallel": Parallel, "lora": Lora}
    table = tables[place[0]] if place else Config
    return tuple(table.model_fields)
