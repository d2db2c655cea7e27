"""A run on a cluster of two nodes of which one is killed with all its processes while its worker holds a partition.

`python -m tests.cluster.node_loss FOLDER` judges the partitions in FOLDER/in into FOLDER/out, and prints what was asked
as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

from fare_cli.asks import Backend
from fare_cli.cluster.tally import Tally, start_tally
from tests.cluster.making import Halting, judge_folder, simulated, simulated_plan

# Read at the import of Ray: loopback only, and a node is given up after seconds.
os.environ.update(
    RAY_USAGE_STATS_ENABLED="0",
    RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",
    RAY_AUTH_MODE="disabled",
    RAY_health_check_period_ms="1000",
    RAY_health_check_failure_threshold="3",
)
_STORE_BYTES = 100_000_000
_TALLIES = 6


def main() -> None:
    import ray
    from ray.cluster_utils import Cluster

    os.chdir(sys.argv[1])
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": _STORE_BYTES},
    )
    lost = cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    here = ray.get_runtime_context().get_node_id()
    # Several, as chance could put one here.
    tallies = [start_tally() for _ in range(_TALLIES)]
    elsewhere = sum(ray.get(tally.__ray_call__.remote(_node)) != here for tally in tallies)
    flag = Path("halted").resolve()

    def kill() -> None:
        while not flag.exists():
            time.sleep(0.02)
        cluster.remove_node(lost, allow_graceful=False)

    threading.Thread(target=kill, daemon=True).start()
    outcome = judge_folder(["in"], Path("out"), simulated_plan(), partial(_opened, flag, lost.node_id))
    asking = outcome.summary.asking
    told = {"again": outcome.again, "asked": asking.asked, "reused": asking.reused, "tallies_elsewhere": elsewhere}
    print(json.dumps(told))
    ray.shutdown()
    cluster.shutdown()


def _node(_tally: Tally) -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _opened(flag: Path, halting_node: str) -> Backend:
    """A backend that stands still after five answers if it is on that node."""
    import ray

    on_it = ray.get_runtime_context().get_node_id() == halting_node
    return Halting(simulated(), flag, after=5) if on_it else simulated()


if __name__ == "__main__":
    main()
