"""GGUF files that are a header and nothing else, pair by pair: for values that no writer would write."""

from __future__ import annotations

import struct
from pathlib import Path

STRING = 8


def string(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def pair(key: str, value: bytes, type_id: int = STRING) -> bytes:
    """A pair; `value` are the bytes behind the type, without their length where the type is text."""
    return string(key.encode()) + struct.pack("<I", type_id) + (string(value) if type_id == STRING else value)


def write_header_only(path: Path, *pairs: bytes) -> Path:
    every = (pair("general.architecture", b"llama"), *pairs)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(every)) + b"".join(every))
    return path
