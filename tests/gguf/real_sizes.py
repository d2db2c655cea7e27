"""GGUF files with the real dimensions of models too large for a test: the header is complete, the weights are a hole.

llama.cpp takes them with `no_alloc`, which computes all buffer sizes and allocates none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, TokenType

F32 = GGMLQuantizationType.F32
MXFP4 = GGMLQuantizationType.MXFP4
Q4_K = GGMLQuantizationType.Q4_K
Q6_K = GGMLQuantizationType.Q6_K
Q8_0 = GGMLQuantizationType.Q8_0

_TensorInfo = tuple[str, tuple[int, ...], GGMLQuantizationType]


def write_fare_8b(path: Path, *, small: bool = True) -> Path:
    """FARE-8B, which is Qwen3-8B in shape, in Q4_K_M (5.03 GB) or, with `small` off, in Q8_0 (8.71 GB)."""
    layers, width, inner, inner_kv, feed_forward, tokens = 36, 4096, 4096, 1024, 12288, 151_936
    usual = Q4_K if small else Q8_0
    better = Q6_K if small else Q8_0

    def tensors() -> Iterator[_TensorInfo]:
        yield "token_embd.weight", (tokens, width), usual
        yield "output.weight", (tokens, width), better
        yield "output_norm.weight", (width,), F32
        for layer in range(layers):
            # Q4_K_M gives the value and down matrices of half of the layers two bits more.
            some = better if _gets_more_bits(layer, layers) else usual
            block = f"blk.{layer}"
            yield f"{block}.attn_norm.weight", (width,), F32
            yield f"{block}.attn_q.weight", (inner, width), usual
            yield f"{block}.attn_k.weight", (inner_kv, width), usual
            yield f"{block}.attn_v.weight", (inner_kv, width), some
            yield f"{block}.attn_q_norm.weight", (128,), F32
            yield f"{block}.attn_k_norm.weight", (128,), F32
            yield f"{block}.attn_output.weight", (width, inner), usual
            yield f"{block}.ffn_norm.weight", (width,), F32
            yield f"{block}.ffn_gate.weight", (feed_forward, width), usual
            yield f"{block}.ffn_up.weight", (feed_forward, width), usual
            yield f"{block}.ffn_down.weight", (width, feed_forward), some

    writer = GGUFWriter(path, "qwen3")
    writer.add_file_type(15 if small else 7)
    _add_dimensions(writer, layers, 40_960, width, feed_forward)
    writer.add_head_count(32)
    writer.add_head_count_kv(8)
    writer.add_key_length(128)
    writer.add_value_length(128)
    writer.add_rope_freq_base(1_000_000.0)
    _add_vocabulary(writer, "qwen2", tokens)
    return _finish(writer, path, tensors())


def write_fare_20b(path: Path) -> Path:
    """FARE-20B, which is gpt-oss-20b in shape, in MXFP4 with the rest in Q8_0 (12.1 GB)."""
    layers, width, heads, inner, inner_kv, experts, tokens = 24, 2880, 64, 4096, 512, 32, 201_088

    def tensors() -> Iterator[_TensorInfo]:
        yield "token_embd.weight", (tokens, width), Q8_0
        yield "output.weight", (tokens, width), Q8_0
        yield "output_norm.weight", (width,), F32
        for layer in range(layers):
            block = f"blk.{layer}"
            yield f"{block}.attn_norm.weight", (width,), F32
            yield f"{block}.post_attention_norm.weight", (width,), F32
            yield f"{block}.attn_sinks.weight", (heads,), F32
            for name, rows, columns in (
                ("attn_q", inner, width),
                ("attn_k", inner_kv, width),
                ("attn_v", inner_kv, width),
                ("attn_output", width, inner),
            ):
                yield f"{block}.{name}.weight", (rows, columns), Q8_0
                yield f"{block}.{name}.bias", (rows,), F32
            yield f"{block}.ffn_gate_inp.weight", (experts, width), F32
            yield f"{block}.ffn_gate_inp.bias", (experts,), F32
            for name in ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"):
                yield f"{block}.{name}.weight", (experts, width, width), MXFP4
                yield f"{block}.{name}.bias", (experts, width), F32

    writer = GGUFWriter(path, "gpt-oss")
    writer.add_file_type(38)
    _add_dimensions(writer, layers, 131_072, width, width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(8)
    writer.add_key_length(64)
    writer.add_value_length(64)
    writer.add_sliding_window(128)
    writer.add_expert_count(experts)
    writer.add_expert_used_count(4)
    writer.add_expert_feed_forward_length(width)
    writer.add_rope_freq_base(150_000.0)
    _add_vocabulary(writer, "gpt-4o", tokens)
    return _finish(writer, path, tensors())


def write_gemma3_4b(path: Path) -> Path:
    """Gemma-3-4B in Q8_0: a window of 1,024 on five of six layers, embeddings that are the output, too."""
    layers, width, heads, heads_kv, head, feed_forward, tokens = 34, 2560, 8, 4, 256, 10_240, 262_144

    def tensors() -> Iterator[_TensorInfo]:
        yield "token_embd.weight", (tokens, width), Q8_0
        yield "output_norm.weight", (width,), F32
        for layer in range(layers):
            block = f"blk.{layer}"
            for name in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
                yield f"{block}.{name}.weight", (width,), F32
            yield f"{block}.attn_q_norm.weight", (head,), F32
            yield f"{block}.attn_k_norm.weight", (head,), F32
            yield f"{block}.attn_q.weight", (heads * head, width), Q8_0
            yield f"{block}.attn_k.weight", (heads_kv * head, width), Q8_0
            yield f"{block}.attn_v.weight", (heads_kv * head, width), Q8_0
            yield f"{block}.attn_output.weight", (width, heads * head), Q8_0
            yield from _feed_forward(block, width, feed_forward)

    writer = GGUFWriter(path, "gemma3")
    _add_dimensions(writer, layers, 131_072, width, feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads_kv)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_sliding_window(1024)
    _add_vocabulary(writer, "gpt-4o", tokens)
    return _finish(writer, path, tensors())


def write_granite_hybrid(path: Path) -> Path:
    """A hybrid after Granite-4.0-H in Q8_0: four attention layers of forty, the others with a recurrent state."""
    layers, width, heads, heads_kv, head, feed_forward, tokens = 40, 1536, 12, 4, 128, 4096, 100_352
    inner, state, ranks, groups, kernel = 2 * width, 128, 48, 1, 4
    attends = [layer % 10 == 5 for layer in range(layers)]

    def tensors() -> Iterator[_TensorInfo]:
        yield "token_embd.weight", (tokens, width), Q8_0
        yield "output_norm.weight", (width,), F32
        for layer in range(layers):
            block = f"blk.{layer}"
            yield f"{block}.attn_norm.weight", (width,), F32
            if attends[layer]:
                yield f"{block}.attn_q.weight", (heads * head, width), Q8_0
                yield f"{block}.attn_k.weight", (heads_kv * head, width), Q8_0
                yield f"{block}.attn_v.weight", (heads_kv * head, width), Q8_0
                yield f"{block}.attn_output.weight", (width, heads * head), Q8_0
            else:
                yield f"{block}.ssm_in.weight", (2 * inner + 2 * groups * state + ranks, width), Q8_0
                yield f"{block}.ssm_conv1d.weight", (inner + 2 * groups * state, kernel), F32
                yield f"{block}.ssm_conv1d.bias", (inner + 2 * groups * state,), F32
                yield f"{block}.ssm_dt.bias", (ranks,), F32
                yield f"{block}.ssm_a", (ranks, 1), F32
                yield f"{block}.ssm_d", (ranks, 1), F32
                yield f"{block}.ssm_norm.weight", (groups, inner // groups), F32
                yield f"{block}.ssm_out.weight", (width, inner), Q8_0
            yield f"{block}.ffn_norm.weight", (width,), F32
            yield from _feed_forward(block, width, feed_forward)

    writer = GGUFWriter(path, "granitehybrid")
    _add_dimensions(writer, layers, 131_072, width, feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv([heads_kv if attention else 0 for attention in attends])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(state)
    writer.add_ssm_time_step_rank(ranks)
    writer.add_ssm_group_count(groups)
    _add_vocabulary(writer, "gpt-4o", tokens)
    return _finish(writer, path, tensors())


def _feed_forward(block: str, width: int, inner: int) -> Iterator[_TensorInfo]:
    yield f"{block}.ffn_gate.weight", (inner, width), Q8_0
    yield f"{block}.ffn_up.weight", (inner, width), Q8_0
    yield f"{block}.ffn_down.weight", (width, inner), Q8_0


def _add_dimensions(writer: GGUFWriter, layers: int, context: int, width: int, feed_forward: int) -> None:
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(feed_forward)
    writer.add_layer_norm_rms_eps(1e-6)


def _gets_more_bits(layer: int, layers: int) -> bool:
    """`use_more_bits` in llama.cpp's llama-quant.cpp."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def _add_vocabulary(writer: GGUFWriter, kind: str, count: int) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(kind)
    writer.add_token_list([f"t{number}" for number in range(count)])
    writer.add_token_types([TokenType.NORMAL] * count)
    writer.add_token_merges(["t 1"])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)


def _finish(writer: GGUFWriter, path: Path, tensors: Iterator[_TensorInfo]) -> Path:
    """Writes the header and makes the file as long as its weights would make it."""
    data = 0
    for name, shape, kind in tensors:
        elements, size = GGML_QUANT_SIZES[kind]
        count = math.prod(shape) // elements * size
        writer.add_tensor_info(name, shape, np.dtype(np.float32), count, raw_dtype=kind)
        data += -(-count // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    start = -(-path.stat().st_size // 32) * 32
    with path.open("r+b") as file:
        file.truncate(start + data)
    return path
