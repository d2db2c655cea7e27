"""How many workers fit, and what each takes."""

from __future__ import annotations

import pytest

from fare_cli.cluster.pool import Node, Pool, plan_pool
from fare_cli.errors import EnvironmentFault

SMALL, LARGE, GPUS = Node(4, 0), Node(64, 0), Node(32, 4)


@pytest.mark.parametrize(
    ("nodes", "workers", "cpus", "gpus", "pool"),
    [
        ([LARGE], None, None, 0, Pool(1, 64, 0)),
        ([LARGE, LARGE], None, None, 0, Pool(2, 64, 0)),
        ([LARGE, LARGE], 8, None, 0, Pool(8, 16, 0)),
        ([LARGE, LARGE], 3, None, 0, Pool(3, 32, 0)),
        ([LARGE], None, 4, 0, Pool(16, 4, 0)),
        ([SMALL, LARGE], None, None, 0, Pool(17, 4, 0)),
        ([GPUS, LARGE], None, None, 1, Pool(4, 8, 1)),
        ([GPUS], 2, None, 1, Pool(2, 16, 1)),
        ([GPUS], None, 16, 1, Pool(2, 16, 1)),
        ([Node(8, 1)], None, 1, 0.1, Pool(8, 1, 0.1)),
        ([Node(16, 1)], None, 1, 0.1, Pool(10, 1, 0.1)),
    ],
)
def test_workers_fill_the_machines(
    nodes: list[Node], workers: int | None, cpus: int | None, gpus: float, pool: Pool
) -> None:
    assert plan_pool(nodes, workers, cpus, gpus) == pool


@pytest.mark.parametrize(
    ("nodes", "workers", "cpus", "gpus", "words"),
    [
        ([LARGE], 1, None, 1, "room for 0 workers of 1 CPUs and 1 GPUs, not for 1"),
        ([SMALL], 2, 4, 0, "room for 1 workers of 4 CPUs, not for 2"),
        ([], None, None, 0, "room for 0 workers"),
        ([Node(0, 0)], None, None, 0, "room for 0 workers"),
    ],
)
def test_what_would_wait_for_ever_is_refused(
    nodes: list[Node], workers: int | None, cpus: int | None, gpus: float, words: str
) -> None:
    with pytest.raises(EnvironmentFault, match=words):
        plan_pool(nodes, workers, cpus, gpus)
