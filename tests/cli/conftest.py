"""Runs `fare` the way a shell does: as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What the entry point does, for tests that change something before it starts.
PROGRAM = [sys.executable, "-m", "fare_cli"]

Fare = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**extra: str) -> dict[str, str]:
    """The environment of a child process: this checkout is found, and the screen has no say."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "80", **extra}


@pytest.fixture
def fare(tmp_path: Path) -> Fare:
    """Runs `fare ARGUMENTS` in an empty folder and gives what it said."""

    def call(
        *arguments: str | Path, stdin: str | bytes = "", env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=options.pop("cwd", tmp_path),
            env=environment(**(env or {})),
            timeout=120,
            check=False,
            **options,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return call


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights that judges in milliseconds: for everything but the quality of verdicts."""
    from tests.engine.tiny_models import write_qwen3

    return write_qwen3(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="session")
def too_large_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a context of 2^28 tokens, whose cache would take more than 100 GB."""
    path = tmp_path_factory.mktemp("model") / "large.gguf"
    content = tiny_model.read_bytes()
    key = b"qwen3.context_length"
    # The key, the type of the value (4, 32 bits without a sign), the value.
    begin = content.index(key) + len(key) + 4
    path.write_bytes(content[:begin] + (1 << 28).to_bytes(4, "little") + content[begin + 4 :])
    return path
