"""Checkpoints as training and the Hub give them: SmolLM2 turned back into safetensors, and small random ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_SMOLLM2 = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "initializer_range": 0.02,
}

_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def write_smollm2(folder: Path, gguf_file: Path) -> Path:
    """The checkpoint that the small model's GGUF file could have been converted from, in F32, with its tokenizer."""
    from safetensors.numpy import save_file
    from transformers import AutoTokenizer

    tensors, config = _dequantised(gguf_file)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    AutoTokenizer.from_pretrained(gguf_file.parent, gguf_file=gguf_file.name).save_pretrained(folder)
    return folder


def _dequantised(gguf_file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(gguf_file)

    def value(key: str) -> Any:
        return reader.fields[f"llama.{key}"].contents()

    heads = {"attn_q": value("attention.head_count"), "attn_k": value("attention.head_count_kv")}
    tensors = {}
    for tensor in reader.tensors:
        weights = dequantize(tensor.data, tensor.tensor_type)
        *layer, name, _ = tensor.name.split(".")
        if name in heads:
            weights = _unpermuted(weights, heads[name])
        place = f"layers.{layer[1]}." if layer else ""
        tensors[f"model.{place}{_NAMES[name]}.weight"] = weights
    config = {
        **_SMOLLM2,
        "hidden_size": value("embedding_length"),
        "intermediate_size": value("feed_forward_length"),
        "num_hidden_layers": value("block_count"),
        "num_attention_heads": heads["attn_q"],
        "num_key_value_heads": heads["attn_k"],
        "max_position_embeddings": value("context_length"),
        "rms_norm_eps": value("attention.layer_norm_rms_epsilon"),
        "rope_theta": value("rope.freq_base"),
        "vocab_size": len(reader.fields["tokenizer.ggml.tokens"].data),
        "bos_token_id": reader.fields["tokenizer.ggml.bos_token_id"].contents(),
        "eos_token_id": reader.fields["tokenizer.ggml.eos_token_id"].contents(),
        "dtype": "float32",
    }
    return tensors, config


def _unpermuted(weights: Any, heads: int) -> Any:
    """Undoes what the converter does to the queries and keys of llama models (their two rotary conventions)."""
    rows = weights.reshape(heads, weights.shape[0] // heads // 2, 2, *weights.shape[1:])
    return rows.swapaxes(1, 2).reshape(weights.shape).copy()
