"""The change of weights that a full training made, as a LoRA adapter: the best of that rank, by singular values."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fare_cli.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch

_MODULE = "_proj.weight"
"""The matrices of attention and feed-forward layers, as Llama, Qwen and their kin name them."""


def write_low_rank(checkpoint: Path, start: Path, folder: Path, rank: int) -> float:
    """Writes what `checkpoint` changed in the linear layers of `start` to `folder`, as peft keeps an adapter; gives the
    share of the whole change (in squares) that it holds. What changed elsewhere, in embeddings and norms, is lost.

    A truncated singular value decomposition is the nearest matrix of its rank (Eckart and Young, 1936). Raises
    UsageError for checkpoints of different shapes, ModelError where nothing changed.
    """
    import torch
    from peft import LoraConfig
    from safetensors.torch import save_file

    kept = whole = 0.0
    tensors: dict[str, torch.Tensor] = {}
    modules: set[str] = set()
    for name, change in _changes(checkpoint, start):
        whole += float(change.square().sum())
        if not name.endswith(_MODULE):
            continue
        left, values, right = torch.linalg.svd(change, full_matrices=False)
        most = min(rank, len(values))
        kept += float(values[:most].square().sum())
        root = values[:most].sqrt()
        module = name.removesuffix(".weight")
        modules.add(module.rpartition(".")[2])
        tensors[f"base_model.model.{module}.lora_A.weight"] = (root[:, None] * right[:most]).contiguous()
        tensors[f"base_model.model.{module}.lora_B.weight"] = (left[:, :most] * root).contiguous()
    if not kept:
        raise ModelError(f"{checkpoint} has the linear layers of {start}", "was it trained?")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # With alpha = rank the product is added as it is.
    LoraConfig(
        r=rank, lora_alpha=rank, target_modules=sorted(modules), task_type="CAUSAL_LM", inference_mode=True
    ).save_pretrained(folder)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return kept / whole


def _changes(checkpoint: Path, start: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor's name and by how much it differs, in F32."""
    from safetensors import safe_open

    with ExitStack() as stack:
        shards = [
            {
                name: shard
                for path in sorted(folder.glob("*.safetensors"))
                for shard in [stack.enter_context(safe_open(path, framework="pt"))]
                for name in shard.keys()  # noqa: SIM118 (no mapping)
            }
            for folder in (start, checkpoint)
        ]
        before, after = shards
        if before.keys() != after.keys():
            other = sorted(before.keys() ^ after.keys())
            raise UsageError(f"{checkpoint} and {start} are not the same model: {other[0]} is in one of them")
        for name in before:
            old, new = before[name].get_tensor(name).float(), after[name].get_tensor(name).float()
            if old.shape != new.shape:
                raise UsageError(f"{checkpoint} and {start} are not the same model: {name} differs in shape")
            yield name, new - old
