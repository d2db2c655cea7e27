"""How to run a model; light to import, so that a judge can be named before its engine is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Work = Literal["direct", "critique", "votes"]
KvType = Literal["f16", "q8_0"]
KvLayout = Literal["streams", "unified"]
GpuSplit = Literal["none", "layer", "row"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """None means: chosen from the model and the machine.

    `ctx` is the most tokens one ask may hold, prompt and answer; `gpu_layers` -1 puts all layers on a GPU, if the build
    has one; `gpu_split` says how several GPUs share them (by layers, by rows, or one GPU alone). `work` says what the
    run will mostly do, which decides how the cache is laid out; `reply_tokens` is how long an answer may get, for which
    a chosen `ctx` makes room. `kv_type` q8_0 halves the cache and is slower on a CPU. `batch`, `flash` and `kv_layout`
    are what tuning measures: the tokens of the largest prompt piece, flash attention, and whether each slot has cells
    of its own (streams) or all share them (unified).
    """

    ctx: int | None = None
    slots: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    gpu_split: GpuSplit = "layer"
    deterministic: bool = False
    work: Work = "critique"
    reply_tokens: int = 0
    lora: Path | None = None
    kv_type: KvType = "f16"
    batch: int | None = None
    flash: bool | None = None
    kv_layout: KvLayout | None = None


@dataclass(frozen=True, slots=True)
class ContextParams:
    """Shape of a context. `cells` is the total over all sequences; in streams (`unified` off) a sequence gets its
    share of them. `outputs` bounds the rows of one decode whose logits are asked for."""

    cells: int
    sequences: int
    batch: int
    outputs: int
    unified: bool
    flash: bool
    threads: int
    kv_type: KvType = "f16"
