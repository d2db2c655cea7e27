"""What a build makes and what it takes: the types on the way, disk and memory, from a checkpoint's dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fare_cli.errors import UsageError
from fare_cli.gguf.building.checkpoint import Size
from fare_cli.gguf.quantize import size_bytes, type_named

#: Types that the converter writes itself: its own names for them, and bits a weight.
_DIRECT = {"F32": ("f32", 32.0), "F16": ("f16", 16.0), "BF16": ("bf16", 16.0), "Q8_0": ("q8_0", 8.5)}

_MXFP4 = "MXFP4_MOE"
_EXPERT_KEYS = ("num_local_experts", "num_experts", "n_routed_experts")

# Measured with a tensor of 622M weights (the embedding of Qwen3-8B): 5.0 GB, of which 0.5 are torch and transformers.
# The rest is the tensor as it is stored, once more in F32, and in the type that is written.
_CONVERTER_BYTES = 500_000_000
_F32_AND_WRITTEN_BYTES = 6
_TRIAL_BYTES = 500_000_000


class Recipe(NamedTuple):
    """What is made: a file of `type` (of `quantize.TYPES`, or F32); the converter writes `converted`, its own word."""

    type: str
    converted: str

    @property
    def is_direct(self) -> bool:
        """Whether the converter writes `type` itself, so that nothing is left to quantise."""
        return self.type in _DIRECT

    @property
    def label(self) -> str:
        """What people call the type."""
        return "MXFP4" if self.type == _MXFP4 else self.type


class Plan(NamedTuple):
    """What a build takes, in bytes: to download, as converted, as it is installed, and of memory at the most."""

    download: int
    converted: int
    final: int
    memory: int

    @property
    def disk(self) -> int:
        """The most bytes that lie on the disk at one time."""
        return self.download + self.converted + self.final


def is_mxfp4(config: Mapping[str, Any]) -> bool:
    """Whether the experts of a checkpoint are stored in four bits already."""
    quantisation = config.get("quantization_config")
    return isinstance(quantisation, dict) and quantisation.get("quant_method") == "mxfp4"


def choose_recipe(asked: str | None, config: Mapping[str, Any], weights_type: str) -> Recipe:
    """How to make the type `asked` for; by default MXFP4 of a gpt-oss, else Q4_K_M.

    Raises UsageError for a type that does not exist or does not suit the model.
    """
    if asked is None:
        asked = "MXFP4" if config.get("model_type") == "gpt_oss" else "Q4_K_M"
    name = asked.upper()
    wanted = name if name in _DIRECT else type_named(_MXFP4 if name == "MXFP4" else name)
    if is_mxfp4(config) and wanted != _MXFP4:
        raise UsageError(
            f"the experts of this checkpoint are in MXFP4 already; {wanted} cannot be made of them", "use --type MXFP4"
        )
    if wanted == _MXFP4 and not any(config.get(key) for key in _EXPERT_KEYS):
        raise UsageError("MXFP4 is for mixtures of experts, and this model has no experts", "use --type Q4_K_M")
    if wanted in _DIRECT:
        return Recipe(wanted, _DIRECT[wanted][0])
    # F16 keeps more of an F32 weight than BF16 does, and a BF16 weight may be too large for it.
    return Recipe(wanted, "bf16" if weights_type == "BF16" or is_mxfp4(config) else "f16")


def make_plan(recipe: Recipe, size: Size, config: Mapping[str, Any], *, download: bool) -> Plan:
    """What a build takes, to about a tenth."""
    bits = dict(_DIRECT.values())[recipe.converted]
    converted = int(size.parameters * bits / 8)
    if is_mxfp4(config):
        # The experts stay in four bits, and nearly all weights are in experts.
        converted = int(size.bytes * 1.05)
    final = 0 if recipe.is_direct else size_bytes(recipe.type, size.parameters, _widths(config))
    stored = size.bytes / max(size.parameters, 1)
    conversion = _CONVERTER_BYTES + int(size.largest * (stored + _F32_AND_WRITTEN_BYTES))
    return Plan(
        download=size.bytes if download else 0,
        converted=converted,
        final=final,
        memory=max(conversion, (final or converted) + _TRIAL_BYTES),
    )


def announced_size(config: Mapping[str, Any], total_bytes: int, parameters: int | None) -> Size:
    """The size of a checkpoint whose weights are not here yet, from its config and what its index says they take."""
    vocabulary, width = _number(config, "vocab_size"), _number(config, "hidden_size")
    experts = max(_number(config, key) for key in _EXPERT_KEYS)
    inner = _number(config, "moe_intermediate_size") or _number(config, "intermediate_size")
    stored = 4 if (config.get("dtype") or config.get("torch_dtype")) == "float32" else 2
    largest = max(vocabulary * width, 2 * experts * inner * width)
    return Size(parameters or total_bytes // stored, largest, total_bytes)


def _widths(config: Mapping[str, Any]) -> Iterator[int]:
    for key in ("hidden_size", "intermediate_size", "moe_intermediate_size"):
        yield _number(config, key)


def _number(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) else 0
