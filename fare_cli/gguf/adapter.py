"""LoRA adapters in GGUF files, and whether they fit a model. The rules are those of llama.cpp's llama-adapter.cpp."""

from __future__ import annotations

from pathlib import Path

from fare_cli.errors import ModelError
from fare_cli.gguf.header import Header

_EMBEDDING = "token_embd.weight"


def is_adapter(path: Path, header: Header) -> bool:
    """Whether the file at `path` holds an adapter rather than a model. Raises ModelError for what is neither."""
    kind = header.metadata.get("general.type", "model")
    if kind not in ("model", "adapter"):
        raise ModelError(f"{path} holds no model that judges: its type is {kind!r}", "name the language model itself")
    return kind == "adapter"


def check_fit(adapter_path: Path, adapter: Header, base_name: str, base: Header) -> None:
    """Raises ModelError where the base is no model that the adapter was made for: architecture, tensors, shapes."""
    reason = _misfit(adapter, base)
    if reason:
        raise ModelError(
            f"{adapter_path} does not fit {base_name}: {reason}",
            "an adapter fits only the base model it was trained on, converted to GGUF",
        )


def _misfit(adapter: Header, base: Header) -> str | None:
    if base.metadata.get("general.type") == "adapter":
        return "that is an adapter itself"
    if adapter.architecture != base.architecture:
        return f"it is for {adapter.architecture or 'nothing'}, and the model is {base.architecture}"
    shapes = {tensor.name: tensor.shape for tensor in base.tensors}
    for tensor in adapter.tensors:
        name, dot, side = tensor.name.rpartition(".")
        if not dot or side not in ("lora_a", "lora_b"):
            continue
        shape = shapes.get(name)
        if shape is None:
            return f"the model has no tensor {name}"
        if name == _EMBEDDING:  # its pair is stored the other way round; llama.cpp has the last word
            continue
        place = 0 if side == "lora_a" else 1
        if len(shape) < 2 or len(tensor.shape) < 2 or tensor.shape[place] != shape[place]:
            return f"{tensor.name} has the shape {list(tensor.shape)}, and the model's {name} {list(shape)}"
    return None
