"""llama.cpp as the engine needs it, and the only importer of llama_cpp.

Thin and checked: arguments that would abort the whole process (a sequence out of range, a batch that is too long, too
many output rows) are refused here with an exception. Sources: `include/llama.h` of the pinned llama-cpp-python."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fare_cli.engine import openmp
from fare_cli.engine.devices import Device
from fare_cli.engine.options import ContextParams, GpuSplit, KvType
from fare_cli.engine.sequences import MAX_SEQUENCES
from fare_cli.errors import EnvironmentFault, ModelError

# A native abort prints a backtrace through gdb where there is one, which takes 2 s.
os.environ.setdefault("GGML_NO_BACKTRACE", "1")

# Read by the library when it is loaded.
openmp.settle()

try:
    import llama_cpp
    from llama_cpp._ggml import libggml
except ImportError as error:
    raise EnvironmentFault(
        f"the engine llama-cpp-python cannot be imported: {error}", "install it: pip install llama-cpp-python==0.3.36"
    ) from error

Tokens = npt.NDArray[np.int32]
Row = npt.NDArray[np.float32]

#: Every symbol of llama_cpp that fare uses; a test checks that the pinned version has them all.
SYMBOLS = (
    "GGML_TYPE_F16",
    "GGML_TYPE_Q8_0",
    "LLAMA_FLASH_ATTN_TYPE_DISABLED",
    "LLAMA_FLASH_ATTN_TYPE_ENABLED",
    "LLAMA_SPLIT_MODE_LAYER",
    "LLAMA_SPLIT_MODE_NONE",
    "LLAMA_SPLIT_MODE_ROW",
    "ggml_abort_callback",
    "ggml_backend_sched_eval_callback",
    "llama_adapter_lora_free",
    "llama_adapter_lora_init",
    "llama_backend_init",
    "llama_batch_free",
    "llama_batch_init",
    "llama_context_default_params",
    "llama_decode",
    "llama_free",
    "llama_get_logits_ith",
    "llama_get_memory",
    "llama_init_from_model",
    "llama_log_callback",
    "llama_log_set",
    "llama_memory_clear",
    "llama_memory_seq_cp",
    "llama_memory_seq_rm",
    "llama_model_chat_template",
    "llama_model_default_params",
    "llama_model_desc",
    "llama_model_free",
    "llama_model_get_vocab",
    "llama_model_has_encoder",
    "llama_model_is_hybrid",
    "llama_model_is_recurrent",
    "llama_model_load_from_file",
    "llama_model_meta_val_str",
    "llama_model_n_ctx_train",
    "llama_model_quantize",
    "llama_model_quantize_default_params",
    "llama_model_imatrix_data",
    "llama_n_ctx",
    "llama_print_system_info",
    "llama_sampler_chain_add",
    "llama_sampler_chain_default_params",
    "llama_sampler_chain_init",
    "llama_sampler_free",
    "llama_sampler_init_dist",
    "llama_sampler_init_temp",
    "llama_sampler_sample",
    "llama_set_adapters_lora",
    "llama_supports_gpu_offload",
    "llama_token_to_piece",
    "llama_tokenize",
    "llama_vocab_bos",
    "llama_vocab_eos",
    "llama_vocab_get_add_bos",
    "llama_vocab_get_attr",
    "llama_vocab_is_eog",
    "llama_vocab_n_tokens",
    "LLAMA_TOKEN_ATTR_CONTROL",
    "LLAMA_TOKEN_ATTR_USER_DEFINED",
)

#: What is used of ggml itself, which llama_cpp loads and does not wrap: types of arguments and of the result
#: (`ggml-backend.h`).
_DEVICE_FUNCTIONS: dict[str, tuple[list[Any], Any]] = {
    "ggml_backend_dev_count": ([], ctypes.c_size_t),
    "ggml_backend_dev_get": ([ctypes.c_size_t], ctypes.c_void_p),
    "ggml_backend_dev_type": ([ctypes.c_void_p], ctypes.c_int),
    "ggml_backend_dev_name": ([ctypes.c_void_p], ctypes.c_char_p),
    "ggml_backend_dev_description": ([ctypes.c_void_p], ctypes.c_char_p),
    "ggml_backend_dev_memory": (
        [ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_size_t)],
        None,
    ),
}

#: `GGML_BACKEND_DEVICE_TYPE_GPU`, and `..._IGPU`, which shares the main memory.
_GPU, _SHARED_GPU = 1, 2

_SPLITS: dict[GpuSplit, int] = {
    "none": llama_cpp.LLAMA_SPLIT_MODE_NONE,
    "layer": llama_cpp.LLAMA_SPLIT_MODE_LAYER,
    "row": llama_cpp.LLAMA_SPLIT_MODE_ROW,
}

#: `enum ggml_type` of the cache's types.
_KV_TYPES: dict[KvType, int] = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}

_complaints: list[str] = []
_listeners: list[Callable[[str], None]] = []


def _remember(level: int, text: bytes, _data: Any) -> None:
    """Keeps llama.cpp's error lines for our own messages and prints nothing."""
    for listener in _listeners:
        listener(text.decode(errors="replace"))
    if level == 4 and len(_complaints) < 8:  # GGML_LOG_LEVEL_ERROR
        _complaints.append(text.decode(errors="replace").strip())


def _reason() -> str:
    """What llama.cpp complained of first since it was last asked: that line names the cause, later ones only repeat."""
    reason = _complaints[0] if _complaints else "no reason given"
    _complaints.clear()
    return reason


# Without a Python reference the callback is collected and the next log line crashes the process.
_log_callback = llama_cpp.llama_log_callback(_remember)
llama_cpp.llama_log_set(_log_callback, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()


def build_info() -> dict[str, str | bool]:
    """Versions and abilities of the engine build: `llama_cpp_python`, `system_info` (CPU features), `gpu_offload`."""
    return {
        "llama_cpp_python": llama_cpp.__version__,
        "system_info": llama_cpp.llama_print_system_info().decode(errors="replace").strip(),
        "gpu_offload": bool(llama_cpp.llama_supports_gpu_offload()),
    }


def devices() -> list[Device]:
    """The GPUs that this build can use, in llama.cpp's order, with the memory that is free on each."""
    ggml = {}
    for name, (arguments, result) in _DEVICE_FUNCTIONS.items():
        ggml[name] = getattr(libggml, name)
        ggml[name].argtypes, ggml[name].restype = arguments, result
    found = []
    for index in range(ggml["ggml_backend_dev_count"]()):
        device = ggml["ggml_backend_dev_get"](index)
        kind = ggml["ggml_backend_dev_type"](device)
        if kind not in (_GPU, _SHARED_GPU):
            continue
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        ggml["ggml_backend_dev_memory"](device, ctypes.byref(free), ctypes.byref(total))
        names = (ggml[f"ggml_backend_dev_{what}"](device) for what in ("name", "description"))
        name, description = ((text or b"").decode(errors="replace") for text in names)
        # On Apple silicon the GPU counts as one with memory of its own, and has the main memory.
        shares = kind == _SHARED_GPU or sys.platform == "darwin"
        found.append(Device(name, description, free.value, total.value, shares))
    return found


class DecodeError(Exception):
    """`llama_decode` failed. `code`: 1 no room in the cache, 2 aborted, below 0 invalid input or a failed
    computation."""

    def __init__(self, code: int) -> None:
        super().__init__(f"llama_decode returned {code}: {_reason()}")
        self.code = code


class Model:
    """Loaded weights with their vocabulary. Close it; contexts must be closed before.

    `use_extra_bufts=False` turns the repacked CPU kernels off (and AMX with them). With `vocabulary_only` no weights
    are loaded: it tokenises, and cannot decode. Raises ModelError.
    """

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int = -1,
        gpu_split: GpuSplit = "layer",
        use_extra_bufts: bool = True,
        vocabulary_only: bool = False,
    ) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.split_mode = _SPLITS[gpu_split]
        params.use_extra_bufts = use_extra_bufts
        params.vocab_only = vocabulary_only
        _complaints.clear()
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise ModelError(f"{path}: llama.cpp cannot load it: {_reason()}")
        self.path = path
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocabulary_size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self.add_bos: bool = bool(llama_cpp.llama_vocab_get_add_bos(self._vocab))
        self.bos: int = llama_cpp.llama_vocab_bos(self._vocab)
        self.eos: int = llama_cpp.llama_vocab_eos(self._vocab)
        self.context_train: int = llama_cpp.llama_model_n_ctx_train(self._model)
        self._adapters: list[Any] = []
        self.ends_turns = True

    @property
    def pointer(self) -> Any:
        return self._model

    @property
    def description(self) -> str:
        """Architecture, size and quantisation in llama.cpp's words, e.g. `llama 256M Q4_1`."""
        buffer = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._model, buffer, 256)
        return buffer.value.decode(errors="replace")

    @property
    def has_recurrent_state(self) -> bool:
        """Whether some layer keeps a state that cannot be cut back (Mamba and hybrids)."""
        return bool(llama_cpp.llama_model_is_recurrent(self._model) or llama_cpp.llama_model_is_hybrid(self._model))

    @property
    def has_encoder(self) -> bool:
        return bool(llama_cpp.llama_model_has_encoder(self._model))

    @property
    def chat_template(self) -> str | None:
        text = llama_cpp.llama_model_chat_template(self._model, None)
        return text.decode(errors="replace") if text else None

    def metadata(self, key: str) -> str | None:
        """A value of the GGUF header as text; None if the key is not there."""
        size = 256
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
            if length < 0:
                return None
            if length < size:
                return buffer.value.decode(errors="replace")
            size = length + 1

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Token ids of `text`. With `special` off, text such as `<|im_end|>` is only text."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        while True:
            ids = (llama_cpp.llama_token * room)()
            count = llama_cpp.llama_tokenize(self._vocab, data, len(data), ids, room, False, special)
            if count >= 0:
                return list(ids[:count])
            room = -count

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes a token stands for; with `special` off, control tokens are empty."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if length >= 0:
                return buffer.raw[:length]
            size = -length

    def is_end(self, token: int) -> bool:
        """Whether a token ends the turn (llama.cpp's end-of-generation set); none does with `ends_turns` off."""
        return self.ends_turns and bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    def special_tokens(self) -> dict[str, int]:
        """Text of every control or user-defined token, to its id."""
        mask = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED
        found = {}
        for token in range(self.vocabulary_size):
            if llama_cpp.llama_vocab_get_attr(self._vocab, token) & mask:
                text = self.piece(token, special=True).decode(errors="replace")
                if text:
                    found[text] = token
        return found

    def load_adapter(self, path: Path) -> Any:
        """A LoRA adapter, kept until the model is closed. Raises ModelError."""
        adapter = llama_cpp.llama_adapter_lora_init(self._model, os.fsencode(path))
        if not adapter:
            raise ModelError(
                f"{path}: llama.cpp cannot load this adapter: {_reason()}",
                "an adapter fits only the base model it was trained on, converted to GGUF",
            )
        self._adapters.append(adapter)
        return adapter

    def close(self) -> None:
        for adapter in self._adapters:
            llama_cpp.llama_adapter_lora_free(adapter)
        self._adapters.clear()
        if self._model:
            llama_cpp.llama_model_free(self._model)
            self._model = None


class Context:
    """A key-value cache and its decoder. Rows are token, position, one sequence, and whether logits are wanted.

    `observe` sees the graph at work (`ggml_backend_sched_eval_callback`): it is asked for the address of every node
    whether it wants it, and called again once a node that it wanted is computed; False then ends the decode.

    Raises ModelError if the context cannot be made (mostly memory).
    """

    def __init__(
        self, model: Model, params: ContextParams, *, observe: Callable[[int, bool], bool] | None = None
    ) -> None:
        if not 1 <= params.sequences <= MAX_SEQUENCES:
            raise ValueError(f"{params.sequences} sequences: llama.cpp takes 1 to {MAX_SEQUENCES}")
        if params.outputs < params.sequences:
            raise ValueError(f"{params.outputs} output rows: at least one for each of {params.sequences} sequences")
        native = llama_cpp.llama_context_default_params()
        native.n_ctx = params.cells
        native.n_batch = native.n_ubatch = params.batch
        native.n_seq_max = params.sequences
        native.n_outputs_max = native.n_outputs_max_per_seq = params.outputs
        native.n_threads = native.n_threads_batch = params.threads
        native.flash_attn_type = (
            llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED if params.flash else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        native.kv_unified = params.unified
        # Layers with a sliding window keep the window only, which suffices because no sequence is ever cut back; but
        # not where branches share cells: llama.cpp reuses a cell outside the window only if one sequence holds it, so
        # a long trunk with children would fill the small cache (`llama_kv_cache::find_slot`).
        native.swa_full = params.unified
        native.type_k = native.type_v = _KV_TYPES[params.kv_type]
        native.no_perf = True
        self._abort_flag = ctypes.c_bool(False)
        self._abort_callback = llama_cpp.ggml_abort_callback(lambda _data: self._abort_flag.value)
        native.abort_callback = self._abort_callback
        if observe is not None:
            self._observer = llama_cpp.ggml_backend_sched_eval_callback(lambda node, ask, _data: observe(node, ask))
            native.cb_eval = self._observer
            # What is observed must lie in main memory.
            native.offload_kqv = native.op_offload = False
        self._context = llama_cpp.llama_init_from_model(model.pointer, native)
        if not self._context:
            raise ModelError(
                f"llama.cpp cannot make a context of {params.cells} cells: {_reason()}",
                "use fewer --slots or a smaller --ctx",
            )
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.params = params
        self.vocabulary_size = model.vocabulary_size
        self.cells = int(llama_cpp.llama_n_ctx(self._context))
        self._make_batch()

    def _make_batch(self) -> None:
        room = self.params.batch
        self._batch = llama_cpp.llama_batch_init(room, 0, 1)

        def view(pointer: Any, ctype: Any) -> Any:
            return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctype)), (room,))

        self._tokens = view(self._batch.token, ctypes.c_int32)
        self._positions = view(self._batch.pos, ctypes.c_int32)
        self._wanted = view(self._batch.logits, ctypes.c_int8)
        view(self._batch.n_seq_id, ctypes.c_int32)[:] = 1
        # Each row's sequence list is one cell of one array, so that all rows are set by one numpy assignment.
        self._sequences = np.zeros(room, dtype=np.int32)
        base = self._sequences.ctypes.data
        self._own_lists = [ctypes.cast(self._batch.seq_id[row], ctypes.c_void_p).value or 0 for row in range(room)]
        for row in range(room):
            self._batch.seq_id[row] = ctypes.cast(base + 4 * row, ctypes.POINTER(ctypes.c_int32))

    def use_adapter(self, adapter: Any, scale: float = 1.0) -> None:
        """Applies a LoRA adapter to everything decoded from now on."""
        adapters = (type(adapter) * 1)(adapter)
        code = llama_cpp.llama_set_adapters_lora(self._context, adapters, 1, (ctypes.c_float * 1)(scale))
        if code != 0:
            raise ModelError(f"llama.cpp cannot apply the adapter (code {code})")

    def decode(
        self,
        tokens: Sequence[int] | Tokens,
        positions: Sequence[int] | Tokens,
        sequences: Sequence[int] | Tokens,
        wanted: Sequence[bool] | npt.NDArray[np.bool_],
    ) -> None:
        """Computes the rows; afterwards `logits(row)` gives the rows that were wanted.

        Raises DecodeError when llama.cpp says no, ValueError on what would abort the process.
        """
        count = len(tokens)
        if not 0 < count <= self.params.batch:
            raise ValueError(f"a decode of {count} rows: at most {self.params.batch}")
        self._tokens[:count] = tokens
        self._positions[:count] = positions
        self._sequences[:count] = sequences
        self._wanted[:count] = wanted
        ids = self._sequences[:count]
        if ids.min() < 0 or ids.max() >= self.params.sequences:
            raise ValueError(f"a sequence out of range: 0 to {self.params.sequences - 1}")
        if int(self._wanted[:count].sum()) > self.params.outputs:
            raise ValueError(f"too many output rows: at most {self.params.outputs}")
        self._batch.n_tokens = count
        code = llama_cpp.llama_decode(self._context, self._batch)
        if code != 0:
            raise DecodeError(code)

    def logits(self, row: int) -> Row | None:
        """The logits of a row of the last decode, shape (vocabulary,), valid until the next; None if there are none."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, row)
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        if not address:
            return None
        row_type = ctypes.c_float * self.vocabulary_size
        values: Row = np.ctypeslib.as_array(row_type.from_address(address))
        return values

    def branch(self, source: int, target: int) -> None:
        """Makes `target` hold what `source` holds. Always whole: a partial copy between streams aborts the process."""
        self._check(source)
        self._check(target)
        self.forget(target)
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def forget(self, sequence: int) -> None:
        """Empties a sequence."""
        self._check(sequence)
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, False)

    def sample(self, sampler: Sampler, row: int) -> int:
        """A token drawn by `sampler` from a row of the last decode."""
        return int(llama_cpp.llama_sampler_sample(sampler.pointer, self._context, row))

    def interrupt(self) -> None:
        """Makes a running or the next decode stop with code 2 (on a CPU within about 10 ms). Safe in a signal
        handler."""
        self._abort_flag.value = True

    def resume(self) -> None:
        """Takes `interrupt` back."""
        self._abort_flag.value = False

    def close(self) -> None:
        if self._context:
            # llama_batch_free frees the lists it made itself.
            for row, own in enumerate(self._own_lists):
                self._batch.seq_id[row] = ctypes.cast(own, ctypes.POINTER(ctypes.c_int32))
            llama_cpp.llama_batch_free(self._batch)
            llama_cpp.llama_free(self._context)
            self._context = None

    def _check(self, sequence: int) -> None:
        if not 0 <= sequence < self.params.sequences:
            raise ValueError(f"sequence {sequence} out of range: 0 to {self.params.sequences - 1}")


class Sampler:
    """Draws tokens at a temperature above 0 with a seed of its own; llama.cpp's chain, 46 us a row at 49k tokens."""

    def __init__(self, temperature: float, seed: int) -> None:
        self.pointer = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        llama_cpp.llama_sampler_chain_add(self.pointer, llama_cpp.llama_sampler_init_temp(temperature))
        llama_cpp.llama_sampler_chain_add(self.pointer, llama_cpp.llama_sampler_init_dist(seed % 2**32))

    def close(self) -> None:
        if self.pointer:
            llama_cpp.llama_sampler_free(self.pointer)
            self.pointer = None


#: Most bytes of a tensor's rows that quantising holds in memory at once; llama.cpp's own limit is 8 GiB.
_QUANTIZE_BUFFER_BYTES = 1 << 30

_QUANTIZE_STEP = re.compile(r"\[ *(\d+)/ *(\d+)\] ")


def quantize_model(
    source: Path,
    target: Path,
    file_type: int | None,
    *,
    threads: int,
    allow_requantize: bool = False,
    without_layers: Sequence[int] = (),
    importance: Mapping[str, Row] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> None:
    """Writes `source` to `target` with its weights in another type (`enum llama_ftype` in llama.h; None: as they are).

    `without_layers` are left out, by number. All parts of a split model become one file. `importance` weighs the
    columns of each tensor by name (experts one behind the other). `progress` is told which tensor of how many is at
    work. What was written is of no use when this raises ModelError, and a damaged `source` can abort the process: run
    it in one of its own.
    """
    params = llama_cpp.llama_model_quantize_default_params()
    if file_type is None:
        params.only_copy = True
    else:
        params.ftype = file_type
    layers = (ctypes.c_int32 * (len(without_layers) + 1))(*without_layers, -1)
    if without_layers:
        params.prune_layers = layers
    params.nthread = threads
    params.allow_requantize = allow_requantize
    params.max_buf_size = _QUANTIZE_BUFFER_BYTES
    matrix = _imatrix(importance or {})
    if importance:
        params.imatrix = matrix

    def listen(line: str) -> None:
        if step := _QUANTIZE_STEP.match(line):
            progress(int(step[1]), int(step[2]))

    _complaints.clear()
    _listeners.append(listen)
    try:
        code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params))
    finally:
        _listeners.remove(listen)
    if code != 0:
        reason = _reason().removeprefix("llama_model_quantize: failed to quantize: ")
        raise ModelError(f"{source}: llama.cpp cannot quantise it: {reason}")


def _imatrix(importance: Mapping[str, Row]) -> Any:
    """The array that llama.cpp reads up to the first entry without a name; numpy keeps the numbers alive."""
    entries = (llama_cpp.llama_model_imatrix_data * (len(importance) + 1))()
    for entry, (name, row) in zip(entries, importance.items(), strict=False):
        if row.dtype != np.float32 or not row.flags.c_contiguous:
            raise ValueError(f"the importance of {name} is not a row of float32")
        entry.name = name.encode()
        entry.data = row.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = row.size
    return entries
