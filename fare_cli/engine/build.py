"""The engine's build, as its files on disk tell: nothing native is loaded for it."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path


def engine_version() -> str:
    """The version of the engine's Python package."""
    return importlib.metadata.version("llama-cpp-python")


def library_stamp() -> list[object]:
    """Size and time of the installed engine's files: another build of the same version is another build."""
    try:
        files = importlib.metadata.files("llama-cpp-python") or []
        stats = [Path(str(f.locate())).stat() for f in files if ".so" in f.name or f.suffix in (".dylib", ".dll")]
    except (importlib.metadata.PackageNotFoundError, OSError):
        return []
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]
