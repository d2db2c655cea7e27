"""Split models: one GGUF in several files, which llama.cpp finds again by their names.

Naming after `llama_split_path` in llama.cpp: `NAME-00001-of-00003.gguf`. The first file is the one to load.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import ModelError
from fare_cli.gguf.header import Header, read_header

_PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})", re.DOTALL)


class _Part(NamedTuple):
    """Part `number` (from 1) of a model `name` in `total` parts."""

    name: str
    number: int
    total: int


def model_name(path: Path) -> str:
    """What the model in a file is called: the file name without `.gguf`, and without the part's number if it is one."""
    part = _part(path)
    return part.name if part else path.stem


def is_later_part(path: Path) -> bool:
    """Whether a file is a part of a split model after the first."""
    part = _part(path)
    return part is not None and part.number > 1


def part_file_names(name: str, count: int) -> list[str]:
    """The file names of a model in `count` parts, in order; one part alone is just `NAME.gguf`."""
    if count == 1:
        return [f"{name}.gguf"]
    return [f"{name}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1)]


def part_paths(path: Path) -> list[Path]:
    """All files of the model that `path` belongs to, in order, whether they are there or not; mostly `path` alone."""
    part = _part(path)
    if part is None or part.total == 1:
        return [path]
    return [path.with_name(name) for name in part_file_names(part.name, part.total)]


def bytes_here(path: Path) -> int:
    """The size of the model that `path` belongs to: that of all its files that are there."""
    return sum(part.stat().st_size for part in part_paths(path) if part.is_file())


def complete_parts(path: Path) -> list[Path]:
    """Like `part_paths`; raises ModelError with the names of those that are missing."""
    parts = part_paths(path)
    missing = [part.name for part in parts if not part.is_file()]
    if missing and len(parts) > 1:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise ModelError(
            f"{path}: {len(missing)} of its {len(parts)} parts missing beside it: {shown}",
            "a split model is used whole: bring the missing files into the same folder",
        )
    return parts


def read_model(path: Path) -> Header:
    """The header of the model that `path` belongs to, with the tensors of all its parts.

    Raises ModelError for parts that are missing, that are no GGUF or cut off, or that are not of one model.
    """
    paths = complete_parts(path)
    headers = [read_header(part) for part in paths]
    first = headers[0]
    for index, (part, header) in enumerate(zip(paths, headers, strict=True)):
        says = (header.metadata.get("split.no", 0), header.metadata.get("split.count") or 1)
        if says != (index, len(paths)):
            raise ModelError(
                f"{part}: its name says part {index + 1} of {len(paths)}, its header split.no {says[0]} of {says[1]}",
                "the parts of a split model keep the numbers in their names",
            )
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    expected = first.metadata.get("split.tensors.count", len(tensors))
    if expected != len(tensors) or len({tensor.name for tensor in tensors}) != len(tensors):
        raise ModelError(
            f"{paths[0]}: its parts hold {len(tensors)} tensors, and it should have {expected}, each once",
            "the parts come from different models: bring them again",
        )
    return replace(first, tensors=tensors, parameters=sum(header.parameters for header in headers))


def _part(path: Path) -> _Part | None:
    match = _PART.fullmatch(path.stem)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    return _Part(match["name"], number, count) if 1 <= number <= count else None
