"""A model with random weights that is measured in a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli.gguf.store import ModelFile, resolve_model
from tests.engine.tiny_models import write_qwen3


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen3(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture
def model(tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelFile:
    """The tiny model, with a cache folder of the test's own."""
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    return resolve_model(tiny_path)
