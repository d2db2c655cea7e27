"""Small random-weight GGUF files of the architectures users bring: each loads in llama.cpp and decodes nonsense.

Every file is below 2 MB and written in well under a second. Vocabularies hold all 256 bytes, a few merges so that words
of the prompts are single tokens, and the special tokens of the family with their true types. The chat templates are
written here after the published formats; they use the same Jinja features as the originals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from gguf import GGUFWriter, RopeScalingType, TokenType

Weights: TypeAlias = npt.NDArray[np.float32]

QWEN3_TEMPLATE = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set found = namespace(last_question=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set place = (messages|length - 1) - loop.index0 %}
    {%- if message.role == 'user' and found.last_question == messages|length - 1 %}
        {%- set found.last_question = place %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- if '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\\n' + content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

HARMONY_TEMPLATE = """\
{%- macro system_text() -%}
    {%- set identity = "You are ChatGPT, a large language model trained by OpenAI." %}
    {{- (model_identity if model_identity is defined else identity) + "\\n" }}
    {{- "Knowledge cutoff: 2024-06\\n" }}
    {{- "Current date: " + strftime_now("%Y-%m-%d") + "\\n\\n" }}
    {{- "Reasoning: " + (reasoning_effort if reasoning_effort is defined else "medium") + "\\n\\n" }}
    {{- "# Valid channels: analysis, commentary, final. Channel must be included for every message." }}
{%- endmacro -%}
{{- "<|start|>system<|message|>" + system_text() + "<|end|>" }}
{%- if messages[0].role in ["system", "developer"] %}
    {%- set developer_text = messages[0].content %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set developer_text = "" %}
    {%- set turns = messages %}
{%- endif %}
{%- if developer_text %}
    {{- "<|start|>developer<|message|># Instructions\\n\\n" + developer_text + "\\n\\n<|end|>" }}
{%- endif %}
{%- for message in turns %}
    {%- if message.role == "assistant" %}
        {%- if "<|channel|>" in message.content %}
            {{- raise_exception("An assistant message must not hold channel tags.") }}
        {%- endif %}
        {%- if loop.last and not add_generation_prompt %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|return|>" }}
        {%- else %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" }}
        {%- endif %}
    {%- elif message.role == "user" %}
        {{- "<|start|>user<|message|>" + message.content + "<|end|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|start|>assistant" }}
{%- endif %}
"""

LLAMA3_TEMPLATE = """\
{% for message in messages %}\
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' \
+ message['content'] | trim + '<|eot_id|>' %}\
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""

_GEMMA_TURNS = """\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('The turns of user and assistant must alternate') }}{% endif %}\
{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"""

GEMMA_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    + _GEMMA_TURNS
    + "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
"""As Gemma 1 and 2: a system message raises."""

GEMMA_FOLDING_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set before = messages[0]['content'] + '\\n\\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set before = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}"
    + _GEMMA_TURNS
    + "{{ '<start_of_turn>' + role + '\\n' + (before if loop.first else '') + message['content'] | trim"
    " + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
"""As Gemma 3: a system message becomes the head of the first user turn."""

_WORDS = ("Verdict", "Explanation", "Question", "Answer", "The", "User", "Assistant")
_ROLES = ("system", "user", "assistant", "model", "developer", "analysis", "commentary", "final")
_SPACED_WORDS = ("the", "answer", "is", "of", "a", "to", "and", "Start", "End", "Answer", "yes", "no", "A", "B")
_SIGNS = (" [", "]\n", ".\n", "\n\n", "'s", "10", "12", " -")


@dataclass(frozen=True, slots=True)
class _Width:
    """Sizes of a tiny transformer, in units of the GGUF keys of the same meaning."""

    layers: int = 2
    embedding: int = 64
    heads: int = 4
    heads_kv: int = 2
    head: int = 32
    feed_forward: int = 128
    context: int = 8192


def write_qwen3(
    path: Path | str,
    seed: int = 0,
    *,
    template: str = QWEN3_TEMPLATE,
    follows: Mapping[str, Sequence[str]] = MappingProxyType({}),
    **sizes: int,
) -> Path:
    """A qwen3 model at `path`: normed queries and keys, ChatML whose template can switch thinking off.

    With `follows` it is a Markov chain: behind the token of each text there, those given are equally likely, whatever
    stands before. `sizes` are those of `_Width` that are to differ.
    """
    width = _Width(**{"context": 32768, **sizes})
    writer = GGUFWriter(path, "qwen3")
    vocabulary = _bpe_tokens(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), plain_tags=("<think>", "</think>"))
    _add_width(writer, width)
    writer.add_key_length(width.head)
    writer.add_value_length(width.head)
    writer.add_rope_freq_base(1_000_000.0)
    _add_bpe(writer, "qwen2", vocabulary, template)
    writer.add_eos_token_id(vocabulary.ids["<|im_end|>"])
    writer.add_pad_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_bos_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    tensors = _llama_tensors(width, len(vocabulary.tokens), np.random.default_rng(seed))
    for layer in range(width.layers):
        tensors[f"blk.{layer}.attn_q_norm.weight"] = np.full(width.head, 1.5, np.float32)
        tensors[f"blk.{layer}.attn_k_norm.weight"] = np.full(width.head, 1.5, np.float32)
    if follows:
        _chain(tensors, vocabulary.ids, follows)
    return _finish(writer, tensors, Path(path))


def write_gpt_oss(
    path: Path | str,
    seed: int = 0,
    *,
    vocabulary: Vocabulary | None = None,
    template: str = HARMONY_TEMPLATE,
    **sizes: int,
) -> Path:
    """A gpt-oss model at `path`: attention sinks, a window of 128 on every second layer, 2 of 4 experts, harmony.

    `sizes` are those of `_Width` that are to differ.
    """
    width = _Width(**{"layers": 4, "context": 131072, **sizes})
    writer = GGUFWriter(path, "gpt-oss")
    framing = ("<|start|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|end|>", "<|return|>", "<|call|>")
    vocabulary = vocabulary or _bpe_tokens(("<|startoftext|>", "<|endoftext|>", *framing))
    _add_width(writer, width)
    writer.add_key_length(width.head)
    writer.add_value_length(width.head)
    writer.add_rope_dimension_count(width.head)
    writer.add_rope_freq_base(150_000.0)
    writer.add_rope_scaling_type(RopeScalingType.YARN)
    writer.add_rope_scaling_factor(32.0)
    writer.add_rope_scaling_orig_ctx_len(4096)
    writer.add_sliding_window(128)
    writer.add_expert_count(4)
    writer.add_expert_used_count(2)
    writer.add_expert_feed_forward_length(width.feed_forward)
    _add_bpe(writer, "gpt-4o", vocabulary, template)
    writer.add_bos_token_id(vocabulary.ids["<|startoftext|>"])
    writer.add_eos_token_id(vocabulary.ids["<|return|>"])
    writer.add_pad_token_id(vocabulary.ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    return _finish(writer, _gpt_oss_tensors(width, len(vocabulary.tokens), np.random.default_rng(seed)), Path(path))


def write_llama3(path: Path | str, seed: int = 0) -> Path:
    """A llama model at `path` with a Llama-3 vocabulary: begin-of-text asked for by the template and by `add_bos`."""
    width = _Width()
    writer = GGUFWriter(path, "llama")
    vocabulary = _bpe_tokens(
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>")
    )
    _add_width(writer, width)
    writer.add_rope_dimension_count(width.head)
    writer.add_key_length(width.head)
    writer.add_value_length(width.head)
    writer.add_rope_freq_base(500_000.0)
    _add_bpe(writer, "llama-bpe", vocabulary, LLAMA3_TEMPLATE)
    writer.add_bos_token_id(vocabulary.ids["<|begin_of_text|>"])
    writer.add_eos_token_id(vocabulary.ids["<|eot_id|>"])
    writer.add_add_bos_token(True)
    return _finish(writer, _llama_tensors(width, len(vocabulary.tokens), np.random.default_rng(seed)), Path(path))


def write_gemma(path: Path | str, seed: int = 0, *, folds_system: bool = False) -> Path:
    """A gemma model at `path`: SentencePiece vocabulary with byte tokens, tied embeddings, no system role.

    With `folds_system` the template puts a system message before the first user turn instead of raising.
    """
    width = _Width()
    writer = GGUFWriter(path, "gemma")
    tokens, scores, types = _sentencepiece_tokens()
    _add_width(writer, width)
    writer.add_key_length(width.head)
    writer.add_value_length(width.head)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_pad_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_unk_token_id(3)
    writer.add_eot_token_id(tokens.index("<end_of_turn>"))
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(GEMMA_FOLDING_TEMPLATE if folds_system else GEMMA_TEMPLATE)
    tensors = _llama_tensors(width, len(tokens), np.random.default_rng(seed))
    del tensors["output.weight"]
    # Gemma scales embeddings by sqrt(width) and ties them to the output. Small embeddings and random signs in the last
    # norm keep the model from repeating its last token; the norm's size gives the logits their spread back.
    random = np.random.default_rng(seed + 1)
    tensors["token_embd.weight"] *= np.float32(0.04)
    tensors["output_norm.weight"] = random.choice(np.array([-9.0, 9.0], np.float32), width.embedding)
    return _finish(writer, tensors, Path(path))


def write_lora(path: Path | str, architecture: str = "qwen3", seed: int = 0) -> Path:
    """A rank-4 adapter at `path` for a two-layer model that this module wrote, strong enough to change its replies."""
    width = _Width()
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 8.0)
    random, rank, inner = np.random.default_rng(seed), 4, width.heads * width.head
    tensors = {}
    for layer in range(width.layers):
        for name, rows, columns in (("attn_q", inner, width.embedding), ("attn_output", width.embedding, inner)):
            tensors[f"blk.{layer}.{name}.weight.lora_a"] = _matrix(random, rank, columns)
            tensors[f"blk.{layer}.{name}.weight.lora_b"] = _matrix(random, rows, rank)
    return _finish(writer, tensors, Path(path))


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens of a BPE vocabulary as GGUF has them: in the letters of GPT-2's alphabet, special ones as they are."""

    tokens: tuple[str, ...]
    types: tuple[TokenType, ...]
    merges: tuple[str, ...]

    @property
    def ids(self) -> Mapping[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}


def _bpe_tokens(special: Sequence[str], plain_tags: Sequence[str] = ()) -> Vocabulary:
    """Bytes, merged words, then the special tokens; `plain_tags` are USER_DEFINED: whole tokens, but of the text."""
    alphabet = gpt2_alphabet()
    tokens, merges = [alphabet[byte] for byte in range(256)], []
    texts = (*_WORDS, *_ROLES, *(f" {word}" for word in _SPACED_WORDS), *_SIGNS)
    for text in texts:
        letters = "".join(alphabet[byte] for byte in text.encode())
        for end in range(1, len(letters)):
            if letters[: end + 1] not in tokens:
                tokens.append(letters[: end + 1])
                merges.append(f"{letters[:end]} {letters[end]}")
    types = (
        [TokenType.NORMAL] * len(tokens)
        + [TokenType.CONTROL] * len(special)
        + [TokenType.USER_DEFINED] * len(plain_tags)
    )
    return Vocabulary((*tokens, *special, *plain_tags), tuple(types), tuple(merges))


def gpt2_alphabet() -> dict[int, str]:
    """The printable character that stands for each byte in a GPT-2 style vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}


def _sentencepiece_tokens() -> tuple[list[str], list[float], list[TokenType]]:
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    types = [TokenType.CONTROL] * 3 + [TokenType.UNKNOWN] + [TokenType.CONTROL] * 2
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    types += [TokenType.BYTE] * 256
    letters = ["▁", "\n", *(chr(code) for code in range(33, 127))]
    words = (*_WORDS, *_ROLES, *(f"▁{word}" for word in (*_SPACED_WORDS, "[")))
    heads = [word[: end + 1] for word in words for end in range(1, len(word))]
    pieces = list(dict.fromkeys((*heads, *letters)))
    tokens += pieces
    types += [TokenType.NORMAL] * len(pieces)
    scores = [0.0] * 262 + [-float(place + 1) for place in range(len(pieces))]
    return tokens, scores, types


def _add_width(writer: GGUFWriter, width: _Width) -> None:
    writer.add_name("tiny random weights")
    writer.add_context_length(width.context)
    writer.add_embedding_length(width.embedding)
    writer.add_block_count(width.layers)
    writer.add_feed_forward_length(width.feed_forward)
    writer.add_head_count(width.heads)
    writer.add_head_count_kv(width.heads_kv)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(0)


def _add_bpe(writer: GGUFWriter, pre: str, vocabulary: Vocabulary, template: str) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.types))
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_chat_template(template)


def _matrix(random: np.random.Generator, *shape: int) -> Weights:
    """Random weights that keep the size of what passes through: the last axis is the input."""
    return np.asarray(random.standard_normal(shape) / np.sqrt(shape[-1]), np.float32)


def _attention_tensors(width: _Width, layer: int, random: np.random.Generator) -> dict[str, Weights]:
    inner, inner_kv = width.heads * width.head, width.heads_kv * width.head
    return {
        f"blk.{layer}.attn_norm.weight": np.ones(width.embedding, np.float32),
        f"blk.{layer}.attn_q.weight": _matrix(random, inner, width.embedding),
        f"blk.{layer}.attn_k.weight": _matrix(random, inner_kv, width.embedding),
        f"blk.{layer}.attn_v.weight": _matrix(random, inner_kv, width.embedding),
        f"blk.{layer}.attn_output.weight": _matrix(random, width.embedding, inner),
    }


def _outer_tensors(width: _Width, tokens: int, random: np.random.Generator) -> dict[str, Weights]:
    """Embedding and output. Logits spread by about 3, so that the best token is mostly clear of rounding."""
    return {
        "token_embd.weight": random.standard_normal((tokens, width.embedding)).astype(np.float32),
        "output_norm.weight": np.full(width.embedding, 3.0, np.float32),
        "output.weight": _matrix(random, tokens, width.embedding),
    }


def _llama_tensors(width: _Width, tokens: int, random: np.random.Generator) -> dict[str, Weights]:
    tensors = _outer_tensors(width, tokens, random)
    for layer in range(width.layers):
        tensors |= _attention_tensors(width, layer, random)
        tensors[f"blk.{layer}.ffn_norm.weight"] = np.ones(width.embedding, np.float32)
        tensors[f"blk.{layer}.ffn_gate.weight"] = _matrix(random, width.feed_forward, width.embedding)
        tensors[f"blk.{layer}.ffn_up.weight"] = _matrix(random, width.feed_forward, width.embedding)
        tensors[f"blk.{layer}.ffn_down.weight"] = _matrix(random, width.embedding, width.feed_forward)
    return tensors


def _chain(tensors: dict[str, Weights], ids: Mapping[str, int], follows: Mapping[str, Sequence[str]]) -> None:
    """Makes a Markov chain of a model: its layers add nothing, and what follows a token looks for its embedding."""
    alphabet = gpt2_alphabet()

    def id_of(text: str) -> int:
        return ids.get(text) or ids["".join(alphabet[byte] for byte in text.encode())]

    for name in tensors:
        if name.endswith(("attn_output.weight", "ffn_down.weight")):
            tensors[name] = np.zeros_like(tensors[name])
    output = np.zeros_like(tensors["output.weight"])
    for text, behind in follows.items():
        for following in behind:
            # Logits of about 19, where tokens that do not follow have less than 8.
            output[id_of(following)] += 0.1 * tensors["token_embd.weight"][id_of(text)]
    tensors["output.weight"] = output


def _gpt_oss_tensors(width: _Width, tokens: int, random: np.random.Generator) -> dict[str, Weights]:
    tensors, experts = _outer_tensors(width, tokens, random), 4
    inner, inner_kv = width.heads * width.head, width.heads_kv * width.head
    small = np.float32(0.1)
    for layer in range(width.layers):
        block = f"blk.{layer}"
        tensors |= _attention_tensors(width, layer, random)
        tensors[f"{block}.post_attention_norm.weight"] = np.ones(width.embedding, np.float32)
        tensors[f"{block}.attn_sinks.weight"] = random.standard_normal(width.heads).astype(np.float32)
        for name, size in (
            ("attn_q", inner),
            ("attn_k", inner_kv),
            ("attn_v", inner_kv),
            ("attn_output", width.embedding),
        ):
            tensors[f"{block}.{name}.bias"] = small * random.standard_normal(size).astype(np.float32)
        tensors[f"{block}.ffn_gate_inp.weight"] = _matrix(random, experts, width.embedding)
        tensors[f"{block}.ffn_gate_inp.bias"] = small * random.standard_normal(experts).astype(np.float32)
        for name, rows, columns in _expert_shapes(width):
            tensors[f"{block}.{name}.weight"] = _matrix(random, experts, rows, columns)
            tensors[f"{block}.{name}.bias"] = small * random.standard_normal((experts, rows)).astype(np.float32)
    return tensors


def _expert_shapes(width: _Width) -> Iterable[tuple[str, int, int]]:
    yield "ffn_gate_exps", width.feed_forward, width.embedding
    yield "ffn_up_exps", width.feed_forward, width.embedding
    yield "ffn_down_exps", width.embedding, width.feed_forward


def _finish(writer: GGUFWriter, tensors: Mapping[str, Weights], path: Path) -> Path:
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
