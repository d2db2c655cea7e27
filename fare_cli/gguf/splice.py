"""Writes a GGUF file with other text values in its header, everything else as it was to the byte.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The offsets of tensors count from the beginning of
the data, so the data can move as a whole: it is copied behind the new header at the same alignment.
"""

from __future__ import annotations

import os
import shutil
import stat
import struct
from collections.abc import Mapping
from pathlib import Path

from fare_cli.errors import UsageError
from fare_cli.gguf.disk import check_space, whole_file, writing
from fare_cli.gguf.header import StoredHeader, read_stored_header

STRING = 8
"""The type of a text value, from enum gguf_type in gguf.h."""

_COPY_BYTES = 1 << 23


def splice(source: Path, target: Path, values: Mapping[str, str | None]) -> None:
    """Writes `source` to `target` with the text `values` set in its header; a key whose value is None is taken out.

    `target` appears whole or not at all, with the permissions of `source`, and may be `source` itself. Raises
    ModelError for a source that is no GGUF file, EnvironmentFault where the disk has no room or does not take it.
    """
    stored = read_stored_header(source)
    header = _header(stored, values)
    if not target.parent.is_dir():
        raise UsageError(f"the folder of {target} does not exist", f"create it first: mkdir -p {target.parent}")
    with writing(target):
        status = source.stat()
        needed = len(header) + max(status.st_size - stored.data_start, 0)
        check_space(target.parent, needed, target.name, "make room, or choose another disk")
        with whole_file(target) as output, source.open("rb") as data:
            os.fchmod(output.fileno(), stat.S_IMODE(status.st_mode))
            output.write(header)
            data.seek(stored.data_start)
            shutil.copyfileobj(data, output, _COPY_BYTES)


def _header(stored: StoredHeader, values: Mapping[str, str | None]) -> bytes:
    pairs = [pair.stored for pair in stored.pairs if pair.key not in values]
    pairs += [_text(key) + struct.pack("<I", STRING) + _text(text) for key, text in values.items() if text is not None]
    counts = struct.pack("<QQ", stored.tensor_count, len(pairs))
    header = b"".join([stored.opening, counts, *pairs, stored.tensors])
    return header + bytes(-len(header) % stored.alignment)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data
