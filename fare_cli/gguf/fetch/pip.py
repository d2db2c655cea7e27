"""Runs pip, as the user has configured it: indexes, proxies and credentials are its own business."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence

from fare_cli.errors import EnvironmentFault


def find_pip() -> list[str] | None:
    """The command that runs pip, None where there is none."""
    if importlib.util.find_spec("pip") is not None:
        # -P: a file in the working folder must not stand in for a module of Python.
        return [sys.executable, "-P", "-m", "pip"]
    pip = shutil.which("pip")
    return [pip] if pip else None


def run_downloader(
    command: Sequence[str], what: str, at_hand: str, *, environment: Mapping[str, str] | None = None
) -> None:
    """Runs pip, or a tool like it, to download `what`; on a terminal its progress shows on stderr, else it is quiet.

    Raises EnvironmentFault where it fails; `at_hand` says what else helps.
    """
    on_terminal = sys.stderr.isatty()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=2 if on_terminal else subprocess.PIPE,
        stderr=None if on_terminal else subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode != 0:
        said = [line.strip() for line in (done.stdout or "").splitlines() if line.strip()]
        reason = f": {said[-1]}" if said else ""
        raise EnvironmentFault(
            f"downloading {what} failed{reason}",
            f"check the network and pip's settings (PIP_INDEX_URL); {at_hand}",
        )
