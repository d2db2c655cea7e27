"""What a model takes in memory, computed from its header alone: weights, key-value cache, work space.

The formulas are those of the pinned llama.cpp: `llama_kv_cache` and `llama_kv_cache_iswa` for the cache,
`llama_memory_recurrent` for recurrent states, `sched_reserve` and `output_reserve` in llama-context.cpp for the rest.
The work space is the peak of a graph that llama.cpp's allocator packs; what lives at that peak was fitted to its own
figures (tests/gguf/test_memory.py compares: the cache exactly, the work space within 10%).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fare_cli.errors import ModelError
from fare_cli.gguf.header import Header, Tensor

#: Bytes that a block of values of a cache type takes, and its values (ggml-common.h).
_KV_TYPES = {"f16": (2, 1), "q8_0": (34, 32)}

#: llama.cpp rounds the cells of a sequence up to this.
CELLS_STEP = 256

# `LLAMA_MAX_LAYERS`, and more heads, experts or weights in a row than any model has.
_MOST_LAYERS = 512
_MOST = 1 << 24

#: Every how many layers one attends to everything, by architecture, where the file does not say; `_DENSE_FIRST`: it is
#: the first of them, not the last. From `load_swa_pattern` in src/models/*.cpp.
_WINDOW_PERIODS = {
    **{"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "cohere2moe": 4, "exaone4": 4},
    **{"exaone-moe": 4, "olmo2": 4, "plamo3": 8, "llama4": 4, "afmoe": 4, "mellum": 4, "smallthinker": 4, "laguna": 4},
}
_DENSE_FIRST = {"cohere2moe", "smallthinker", "laguna"}

#: Windows that llama.cpp takes where the file gives none or another.
_DEFAULT_WINDOWS = {"gemma2": 4096, "exaone-moe": 128}
_FIXED_WINDOWS = {"llama4": 8192, "smallthinker": 4096}

#: How many layers from the start have a cache of their own, where the file does not say.
_LAYERS_WITH_CACHE = {"gemma3n": 20}

#: llama.cpp's own margin for a device when it fits a model (common.h, `fit_params_target`).
DEVICE_MARGIN_BYTES = 1 << 30


class MemoryPlan(NamedTuple):
    """Bytes that a model takes while it judges: `kv_bytes` is the key-value cache with recurrent states,
    `compute_bytes` the work space, `logits_bytes` the buffer from which probabilities are read, at its largest."""

    weights_bytes: int
    kv_bytes: int
    compute_bytes: int
    logits_bytes: int

    @property
    def total_bytes(self) -> int:
        return sum(self)

    def describe(self) -> str:
        """`15.10 GB: weights 12.10, cache 2.30, work space 0.70`."""
        work = self.compute_bytes + self.logits_bytes
        parts = {"weights": self.weights_bytes, "cache": self.kv_bytes, "work space": work}
        listed = ", ".join(f"{name} {count / 1e9:.2f}" for name, count in parts.items())
        return f"{self.total_bytes / 1e9:.2f} GB: {listed}"


class TableRow(NamedTuple):
    """A row of `memory_table`: what `slots` asks of `ctx` tokens, prompt and reply, take side by side."""

    ctx: int
    slots: int
    kv_type: str
    plan: MemoryPlan


def plan(
    header: Header,
    *,
    cells: int,
    sequences: int,
    batch: int = 512,
    outputs: int = 64,
    unified: bool = True,
    flash: bool = True,
    kv_type: str = "f16",
) -> MemoryPlan:
    """What llama.cpp takes for a model in a context of this shape.

    `cells` are the tokens of the whole cache, shared by `sequences` if `unified`, else divided among them; `batch` the
    tokens of the largest piece, `outputs` the rows of one decode whose logits are asked for. Sliding windows save
    memory where sequences have cells of their own: with `unified` fare keeps whole ones, since sequences that branch
    from each other hold on to cells that have left the window. Raises ModelError if the header does not say enough.
    """
    model = _read_shape(header)
    cache = _CacheShape.of(model, cells, sequences, batch, unified=unified)
    weights = sum(tensor.bytes for tensor in header.tensors)
    kv = sum(_attention_bytes(model, cache, layer, kv_type) for layer in range(model.layers))
    kv += sum(model.state_bytes) * sequences
    logits = 4 * max(outputs, sequences) * model.vocabulary
    return MemoryPlan(weights, kv, _compute_bytes(model, cache, sequences, outputs, flash=flash), logits)


def kv_bytes_per_token(header: Header, kv_type: str = "f16") -> int:
    """Bytes of cache for one more token, sliding windows counted as full."""
    model = _read_shape(header)
    one = _CacheShape(rows=1, streams=1, full=1, windowed=1)
    return sum(_attention_bytes(model, one, layer, kv_type) for layer in range(model.layers))


def memory_table(
    header: Header, *, contexts: Sequence[int] | None = None, slots: Sequence[int] = (1,)
) -> list[TableRow]:
    """What the model takes at several contexts (4,096, 16,384 and its own, unless `contexts` names others), for so many
    asks side by side, with the cache in f16 and q8_0. Contexts beyond the model's own are left out."""
    longest = header.context_length or _MOST
    wanted = sorted({*(contexts or (4096, 16_384, longest))})
    return [
        TableRow(ctx, asks, kv_type, plan(header, cells=asks * ctx, sequences=asks, kv_type=kv_type))
        for ctx in wanted
        if ctx <= longest
        for asks in slots
        for kv_type in _KV_TYPES
    ]


def layer_count(header: Header) -> int:
    """The repeating layers of a model; llama.cpp counts its output as one more."""
    return _read_shape(header).layers


def device_bytes(header: Header, layers: int, whole: MemoryPlan) -> int:
    """Bytes that go to the GPU of the `whole` plan when its last `layers` are offloaded.

    The output counts as a layer, as in llama.cpp: a model of 36 has 37. The token embeddings stay in main memory; where
    they are the output, too, the GPU gets a copy. The work space is needed there in full.
    """
    if layers <= 0:
        return 0
    count = layer_count(header)
    repeating = min(layers - 1, count)
    weights = sum(tensor.bytes for tensor in header.tensors if _is_output(tensor))
    if not any(tensor.name == "output.weight" for tensor in header.tensors):
        weights += sum(tensor.bytes for tensor in header.tensors if tensor.name == _EMBEDDINGS)
    first = count - repeating
    weights += sum(tensor.bytes for tensor in header.tensors if tensor.layer is not None and tensor.layer >= first)
    return weights + whole.kv_bytes * repeating // max(count, 1) + whole.compute_bytes


def layers_that_fit(header: Header, whole: MemoryPlan, free_bytes: int) -> int:
    """The most layers, the output counted, whose weights and cache fit into `free_bytes` of a GPU; 0 if none does."""
    most = layer_count(header) + 1
    return next((layers for layers in range(most, 0, -1) if device_bytes(header, layers, whole) <= free_bytes), 0)


_EMBEDDINGS = "token_embd.weight"


def _is_output(tensor: Tensor) -> bool:
    return tensor.layer is None and tensor.name != _EMBEDDINGS


@dataclass(frozen=True, slots=True)
class _Shape:
    """Dimensions of a model; tuples have one entry a layer."""

    layers: int
    width: int
    heads: int
    key: int
    value: int
    kv_values: tuple[int, ...]
    """Values of key and value cache that a token takes in a layer."""
    windows: tuple[bool, ...]
    window: int
    state_bytes: tuple[int, ...]
    state_width: int
    feed_forward: int
    experts_used: int
    expert_feed_forward: int
    vocabulary: int


class _CacheShape(NamedTuple):
    """Rows of a decode, streams, and the cells of a stream in layers that see everything and in windowed ones."""

    rows: int
    streams: int
    full: int
    windowed: int

    @classmethod
    def of(cls, model: _Shape, cells: int, sequences: int, batch: int, *, unified: bool) -> _CacheShape:
        cells = _padded(cells)
        full = cells if unified else _padded(cells // sequences)
        windowed = full if unified else min(full, _padded(model.window + min(batch, cells)))
        # `graph_reserve` gives every sequence as many rows.
        rows = -(-min(batch, cells) // sequences) * sequences
        return cls(rows, 1 if unified else sequences, full, windowed)


def _padded(cells: int) -> int:
    return max(-(-cells // CELLS_STEP), 1) * CELLS_STEP


def _attention_bytes(model: _Shape, cache: _CacheShape, layer: int, kv_type: str) -> int:
    size, values = _KV_TYPES[kv_type]
    cells = (cache.windowed if model.windows[layer] else cache.full) * cache.streams
    return model.kv_values[layer] * cells * size // values


def _compute_bytes(model: _Shape, cache: _CacheShape, sequences: int, outputs: int, *, flash: bool) -> int:
    """The work space at its peak, which lies in attention, in a recurrent layer, in a feed-forward block or at the
    logits. Activations are 32-bit floats."""
    rows = cache.rows
    masks = rows * (cache.full + (cache.windowed if any(model.windows) else 0)) * (2 if flash else 4)
    stream, query, cached = 4 * rows * model.width, 4 * rows * model.heads * model.key, 2 * rows * max(model.kv_values)
    hidden = 4 * rows * max(model.feed_forward, model.experts_used * model.expert_feed_forward)
    # Without flash attention the scores of all heads are there at once.
    scores = 0 if flash else 4 * rows * model.heads * cache.full
    read = 4 * min(outputs, rows)
    attention = masks + scores + 3 * stream + 2 * query + 2 * cached
    feed_forward = masks + 4 * stream + 3 * hidden
    ending = read * (model.vocabulary + model.width) + stream * (1 + max(model.experts_used, 1))
    recurrent = 4 * rows * 8 * model.state_width + sequences * max(model.state_bytes)
    return max(attention, recurrent, feed_forward, ending)


class _Reader:
    """The numbers of an architecture in a header, checked."""

    def __init__(self, header: Header) -> None:
        self._header = header

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number; the largest one where the file has one for every layer."""
        return max(self._numbers(name, default), default=0)

    def by_layer(self, name: str, layers: int, default: int | None = None) -> tuple[int, ...]:
        values = self._numbers(name, default)
        if len(values) == 1:
            return values * layers
        if len(values) < layers:
            raise self._error(name, f"has {len(values)} entries for {layers} layers")
        return values[:layers]

    def has(self, name: str) -> bool:
        return self._key(name) in self._header.metadata

    def flags(self, name: str, layers: int) -> tuple[bool, ...] | None:
        """What an array says of each layer; None where there is no array."""
        value = self._header.metadata.get(self._key(name))
        if not isinstance(value, tuple):
            return None
        if len(value) < layers:
            raise self._error(name, f"has {len(value)} entries for {layers} layers")
        return tuple(bool(entry) for entry in value[:layers])

    def _key(self, name: str) -> str:
        return f"{self._header.architecture}.{name}"

    def _numbers(self, name: str, default: int | None) -> tuple[int, ...]:
        value = self._header.metadata.get(self._key(name), default)
        if value is None:
            raise self._error(name, "is missing")
        values = value if isinstance(value, tuple) else (value,)
        numbers = tuple(int(entry) for entry in values if isinstance(entry, int) and 0 <= entry <= _MOST)
        if len(numbers) != len(values):
            raise self._error(name, f"is {str(value)[:80]!r}")
        return numbers

    def _error(self, name: str, what: str) -> ModelError:
        return ModelError(
            f"the header of this model does not add up: {self._key(name)} {what}",
            "the file may be damaged, or made for another program than llama.cpp",
        )


def _read_shape(header: Header) -> _Shape:
    reader = _Reader(header)
    layers = reader.number("block_count")
    if not 1 <= layers <= _MOST_LAYERS:
        raise ModelError(f"the header of this model speaks of {layers} layers", "the file may be damaged")
    width = reader.number("embedding_length")
    heads = reader.number("attention.head_count", 0)
    usual = width // heads if heads else 0
    key, value = reader.number("attention.key_length", usual), reader.number("attention.value_length", usual)
    windows, window = _windows(header, reader, layers)
    recurrent = _recurrent_layers(header, layers)
    return _Shape(
        layers=layers,
        width=width,
        heads=heads,
        key=key,
        value=value,
        kv_values=_kv_values(header, reader, (key, value), windows, recurrent),
        windows=windows,
        window=window,
        state_bytes=tuple(_state_bytes(reader, width) if recurs else 0 for recurs in recurrent),
        state_width=reader.number("ssm.inner_size", width) if any(recurrent) else 0,
        feed_forward=reader.number("feed_forward_length", 0),
        experts_used=reader.number("expert_used_count", 0),
        expert_feed_forward=reader.number("expert_feed_forward_length", reader.number("feed_forward_length", 0)),
        vocabulary=header.vocabulary,
    )


def _windows(header: Header, reader: _Reader, layers: int) -> tuple[tuple[bool, ...], int]:
    """Which layers see a window only, and its tokens."""
    name = header.architecture
    window = reader.number("attention.sliding_window", _DEFAULT_WINDOWS.get(name, 0))
    # Large Exaone-4 models have windows, small ones none; no key tells them apart (exaone4.cpp).
    if not window or (name == "exaone4" and layers != 64):
        return (False,) * layers, 0
    window = _FIXED_WINDOWS.get(name, window)
    flags = reader.flags("attention.sliding_window_pattern", layers)
    if flags is not None:
        return flags, window
    if name not in _WINDOW_PERIODS:
        return (False,) * layers, 0
    period = reader.number("attention.sliding_window_pattern", _WINDOW_PERIODS[name])
    if period == 0:
        return (True,) * layers, window
    dense = 0 if name in _DENSE_FIRST else period - 1
    return tuple(layer % period != dense for layer in range(layers)), window


def _recurrent_layers(header: Header, layers: int) -> tuple[bool, ...]:
    """Which layers keep a state of fixed size: those with its tensors (Mamba, delta nets, short convolutions)."""
    found = {tensor.layer for tensor in header.tensors if ".ssm_" in tensor.name or ".shortconv." in tensor.name}
    return tuple(layer in found for layer in range(layers))


def _kv_values(
    header: Header, reader: _Reader, head: tuple[int, int], windows: Sequence[bool], recurrent: Sequence[bool]
) -> tuple[int, ...]:
    layers = len(windows)
    heads_kv = reader.by_layer("attention.head_count_kv", layers, reader.number("attention.head_count", 0))
    windowed_head = (
        reader.number("attention.key_length_swa", head[0]),
        reader.number("attention.value_length_swa", head[1]),
    )
    # With latent attention (MLA) the values are read out of the keys.
    latent = reader.has("attention.key_length_mla")
    shared = reader.number("attention.shared_kv_layers", 0)
    own = _LAYERS_WITH_CACHE.get(header.architecture, layers - shared - reader.number("nextn_predict_layers", 0))
    attends = {tensor.layer for tensor in header.tensors if tensor.name.endswith(".attn_k.weight")}
    values = []
    for layer in range(layers):
        key, value = windowed_head if windows[layer] else head
        is_kept = layer < own and (not recurrent[layer] or layer in attends)
        values.append(heads_kv[layer] * (key + (0 if latent else value)) if is_kept else 0)
    return tuple(values)


def _state_bytes(reader: _Reader, width: int) -> int:
    """Bytes of a recurrent layer's state for one sequence, 32-bit floats (`n_embd_r`, `n_embd_s` in
    llama-hparams.cpp)."""
    taps = reader.number("shortconv.l_cache", 0)
    if taps:
        return 4 * width * (taps - 1)
    inner, state = reader.number("ssm.inner_size", 0), reader.number("ssm.state_size", 0)
    kernel, groups = reader.number("ssm.conv_kernel", 0), reader.number("ssm.group_count", 0)
    return 4 * (max(kernel - 1, 0) * (inner + 2 * groups * state) + state * inner)


#: What a quantised file of these types takes, in bits a weight: llama.cpp's mixes on an 8B model.
QUANTISED_BITS: Mapping[str, float] = {"Q8_0": 8.5, "Q6_K": 6.57, "Q5_K_M": 5.71, "Q4_K_M": 4.91}
