"""How many workers a cluster has room for, and what each of them takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fare_cli.errors import EnvironmentFault


class Node(NamedTuple):
    """What a machine of the cluster has for workers."""

    cpus: int
    gpus: float


class Pool(NamedTuple):
    """Workers, and what each takes of its machine."""

    workers: int
    cpus: int
    gpus: float


def plan_pool(nodes: Sequence[Node], workers: int | None, cpus: int | None, gpus: float) -> Pool:
    """The workers for these machines; `workers` and `cpus` are chosen here where they are None.

    There are as many workers as fit. Each takes a whole machine, so that its engine has all cores, unless machines have
    to be shared: among workers with a GPU each, or because more were asked for than there are machines. All are alike,
    as Ray Data has them, so the smallest share of a machine is that of every worker.

    Raises EnvironmentFault where there is no room for those that were asked for.
    """
    usable = [node for node in nodes if node.cpus >= 1 and node.gpus >= gpus]
    if cpus is None:
        cpus = min((max(1, node.cpus // _sharing(node, len(usable), workers, gpus)) for node in usable), default=1)
    room = sum(min(node.cpus // cpus, _with_gpus(node, gpus) if gpus else node.cpus) for node in usable)
    if room < (workers or 1):
        each = f"{cpus} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
        raise EnvironmentFault(
            f"the cluster has room for {room} workers of {each}, not for {workers or 1}",
            "ask for fewer with --workers or smaller ones with --worker-cpus, or add machines first",
        )
    return Pool(workers or room, cpus, gpus)


def _sharing(node: Node, nodes: int, workers: int | None, gpus: float) -> int:
    """How many workers share this machine, where nobody said how many CPUs each takes."""
    if workers is not None:
        return -(-workers // nodes)
    return _with_gpus(node, gpus) if gpus else 1


def _with_gpus(node: Node, gpus: float) -> int:
    return int(node.gpus / gpus + 1e-9)  # ten workers of a tenth of a GPU each fit, whatever binary fractions say
