"""Runs one contender once, in a child process of its own, and returns what it measured of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BUSY = "while True: pass"


@dataclass(frozen=True, slots=True)
class Contender:
    """A program of this folder and how it is set. `wait_policy` is OMP_WAIT_POLICY, None leaves it to the contender."""

    name: str
    program: str
    python: str = sys.executable
    wait_policy: str | None = None
    settings: Mapping[str, Any] | None = None

    @property
    def setting(self) -> str:
        """What is particular about it, for people."""
        parts = [f"{key} {value}" for key, value in (self.settings or {}).items() if not isinstance(value, list)]
        if self.wait_policy:
            parts.append(f"OMP_WAIT_POLICY={self.wait_policy}")
        return ", ".join(parts) or "as it comes"


def measure(contender: Contender, job: Mapping[str, Any], load: int = 0) -> dict[str, Any]:
    """The result of one run: `seconds`, `ready_seconds`, `prompt_tokens`, `new_tokens`, `peak_mib`, `version` and more.

    A fresh process, so that nothing of an earlier run is cached; loading and a short warm-up are not in `seconds`.
    """
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if contender.wait_policy:
        environment["OMP_WAIT_POLICY"] = contender.wait_policy
    environment["PYTHONPATH"] = str(HERE.parent)
    with _busy(load):
        child = subprocess.run(
            [contender.python, str(HERE / contender.program)],
            input=json.dumps({**job, **(contender.settings or {})}),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    lines = child.stdout.strip().splitlines()
    if child.returncode != 0 or not lines:
        raise SystemExit(f"error: {contender.name} ended with {child.returncode}\n{child.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(lines[-1])
    return result


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keeps `count` cores at work with something else."""
    workers = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
