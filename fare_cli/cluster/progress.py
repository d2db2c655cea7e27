"""How far a run over partitions is, from what workers tell and from the outcomes that have arrived."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fare_cli.cluster.partitions import Partition
from fare_cli.cluster.tally import Standing
from fare_cli.cluster.worker import PartitionOutcome
from fare_cli.run.progress import ProgressSnapshot


class Course:
    """Counts a run's records as they are judged. Outcomes and snapshots may come from different threads.

    The time left is a guess from the bytes of the input: how many records a partition has shows only when it is read.
    """

    def __init__(self, partitions: Sequence[Partition]) -> None:
        self._bytes = {partition.output: Path(partition.source).stat().st_size for partition in partitions}
        self._owed_bytes = sum(self._bytes.values())
        self._ended: set[str] = set()
        self._done = self._kept = self._invalid = 0
        self._judged_bytes = 0.0
        self._begun = time.monotonic()
        self._lock = threading.Lock()

    def end(self, outcome: PartitionOutcome) -> None:
        """Takes a partition whose outcome has arrived."""
        with self._lock:
            output, counts = outcome.partition.output, outcome.counts
            self._ended.add(output)
            self._done += counts.total
            self._invalid += counts.invalid
            if outcome.kept or outcome.error is not None:
                self._kept += counts.total
                self._owed_bytes -= self._bytes[output]
            else:
                self._judged_bytes += self._bytes[output]

    def snapshot(self, standings: Mapping[str, Standing]) -> ProgressSnapshot:
        """How far the run is, with what is told of the partitions under way."""
        with self._lock:
            under_way = {output: one for output, one in standings.items() if output not in self._ended}
            elapsed = time.monotonic() - self._begun
            done = self._done + sum(one.done for one in under_way.values())
            judged_bytes = self._judged_bytes + sum(
                self._bytes[output] * min(one.done / one.total, 1.0) for output, one in under_way.items() if one.total
            )
            left = (self._owed_bytes / judged_bytes - 1.0) * elapsed if judged_bytes else None
            return ProgressSnapshot(
                done=done,
                total=None,
                elapsed_s=elapsed,
                records_per_s=(done - self._kept) / elapsed if elapsed else 0.0,
                left_s=left,
                consistency=None,
                accuracy=None,
                invalid=self._invalid + sum(one.invalid for one in under_way.values()),
                under_way=len(under_way),
                reused=self._kept,
                partitions=(len(self._ended), len(self._bytes)),
            )
