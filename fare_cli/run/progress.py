"""Snapshots of a run while it goes on, at most four a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from fare_cli.run.summary import Asking, Counts

_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """How far a run is. `total` is None where it is not known; `left_s` is a guess from the mean rate so far.

    `consistency` and `accuracy` are shares so far (None before the first). `last` marks the end of the run.
    `partitions` of a run over many: how many are judged, and how many there are.
    """

    done: int
    total: int | None
    elapsed_s: float
    records_per_s: float
    left_s: float | None
    consistency: float | None
    accuracy: float | None
    invalid: int
    under_way: int
    reused: int
    last: bool = False
    partitions: tuple[int, int] | None = None


class Pace:
    """Calls `report` with a snapshot when a quarter of a second has gone by since the one before."""

    def __init__(self, report: Callable[[ProgressSnapshot], None], total: int | None) -> None:
        self._report = report
        self._total = total
        self._started = time.monotonic()
        self._next = 0.0
        self._asking_from: tuple[float, int] | None = None

    def tick(self, counts: Counts, asking: Asking, under_way: int, *, last: bool = False) -> None:
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + _EVERY_S
        elapsed = now - self._started
        if asking.asked == 0 or self._asking_from is None:
            # Verdicts out of the journal come much faster than new ones: the guess is for those that are asked.
            self._asking_from = (now, counts.total)
        since, done = self._asking_from
        if now == since:
            since, done = self._started, 0
        rate = (counts.total - done) / (now - since) if now > since else 0.0
        left = None
        if self._total is not None and rate > 0:
            left = max(self._total - counts.total, 0) / rate
        self._report(
            ProgressSnapshot(
                done=counts.total,
                total=self._total,
                elapsed_s=elapsed,
                records_per_s=rate,
                left_s=left,
                consistency=counts.consistency,
                accuracy=counts.accuracy,
                invalid=counts.invalid,
                under_way=under_way,
                reused=asking.reused,
                last=last,
            )
        )
