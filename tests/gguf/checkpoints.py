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


def write_qwen3(folder: Path, tokenizer: Path, seed: int = 0) -> Path:
    """A small qwen3 of random weights in BF16, with the tokenizer of another checkpoint."""
    from transformers import Qwen3Config

    config = Qwen3Config(
        vocab_size=_vocabulary(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        architectures=["Qwen3ForCausalLM"],
        eos_token_id=2,
    )
    return _write_random(folder, config, tokenizer, seed)


def write_llama(folder: Path, tokenizer: Path, seed: int = 0) -> Path:
    """A small llama of random weights in BF16, with the tokenizer of another checkpoint; transformers reads its GGUF
    file back."""
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=_vocabulary(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        architectures=["LlamaForCausalLM"],
        bos_token_id=1,
        eos_token_id=2,
    )
    return _write_random(folder, config, tokenizer, seed)


def write_gpt_oss(folder: Path, tokenizer: Path, seed: int = 0, *, mxfp4: bool = False) -> Path:
    """A small gpt-oss of random weights: in BF16 as fine-tunes are, or with its experts in MXFP4 as the original.

    Its experts are as wide inside as the real one's, 2,880; the vocabulary makes that too much for the whole model.
    """
    from transformers import GptOssConfig

    config = GptOssConfig(
        vocab_size=_vocabulary(tokenizer),
        hidden_size=256,
        intermediate_size=2880,
        num_hidden_layers=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=32,
        sliding_window=128,
        max_position_embeddings=131072,
        tie_word_embeddings=False,
        architectures=["GptOssForCausalLM"],
        eos_token_id=2,
    )
    return _write_random(folder, config, tokenizer, seed, mxfp4=mxfp4)


def write_lora(folder: Path, checkpoint: Path, seed: int = 0) -> Path:
    """A LoRA adapter of rank 4 as peft saves it, for the queries of a checkpoint."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    with safe_open(checkpoint / "model.safetensors", "pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a mapping
            if name.endswith("q_proj.weight"):
                rows, columns = weights.get_slice(name).get_shape()
                stem = f"base_model.model.{name.removesuffix('.weight')}"
                tensors[f"{stem}.lora_A.weight"] = torch.randn(4, columns, generator=generator)
                tensors[f"{stem}.lora_B.weight"] = torch.randn(rows, 4, generator=generator)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def _vocabulary(tokenizer: Path) -> int:
    return int(json.loads((tokenizer / "config.json").read_text())["vocab_size"])


def _write_random(folder: Path, config: Any, tokenizer: Path, seed: int, *, mxfp4: bool = False) -> Path:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in AutoModelForCausalLM.from_config(config).state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if mxfp4 and name.endswith(("gate_up_proj", "down_proj")):
            experts, columns, rows = shape
            blocks = (experts, rows, columns // 32)
            tensors[f"{name}_blocks"] = torch.randint(0, 256, (*blocks, 16), dtype=torch.uint8, generator=generator)
            tensors[f"{name}_scales"] = torch.randint(118, 124, blocks, dtype=torch.uint8, generator=generator)
            continue
        is_norm = name.endswith("norm.weight")
        tensor = torch.ones(shape) if is_norm else torch.randn(shape, generator=generator) / shape[-1] ** 0.5
        tensors[name] = tensor.to(torch.bfloat16)
    config.dtype = "bfloat16"
    if mxfp4:
        config.quantization_config = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}
    config.save_pretrained(folder)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((tokenizer / name).read_bytes())
    return folder
