"""Small models for the engine's tests, written once a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine import tiny_models

WRITERS: dict[str, Callable[[Path], object]] = {
    "qwen3": tiny_models.write_qwen3,
    "gpt-oss": tiny_models.write_gpt_oss,
    "llama-3": tiny_models.write_llama3,
    "gemma": tiny_models.write_gemma,
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of a small random model of a family: `qwen3`, `gpt-oss`, `llama-3`, `gemma`."""
    folder = tmp_path_factory.mktemp("tiny")

    def path_of(family: str) -> Path:
        path = folder / f"{family}.gguf"
        if not path.exists():
            WRITERS[family](path)
        return path

    return path_of
