"""How much each input of a weight matters: the mean square of the activations it meets on given prompts.

The importance matrix of llama.cpp (`tools/imatrix/imatrix.cpp`, which llama-cpp-python does not ship), measured in the
same way: of every matrix product with a layer's weight, the squares of the other side's columns are summed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fare_cli.asks import Ask
from fare_cli.engine.native import Context, Model, Row
from fare_cli.engine.options import ContextParams
from fare_cli.engine.template import ChatTemplate
from fare_cli.engine.turns import Turns

_BATCH_TOKENS = 256
_GGML_TYPE_F32 = 0
# From enum ggml_op in the pinned llama.cpp; a test compares what is measured with a computation by hand.
_MUL_MAT, _MUL_MAT_ID = 29, 30


class Importance(NamedTuple):
    """Mean squares by the weight's name, as float32 (experts one behind the other), and what they come from."""

    rows: dict[str, Row]
    prompts: int
    tokens: int


class _Tensor(ctypes.Structure):
    """`struct ggml_tensor` in ggml.h, up to its name."""


_Tensor._fields_ = [
    ("type", ctypes.c_int),
    ("buffer", ctypes.c_void_p),
    ("ne", ctypes.c_int64 * 4),
    ("nb", ctypes.c_size_t * 4),
    ("op", ctypes.c_int),
    ("op_params", ctypes.c_int32 * 16),
    ("flags", ctypes.c_int32),
    ("src", ctypes.POINTER(_Tensor) * 10),
    ("view_src", ctypes.c_void_p),
    ("view_offs", ctypes.c_size_t),
    ("data", ctypes.c_void_p),
    ("name", ctypes.c_char * 64),
]


def measure_importance(
    path: Path,
    asks: Iterable[Ask],
    *,
    threads: int,
    most_tokens: int = 4096,
    progress: Callable[[int], None] = lambda _prompts: None,
) -> Importance:
    """What the model at `path` computes on the prompts of `asks`, on the CPU; longer ones are cut at `most_tokens`.

    `progress` is told how many prompts are done. Raises ModelError.
    """
    model = Model(path, gpu_layers=0)
    try:
        turns = Turns(model, ChatTemplate(model))
        found = _Activations()
        params = ContextParams(
            cells=min(most_tokens, model.context_train),
            sequences=1,
            batch=_BATCH_TOKENS,
            # All rows: of the last layer only those are computed whose logits are wanted.
            outputs=_BATCH_TOKENS,
            unified=True,
            flash=True,
            threads=threads,
        )
        context = Context(model, params, observe=found.observe)
        try:
            prompts = tokens = 0
            for ask in asks:
                prompt = turns.job(ask).tokens[: params.cells]
                _decode(context, prompt)
                prompts, tokens = prompts + 1, tokens + len(prompt)
                progress(prompts)
        finally:
            context.close()
        if found.failure is not None:
            raise found.failure
        return Importance(found.means(), prompts, tokens)
    finally:
        model.close()


def _decode(context: Context, prompt: Sequence[int]) -> None:
    context.forget(0)
    for start in range(0, len(prompt), _BATCH_TOKENS):
        piece = prompt[start : start + _BATCH_TOKENS]
        context.decode(piece, range(start, start + len(piece)), [0] * len(piece), [True] * len(piece))


class _Activations:
    """Sums of squares, weight by weight, with the number of rows that went into each expert's."""

    def __init__(self) -> None:
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._counts: dict[str, npt.NDArray[np.int64]] = {}
        self.failure: Exception | None = None

    def observe(self, address: int, ask: bool) -> bool:
        """llama.cpp's eval callback: which nodes are wanted, then what they were computed from."""
        node = _Tensor.from_address(address)
        if node.op not in (_MUL_MAT, _MUL_MAT_ID):
            return not ask
        weight, inputs = node.src[0].contents, node.src[1].contents
        wanted = inputs.type == _GGML_TYPE_F32 and weight.name.startswith(b"blk.")
        if ask or not wanted:
            return wanted if ask else True
        # An exception would be lost in the callback.
        try:
            self._add(node, weight, inputs)
        except (ValueError, IndexError) as error:
            self.failure = error
            return False
        return True

    def _add(self, node: Any, weight: Any, inputs: Any) -> None:
        name, experts = weight.name.decode(), weight.ne[2]
        rows = _array(inputs, np.float32)[0]
        if name not in self._sums:
            self._sums[name] = np.zeros((experts, rows.shape[-1]))
            self._counts[name] = np.zeros(experts, np.int64)
        sums, counts = self._sums[name], self._counts[name]
        if node.op == _MUL_MAT:
            # Heads of one weight are slices of the same rows.
            for place in range(rows.shape[0]):
                sums[place % experts] += np.square(rows[place], dtype=np.float64).sum(axis=0)
                counts[place % experts] += rows.shape[1]
            return
        # Which expert each token went to: [tokens, experts used]; inputs are the same for all of them, or one each.
        chosen = _array(node.src[2].contents, np.int32)[0, 0]
        for used in range(chosen.shape[1]):
            squares = np.square(rows[:, used % rows.shape[1]], dtype=np.float64)
            np.add.at(sums, chosen[:, used], squares)
            np.add.at(counts, chosen[:, used], 1)

    def means(self) -> dict[str, Row]:
        """Experts that no token went to weigh all columns the same, as in llama.cpp."""
        found = {}
        for name, sums in self._sums.items():
            counts = self._counts[name][:, None]
            means = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
            found[name] = np.ascontiguousarray(means, np.float32).reshape(-1)
        return found


def _array(tensor: Any, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """A tensor in main memory as a view, the dimensions in numpy's order (slowest first)."""
    shape, strides = tuple(reversed(tensor.ne[:])), tuple(reversed(tensor.nb[:]))
    size = sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True)) + strides[-1]
    memory = (ctypes.c_char * size).from_address(tensor.data)
    return np.ndarray(shape, dtype, memory, strides=strides)
