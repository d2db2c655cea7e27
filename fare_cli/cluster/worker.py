"""What a worker does: it judges one partition after the other with one engine, as a run of one process would."""

from __future__ import annotations

import os
import pickle
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fare_cli.asks import Backend
from fare_cli.cluster.partitions import Partition
from fare_cli.cluster.tally import Attempt, Standing
from fare_cli.errors import EnvironmentFault, FareError, InputError
from fare_cli.run.files import InUse
from fare_cli.run.finished import finished
from fare_cli.run.manifest import fare_version, journal_path
from fare_cli.run.progress import ProgressSnapshot
from fare_cli.run.runner import Outcome, RunPlan, run
from fare_cli.run.summary import Asking, Counts

_MOST_DEATHS = 3
_REPORT_EVERY_S = 1.0
# A process that was taken for dead lets its files go when it ends; Ray gives a node up after some 30 s of silence.
_LOCKED_AT_MOST_S = 120.0
_LOOK_AGAIN_S = 0.5


class WorkersDied(EnvironmentFault):
    """One partition ends every worker that takes it up (exit 5, once all others are judged)."""


@dataclass(frozen=True, slots=True)
class Work:
    """What all workers need to know. `plan` is that of every partition, without input and output.

    `open_backend` is called once in each worker, and only if an ask has no reply yet. `folder` is the working
    directory, from which partitions are named; it has to be there on every machine.
    """

    plan: RunPlan
    open_backend: Callable[[], Backend]
    folder: str
    fare: str


@dataclass(frozen=True, slots=True)
class PartitionOutcome:
    """How a partition ended. `error` is why it has no output; without one, `counts` are of the verdicts in it.

    `asking` is what was asked for it now. `kept` says that it was judged before, `again` that a worker had died on it.
    """

    partition: Partition
    counts: Counts
    asking: Asking
    first_invalid: str | None = None
    kept: bool = False
    again: bool = False
    error: FareError | None = None


class PartitionWorker:
    """Judges partitions: `worker(row)` takes {"source", "output"} and gives {"outcome"}, a pickled PartitionOutcome.

    What is wrong with one partition is its outcome, and so is what ends the whole run: an exception would be repeated
    by Ray with a stack trace. `tally` is the handle of the Tally actor.
    """

    def __init__(self, work: Work, tally: Any) -> None:
        self._work = work
        self._tally = tally
        self._backend: Backend | None = None

    def __call__(self, row: Mapping[str, str]) -> dict[str, bytes]:
        partition = Partition(row["source"], row["output"])
        try:
            outcome = self._outcome(partition)
        except FareError as error:
            outcome = PartitionOutcome(partition, Counts(), Asking(), error=error)
        except OSError as error:  # of the storage, where nobody has foreseen it
            fault = EnvironmentFault(f"{partition.source} cannot be judged: {error}")
            outcome = PartitionOutcome(partition, Counts(), Asking(), error=fault)
        return {"outcome": pickle.dumps(outcome)}

    def _outcome(self, partition: Partition) -> PartitionOutcome:
        self._check_place()
        output = Path(partition.output)
        attempt = self._begin(partition.output, journal_path(output.resolve()))
        source = replace(self._work.plan.source, files=(partition.source,))
        plan = replace(self._work.plan, source=source, output=output)
        if attempt.reported:
            plan = replace(plan, resume=True)  # a worker that died has begun anew already
        if plan.resume and (manifest := finished(plan)) is not None:
            counts = Counts.from_json(manifest.counts)
            # Where none may be invalid, the run finds the line that is, from the journal.
            if not (plan.strict and counts.invalid):
                first_invalid = f"one in {partition.output}" if counts.invalid else None
                return PartitionOutcome(partition, counts, Asking(), first_invalid, kept=True, again=attempt.again)
        _make_folder(output.parent)
        done = self._run(plan, attempt)
        counts, asking = done.summary.counts, done.summary.asking
        return PartitionOutcome(partition, counts, asking, done.first_invalid, again=attempt.again)

    def _check_place(self) -> None:
        if self._work.fare != fare_version():
            raise EnvironmentFault(
                f"a worker has fare {fare_version()}, and the run was begun with {self._work.fare}",
                "install the same version on all machines of the cluster",
            )
        try:
            os.chdir(self._work.folder)
        except OSError as error:
            raise EnvironmentFault(
                f"folder {self._work.folder} cannot be entered on a machine of the cluster: {error.strerror}",
                "run fare in a folder that all machines share, under the same name",
            ) from error

    def _begin(self, output: str, journal: Path) -> Attempt:
        import ray

        size = journal.stat().st_size if journal.exists() else 0
        try:
            attempt: Attempt = ray.get(self._tally.begin.remote(output, size, uuid.uuid4().hex))
        except ray.exceptions.RayActorError as error:
            raise EnvironmentFault(
                f"the tally of the run was lost: {error}", "the same command goes on from what was answered"
            ) from error
        if attempt.deaths >= _MOST_DEATHS:
            raise WorkersDied(
                f"{attempt.deaths} workers died on this partition, one after the other and without a new reply",
                "too little memory for its longest records? Judge it alone, without --cluster, to see",
            )
        return attempt

    def _run(self, plan: RunPlan, attempt: Attempt) -> Outcome:
        # Where nobody had it before, whoever holds the lock is another run.
        deadline = time.monotonic() + (_LOCKED_AT_MOST_S if attempt.again else 0.0)
        while True:
            try:
                return run(plan, self._open_backend, progress=self._reporting(str(plan.output)))
            except InUse:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_LOOK_AGAIN_S)

    def _open_backend(self) -> Backend:
        if self._backend is None:
            self._backend = self._work.open_backend()
        return self._backend

    def _reporting(self, output: str) -> Callable[[ProgressSnapshot], None]:
        next_at = 0.0

        def report(snapshot: ProgressSnapshot) -> None:
            nonlocal next_at
            if time.monotonic() >= next_at:
                next_at = time.monotonic() + _REPORT_EVERY_S
                self._tally.report.remote(output, Standing(snapshot.done, snapshot.total, snapshot.invalid))

        return report


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder {folder} cannot be made: {error.strerror}") from error
