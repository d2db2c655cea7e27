"""Attention over packed rows on a CPU: every sample by itself.

A row of several samples has one mask over all its tokens, and PyTorch's attention on a CPU computes all of what that
mask takes away again. `by_sample` never computes it, so that rows may be long without costing more.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import flash_attention_mask

NAME = "by_sample"

_MORE = ("sliding_window", "s_aux", "softcap", "position_bias")


def by_sample(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sample of a row: `query` (1, heads, tokens, width) to (1, tokens, heads, width).

    `cu_seq_lens_q` says where samples begin and end, as TRL's collator gives it; without it the row is one sample.
    Raises ValueError for what this attention does not do: masks, sliding windows, sinks.
    """
    unknown = [name for name in _MORE if more.get(name) is not None]
    if attention_mask is not None or unknown:
        raise ValueError(f"attention by_sample is plainly causal: it has no part for {', '.join(unknown) or 'a mask'}")
    bounds = more.get("cu_seq_lens_q")
    ends = [0, query.shape[2]] if bounds is None else bounds.tolist()
    parts = [
        scaled_dot_product_attention(
            query[:, :, start:end],
            key[:, :, start:end],
            value[:, :, start:end],
            dropout_p=dropout,
            is_causal=True,
            scale=scaling,
            enable_gqa=True,
        )
        for start, end in pairwise(ends)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


def register() -> None:
    """Makes `by_sample` a name that models can be loaded with."""
    AttentionInterface.register(NAME, by_sample)
    AttentionMaskInterface.register(NAME, flash_attention_mask)
