"""Reads the header of a GGUF file: what a model is, without loading it.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Files are not trusted: every length is checked
against the bytes that are there before anything is allocated for it.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import ModelError

#: Arrays are there as tuples, if they are short and hold numbers: what a model says layer by layer.
MetadataValue = int | float | bool | str | tuple[int | float | bool, ...]

_HINT = "the file is damaged, incomplete, or no GGUF: bring it again"
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_DEEPEST_ARRAY = 4
_MOST_DIMENSIONS = 4
_DEFAULT_ALIGNMENT = 32

# Caps against hostile files. The largest vocabularies have 300,000 tokens and as many merges, the largest models a few
# thousand tensors; llama.cpp takes names of up to 63 bytes (GGML_MAX_NAME) and 512 layers (LLAMA_MAX_LAYERS).
_MOST_PAIRS = 1 << 16
_MOST_TENSORS = 1 << 16
_MOST_ELEMENTS = 1 << 21
_MOST_KEPT_BYTES = 1 << 25
_LONGEST_NAME = 63
_LONGEST_KEPT_ARRAY = 512

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
    24: _TensorType("I8", 1, 1),
    25: _TensorType("I16", 1, 2),
    26: _TensorType("I32", 1, 4),
    27: _TensorType("I64", 1, 8),
    28: _TensorType("F64", 1, 8),
    29: _TensorType("IQ1_M", 256, 56),
    30: _TensorType("BF16", 1, 2),
    34: _TensorType("TQ1_0", 256, 54),
    35: _TensorType("TQ2_0", 256, 66),
    39: _TensorType("MXFP4", 32, 17),
    40: _TensorType("NVFP4", 64, 36),
    41: _TensorType("Q1_0", 128, 18),
}


class Tensor(NamedTuple):
    """What the header says of a tensor: its shape, the fastest dimension first, and what it takes in the file."""

    name: str
    shape: tuple[int, ...]
    type: str
    bytes: int

    @property
    def layer(self) -> int | None:
        """The number of the layer it belongs to; None for embeddings, the output and what all layers share."""
        found = _LAYER.match(self.name)
        return int(found[1]) if found else None


_LAYER = re.compile(r"blk\.(\d{1,4})\.")


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says about itself. `metadata` holds scalars, strings and short arrays of numbers; long arrays
    (the vocabulary) are left out.

    `parameters` counts the weights in this file. `quantisation` is the file's own word, else its most used tensor type.
    `vocabulary` is the number of tokens. The files of a split model after the first do not name an architecture.
    """

    metadata: Mapping[str, MetadataValue]
    architecture: str
    quantisation: str
    context_length: int | None
    parameters: int
    vocabulary: int = 0
    tensors: tuple[Tensor, ...] = ()


def read_header(path: Path) -> Header:
    """The header of a GGUF file. Raises ModelError for a file that cannot be read, is no GGUF, or is cut off."""
    with _mapped(path) as content:
        return _parse(content)


class StoredPair(NamedTuple):
    """A key-value pair as it lies in the file: `stored` are all its bytes, `value` those behind the type."""

    key: str
    type_id: int
    stored: bytes
    value: bytes


class StoredHeader(NamedTuple):
    """A header in the bytes of its file. `opening` is magic and version; the data begins at `data_start`, a multiple of
    `alignment`."""

    opening: bytes
    tensor_count: int
    pairs: list[StoredPair]
    tensors: bytes
    data_start: int
    alignment: int


def read_stored_header(path: Path) -> StoredHeader:
    """The header as its bytes, for writing it anew with other pairs. Raises ModelError like `read_header`."""
    with _mapped(path) as content:
        alignment = _alignment(_parse(content).metadata)
        cursor = _Cursor(content)
        tensor_count, pair_count = _counts(cursor)
        pairs = [_stored_pair(cursor, content) for _ in range(pair_count)]
        begin = cursor.position
        for _ in range(tensor_count):
            _place(cursor, alignment)
        tensors = content[begin : cursor.position]
        data_start = _aligned(cursor.position, alignment)
        return StoredHeader(content[:8], tensor_count, pairs, tensors, data_start, alignment)


def read_stored_pairs(path: Path, prefix: str) -> list[StoredPair]:
    """The pairs whose keys begin with `prefix`, in the order of the file. Raises ModelError like `read_header`."""
    with _mapped(path) as content:
        cursor = _Cursor(content)
        _, pair_count = _counts(cursor)
        pairs = (_stored_pair(cursor, content, prefix) for _ in range(pair_count))
        return [pair for pair in pairs if pair.key.startswith(prefix)]


def _stored_pair(cursor: _Cursor, content: mmap.mmap, prefix: str = "") -> StoredPair:
    """The next pair; without its bytes where its key does not begin with `prefix`."""
    start = cursor.position
    key = cursor.string()
    type_id = cursor.number("I")
    value_start = cursor.position
    cursor.value(type_id)
    if not key.startswith(prefix):
        return StoredPair(key, type_id, b"", b"")
    return StoredPair(key, type_id, content[start : cursor.position], content[value_start : cursor.position])


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    """The bytes of a file; what reading them shows to be wrong becomes a ModelError."""
    if path.exists() and not path.is_file():
        raise ModelError(f"{path} is no file", "name a GGUF file")
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ModelError(f"{path} is no usable model file: {error}", _HINT) from None


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _parse(content: mmap.mmap) -> Header:
    cursor = _Cursor(content)
    tensor_count, pair_count = _counts(cursor)
    metadata, lengths = _metadata(cursor, pair_count)
    alignment = _alignment(metadata)
    places = [_place(cursor, alignment) for _ in range(tensor_count)]
    data_start = _aligned(cursor.position, alignment)
    _check_places(places, data_start, len(content))
    return _header(metadata, lengths, tuple(place.tensor for place in places))


def _counts(cursor: _Cursor) -> tuple[int, int]:
    """How many tensors and how many pairs the file says it has; leaves the cursor at the first pair."""
    if cursor.take(4) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version = cursor.number("I")
    if version not in (2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        raise ValueError(
            "it is big-endian" if swapped in (2, 3) else f"its GGUF version is {version}; 2 and 3 are read"
        )
    tensor_count, pair_count = cursor.number("Q"), cursor.number("Q")
    if tensor_count > _MOST_TENSORS or pair_count > _MOST_PAIRS:
        raise ValueError(f"it speaks of {tensor_count} tensors and {pair_count} metadata keys")
    return tensor_count, pair_count


def _alignment(metadata: Mapping[str, MetadataValue]) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise ValueError(f"its alignment is {alignment!r}, and should be a power of 2")
    return alignment


def _metadata(cursor: _Cursor, count: int) -> tuple[dict[str, MetadataValue], dict[str, int]]:
    """Values by key, and the lengths of the arrays that are not kept."""
    metadata: dict[str, MetadataValue] = {}
    lengths: dict[str, int] = {}
    for _ in range(count):
        key = cursor.string()
        if key in metadata or key in lengths:
            raise ValueError(f"it has the metadata key {key[:80]!r} twice")
        value = cursor.value(cursor.number("I"))
        if isinstance(value, _Passed):
            lengths[key] = value.length
        else:
            metadata[key] = value
    return metadata, lengths


class _Place(NamedTuple):
    tensor: Tensor
    offset: int


def _place(cursor: _Cursor, alignment: int) -> _Place:
    length = cursor.number("Q")
    if length > _LONGEST_NAME:
        raise ValueError(f"a tensor's name has {length} bytes")
    name = cursor.take(length).decode("utf-8", "replace")
    dimensions = cursor.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"the tensor {name!r} has {dimensions} dimensions")
    shape = tuple(cursor.number("Q") for _ in range(dimensions))
    type_id, offset = cursor.number("I"), cursor.number("Q")
    kind = _TENSOR_TYPES.get(type_id)
    if kind is None:
        raise ValueError(f"the tensor {name!r} has the type {type_id}, which the engine does not know")
    if offset % alignment:
        raise ValueError(f"the tensor {name!r} lies at {offset}, which is not aligned to {alignment}")
    row = shape[0] if shape else 1
    if row % kind.elements:
        raise ValueError(f"the tensor {name!r} has rows of {row} weights, and {kind.name} wants {kind.elements}")
    return _Place(Tensor(name, shape, kind.name, math.prod(shape) // kind.elements * kind.bytes), offset)


def _check_places(places: Iterable[_Place], data_start: int, file_bytes: int) -> None:
    """Raises ValueError where two tensors have one name or share bytes, or one lies beyond the end."""
    names: set[str] = set()
    end, before = 0, ""
    for place in sorted(places, key=lambda place: (place.offset, place.tensor.bytes)):
        name = place.tensor.name
        if name in names:
            raise ValueError(f"it has the tensor {name!r} twice")
        names.add(name)
        if place.offset < end:
            raise ValueError(f"the tensors {before!r} and {name!r} share bytes")
        end, before = place.offset + place.tensor.bytes, name
        if data_start + end > file_bytes:
            raise ValueError(f"it is cut off: {file_bytes} bytes, where the tensor {name!r} ends at {data_start + end}")


def _header(metadata: Mapping[str, MetadataValue], lengths: Mapping[str, int], tensors: tuple[Tensor, ...]) -> Header:
    # The files of a split model after the first (split.no counts from 0) have tensors and no other metadata.
    is_later_part = bool(metadata.get("split.no"))
    architecture = metadata.get("general.architecture", "" if is_later_part else None)
    if not isinstance(architecture, str) or not (architecture or is_later_part):
        raise ValueError("it does not name its architecture")
    weights_by_type: Counter[str] = Counter()
    for tensor in tensors:
        weights_by_type[tensor.type] += math.prod(tensor.shape)
    file_type = metadata.get("general.file_type")
    quantisation = _FILE_TYPES.get(file_type) if isinstance(file_type, int) else None
    if quantisation is None and weights_by_type:
        quantisation = weights_by_type.most_common(1)[0][0]
    context_length = metadata.get(f"{architecture}.context_length")
    tokens = metadata.get("tokenizer.ggml.tokens")
    return Header(
        metadata=metadata,
        architecture=architecture,
        quantisation=quantisation or "unknown",
        context_length=context_length if isinstance(context_length, int) else None,
        parameters=weights_by_type.total(),
        vocabulary=len(tokens) if isinstance(tokens, tuple) else lengths.get("tokenizer.ggml.tokens", 0),
        tensors=tensors,
    )


class _Passed(NamedTuple):
    """An array that was passed over."""

    length: int


class _Cursor:
    """Reads little-endian values one after the other; going past the end is a ValueError."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._size = len(content)
        self._elements = 0
        self._kept_bytes = 0
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
        self._kept_bytes += length
        if self._kept_bytes > _MOST_KEPT_BYTES:
            raise ValueError(f"its metadata holds more than {_MOST_KEPT_BYTES} bytes of text")
        return self.take(length).decode("utf-8", "replace")

    def value(self, type_id: int) -> MetadataValue | _Passed:
        """A scalar, a string, or an array: its elements if they are few and numbers, else its length."""
        if type_id == _STRING:
            return self.string()
        if type_id == _ARRAY:
            return self._array(depth=1)
        if type_id not in _SCALARS:
            raise ValueError(f"it has a value of unknown type {type_id}")
        return self._scalar(_SCALARS[type_id])

    def _scalar(self, code: str) -> int | float | bool:
        start = self.skip(struct.calcsize(f"<{code}"))
        value: int | float | bool = struct.unpack_from(f"<{code}", self._content, start)[0]
        return value

    def _array(self, depth: int) -> MetadataValue | _Passed:
        if depth > _DEEPEST_ARRAY:
            raise ValueError("its arrays are nested too deep")
        type_id, count = self.number("I"), self.number("Q")
        if type_id in _SCALARS:
            start = self.skip(count * struct.calcsize(f"<{_SCALARS[type_id]}"))
            if count > _LONGEST_KEPT_ARRAY or depth > 1:
                return _Passed(count)
            return struct.unpack_from(f"<{count}{_SCALARS[type_id]}", self._content, start)
        self._elements += count
        if self._elements > _MOST_ELEMENTS:
            raise ValueError(f"its arrays have more than {_MOST_ELEMENTS} elements")
        if type_id == _STRING:
            self._pass_strings(count)
        elif type_id == _ARRAY:
            for _ in range(count):
                self._array(depth + 1)
        else:
            raise ValueError(f"it has an array of unknown type {type_id}")
        return _Passed(count)

    def _pass_strings(self, count: int) -> None:
        for _ in range(count):
            self.skip(self.number("Q"))
