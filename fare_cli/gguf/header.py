"""Reads the header of a GGUF file: what a model is, without loading it.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Files are not trusted: every length is checked
against the bytes that are there before anything is allocated for it.
"""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import ModelError

MetadataValue = int | float | bool | str

_HINT = "the file is damaged, incomplete, or no GGUF: bring it again"
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_DEEPEST_ARRAY = 4
_LONGEST_STRING = 1 << 26
_MOST_DIMENSIONS = 4
_DEFAULT_ALIGNMENT = 32

# general.file_type, from enum llama_ftype in llama.h.
_FILE_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S"},
    **{12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K"},
    **{19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL"},
    **{26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16"},
    **{36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4"},
}


class _TensorType(NamedTuple):
    """A block of `elements` weights takes `bytes`."""

    name: str
    elements: int
    bytes: int


# From enum ggml_type in ggml.h and the block structs in ggml-common.h.
_TENSOR_TYPES = {
    0: _TensorType("F32", 1, 4),
    1: _TensorType("F16", 1, 2),
    2: _TensorType("Q4_0", 32, 18),
    3: _TensorType("Q4_1", 32, 20),
    6: _TensorType("Q5_0", 32, 22),
    7: _TensorType("Q5_1", 32, 24),
    8: _TensorType("Q8_0", 32, 34),
    10: _TensorType("Q2_K", 256, 84),
    11: _TensorType("Q3_K", 256, 110),
    12: _TensorType("Q4_K", 256, 144),
    13: _TensorType("Q5_K", 256, 176),
    14: _TensorType("Q6_K", 256, 210),
    16: _TensorType("IQ2_XXS", 256, 66),
    17: _TensorType("IQ2_XS", 256, 74),
    18: _TensorType("IQ3_XXS", 256, 98),
    19: _TensorType("IQ1_S", 256, 50),
    20: _TensorType("IQ4_NL", 32, 18),
    21: _TensorType("IQ3_S", 256, 110),
    22: _TensorType("IQ2_S", 256, 82),
    23: _TensorType("IQ4_XS", 256, 136),
    29: _TensorType("IQ1_M", 256, 56),
    30: _TensorType("BF16", 1, 2),
    34: _TensorType("TQ1_0", 256, 54),
    35: _TensorType("TQ2_0", 256, 66),
    39: _TensorType("MXFP4", 32, 17),
}

_BITS = {kind.name: 8 * kind.bytes / kind.elements for kind in _TENSOR_TYPES.values()}


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself. `metadata` holds its scalars and strings; arrays are left out.

    `parameters` counts the weights in this file, `weights_by_type` those of each tensor type (`Q4_K`, `F32`).
    `quantisation` is the file's own word, else its most used tensor type.
    """

    metadata: Mapping[str, MetadataValue]
    architecture: str
    quantisation: str
    context_length: int | None
    parameters: int
    weights_by_type: Mapping[str, int]

    @property
    def bits_per_weight(self) -> float | None:
        """The mean over all weights; None where there are none, or some are of a type that fare does not know."""
        if not self.parameters or not self.weights_by_type.keys() <= _BITS.keys():
            return None
        return sum(_BITS[name] * weights for name, weights in self.weights_by_type.items()) / self.parameters


def read_header(path: Path) -> Header:
    """The header of a GGUF file. Raises ModelError for a file that cannot be read, is no GGUF, or is cut off."""
    if path.exists() and not path.is_file():
        raise ModelError(f"{path} is no file", "name a GGUF file")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _parse(content)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ModelError(f"{path} is no usable model file: {error}", _HINT) from None


class _Tensors(NamedTuple):
    weights_by_type: Counter[int]
    end: int


def _parse(content: mmap.mmap) -> Header:
    cursor = _Cursor(content)
    if cursor.take(4) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version = cursor.number("I")
    if version not in (2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        raise ValueError(
            "it is big-endian" if swapped in (2, 3) else f"its GGUF version is {version}; 2 and 3 are read"
        )
    tensor_count, pair_count = cursor.number("Q"), cursor.number("Q")
    metadata: dict[str, MetadataValue] = {}
    for _ in range(pair_count):
        key = cursor.string()
        value = cursor.value(cursor.number("I"))
        if value is not None:
            metadata[key] = value
    tensors = _tensors(cursor, tensor_count)
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"its alignment is {alignment!r}")
    data_start = -(-cursor.position // alignment) * alignment
    if tensor_count and data_start + tensors.end > len(content):
        raise ValueError(f"it is cut off: {len(content)} bytes, where the header speaks of {data_start + tensors.end}")
    return _header(metadata, tensors.weights_by_type)


def _header(metadata: Mapping[str, MetadataValue], weights_by_type: Counter[int]) -> Header:
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise ValueError("it does not name its architecture")
    file_type = metadata.get("general.file_type")
    quantisation = _FILE_TYPES.get(file_type) if isinstance(file_type, int) else None
    if quantisation is None and weights_by_type:
        quantisation = _type_name(weights_by_type.most_common(1)[0][0])
    context_length = metadata.get(f"{architecture}.context_length")
    return Header(
        metadata=metadata,
        architecture=architecture,
        quantisation=quantisation or "unknown",
        context_length=context_length if isinstance(context_length, int) else None,
        parameters=weights_by_type.total(),
        weights_by_type={_type_name(type_id): count for type_id, count in weights_by_type.most_common()},
    )


def _type_name(type_id: int) -> str:
    return _TENSOR_TYPES[type_id].name if type_id in _TENSOR_TYPES else f"type {type_id}"


def _tensors(cursor: _Cursor, count: int) -> _Tensors:
    """Weights by type, and the least size of the data part in bytes (a tensor of an unknown type counts as empty)."""
    weights_by_type: Counter[int] = Counter()
    end = 0
    for _ in range(count):
        cursor.skip(cursor.number("Q"))
        dimensions = cursor.number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor has {dimensions} dimensions")
        weights = 1
        for _ in range(dimensions):
            weights *= cursor.number("Q")
        type_id, offset = cursor.number("I"), cursor.number("Q")
        weights_by_type[type_id] += weights
        kind = _TENSOR_TYPES.get(type_id)
        end = max(end, offset + (-(-weights // kind.elements) * kind.bytes if kind else 0))
    return _Tensors(weights_by_type, end)


class _Cursor:
    """Reads little-endian values one after the other; going past the end is a ValueError."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._size = len(content)
        self.position = 0

    def skip(self, count: int) -> int:
        start = self.position
        if count > self._size - start:
            raise ValueError(f"it is cut off: its header does not end within its {self._size} bytes")
        self.position = start + count
        return start

    def take(self, count: int) -> bytes:
        start = self.skip(count)
        return self._content[start : start + count]

    def number(self, code: str) -> int:
        return int(self._scalar(code))

    def string(self) -> str:
        length = self.number("Q")
        if length > _LONGEST_STRING:
            raise ValueError(f"it has a string of {length} bytes")
        return self.take(length).decode("utf-8", "replace")

    def value(self, type_id: int) -> MetadataValue | None:
        """A scalar or a string; None for an array, which is passed over."""
        if type_id == _STRING:
            return self.string()
        if type_id == _ARRAY:
            self._pass_array(depth=1)
            return None
        if type_id not in _SCALARS:
            raise ValueError(f"it has a value of unknown type {type_id}")
        return self._scalar(_SCALARS[type_id])

    def _scalar(self, code: str) -> int | float | bool:
        start = self.skip(struct.calcsize(f"<{code}"))
        value: int | float | bool = struct.unpack_from(f"<{code}", self._content, start)[0]
        return value

    def _pass_array(self, depth: int) -> None:
        if depth > _DEEPEST_ARRAY:
            raise ValueError("its arrays are nested too deep")
        type_id, count = self.number("I"), self.number("Q")
        if type_id in _SCALARS:
            self.skip(count * struct.calcsize(f"<{_SCALARS[type_id]}"))
        elif type_id == _STRING:
            for _ in range(count):
                self.skip(self.number("Q"))
        elif type_id == _ARRAY:
            for _ in range(count):
                self._pass_array(depth + 1)
        else:
            raise ValueError(f"it has an array of unknown type {type_id}")
