"""What workers tell while they judge: how far each is, and that a partition was begun before by one that died."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Standing(NamedTuple):
    """How far a partition is; `total` is None where it is not known how many records it has."""

    done: int
    total: int | None
    invalid: int


class Attempt(NamedTuple):
    """What came before in this run: whether another worker had the partition, `deaths` in a row that added no reply to
    the journal, and whether any of them has `reported` a verdict."""

    again: bool
    deaths: int
    reported: bool


@dataclass(slots=True)
class _Begun:
    id: str
    journal_bytes: int
    attempt: Attempt
    standing: Standing | None = None


class Tally:
    """Runs as an actor of its own, so that it outlives the workers; it keeps the partitions that are under way."""

    def __init__(self) -> None:
        self._begun: dict[str, _Begun] = {}

    def begin(self, output: str, journal_bytes: int, id: str) -> Attempt:
        """Notes that a worker takes a partition up, with so many bytes in its journal. Said again with the same `id`,
        it is the same attempt: Ray repeats a call whose answer was lost on the way."""
        before = self._begun.get(output)
        if before is None:
            self._begun[output] = _Begun(id, journal_bytes, Attempt(False, 0, False))
        elif before.id != id:
            deaths = before.attempt.deaths + 1 if journal_bytes <= before.journal_bytes else 0
            before.id, before.journal_bytes = id, journal_bytes
            before.attempt = Attempt(True, deaths, before.standing is not None)
        return self._begun[output].attempt

    def report(self, output: str, standing: Standing) -> None:
        """Notes how far a partition is."""
        if output in self._begun:
            self._begun[output].standing = standing

    def forget(self, output: str) -> None:
        """Drops a partition whose outcome has arrived."""
        self._begun.pop(output, None)

    def standings(self) -> dict[str, Standing]:
        """How far the partitions under way are."""
        return {output: begun.standing for output, begun in self._begun.items() if begun.standing is not None}


def start_tally() -> Any:
    """The handle of a Tally on this machine, which has to live as long as the run anyway.

    It is never restarted: an empty one would take every partition for new, and a lost one is an error of the workers.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # A soft affinity would be ignored: Ray puts an actor that needs no resources on any node.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, max_restarts=0, max_task_retries=-1, scheduling_strategy=here)(Tally).remote()
