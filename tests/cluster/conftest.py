"""One local cluster for all tests of this folder: Ray takes seconds to start."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fare_cli.cluster.connection import connected
from tests.cli.conftest import ROOT, fare, tiny_model

__all__ = ["fare", "tiny_model"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """This process is connected to a Ray cluster of its own, whose workers find this checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        # Ray's own 15 makes its workers wait for whatever else computes on the machine.
        patch.setenv("RAY_worker_niceness", "0")
        with connected():
            yield
