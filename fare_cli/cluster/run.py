"""A run over partitions: Ray Data hands them to a pool of workers, and their outcomes become one summary."""

from __future__ import annotations

import contextlib
import logging
import pickle
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fare_cli.cluster.partitions import Partition
from fare_cli.cluster.pool import Pool
from fare_cli.cluster.progress import Course
from fare_cli.cluster.tally import start_tally
from fare_cli.cluster.worker import PartitionOutcome, PartitionWorker, Work, WorkersDied
from fare_cli.errors import EnvironmentFault, InputError, InvalidRecordsError
from fare_cli.run.progress import ProgressSnapshot
from fare_cli.run.runner import problem_with
from fare_cli.run.summary import Asking, Counts, Summary

_POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class ClusterOutcome:
    """How the run ended: one summary over all partitions, in the order of the input.

    `failed` are the partitions without an output; `problem` is the error that all records together are to blame for.
    """

    outcomes: Sequence[PartitionOutcome]
    summary: Summary
    problem: InvalidRecordsError | None

    @property
    def failed(self) -> list[PartitionOutcome]:
        return [outcome for outcome in self.outcomes if outcome.error is not None]

    @property
    def kept(self) -> int:
        """How many partitions had been judged before."""
        return sum(outcome.kept for outcome in self.outcomes)

    @property
    def again(self) -> int:
        """How many partitions were taken up again because a worker had died on them."""
        return sum(outcome.again for outcome in self.outcomes)


def judge_partitions(
    partitions: Sequence[Partition],
    work: Work,
    pool: Pool,
    *,
    max_invalid: float | None = None,
    progress: Callable[[ProgressSnapshot], None] | None = None,
) -> ClusterOutcome:
    """Judges all partitions on the cluster that the process is connected to, and gives the counts over all of them.

    A worker that dies is replaced, and its partition goes on from its journal. A partition that cannot be read or
    written is among the `failed`, and the others are judged. `progress` is called from a thread of its own.

    Raises what no other partition would escape: EnvironmentFault (disk, model, the cluster is lost),
    InvalidRecordsError (`strict`). What was answered until then is in the journals, as it is after KeyboardInterrupt,
    and the same call goes on from there.
    """
    begun = time.monotonic()
    course = Course(partitions)
    tally = start_tally()
    found: dict[str, PartitionOutcome] = {}
    with contextlib.ExitStack() as stack:
        if progress is not None:
            stack.enter_context(_polling(tally, course, progress))
        for outcome in stack.enter_context(contextlib.closing(_outcomes(partitions, work, pool, tally))):
            if outcome.error is not None and not isinstance(outcome.error, InputError | WorkersDied):
                raise outcome.error
            found[outcome.partition.output] = outcome
            course.end(outcome)
            tally.forget.remote(outcome.partition.output)
    if missing := [partition.source for partition in partitions if partition.output not in found]:
        raise EnvironmentFault(f"the cluster gave no outcome for {len(missing)} partitions, the first: {missing[0]}")
    outcomes = [found[partition.output] for partition in partitions]
    return _summed(outcomes, time.monotonic() - begun, max_invalid)


def _summed(outcomes: Sequence[PartitionOutcome], seconds: float, max_invalid: float | None) -> ClusterOutcome:
    counts, asking = Counts(), Asking()
    for outcome in outcomes:
        counts.merge(outcome.counts)
        asking.merge(outcome.asking)
    first_invalid = next((outcome.first_invalid for outcome in outcomes if outcome.first_invalid), None)
    problem = problem_with(counts, first_invalid, max_invalid)
    return ClusterOutcome(outcomes, Summary(counts, asking, seconds, seconds), problem)


def _outcomes(partitions: Sequence[Partition], work: Work, pool: Pool, tally: Any) -> Generator[PartitionOutcome]:
    """The outcome of every partition, as they come."""
    import ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A block is a partition's name: a free worker takes the next one, and none waits behind a long one.
    rows = ray.data.from_items([partition._asdict() for partition in partitions], override_num_blocks=len(partitions))
    judged = rows.map(
        PartitionWorker,
        fn_constructor_kwargs={"work": work, "tally": tally},
        compute=ray.data.ActorPoolStrategy(size=min(pool.workers, len(partitions)), max_tasks_in_flight_per_actor=1),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus,
    )
    try:
        for row in judged.iter_rows():
            yield pickle.loads(row["outcome"])
    except ray.exceptions.RayTaskError:
        raise  # a bug, shown with the stack of the worker
    except ray.exceptions.RayError as error:
        raise EnvironmentFault(
            f"the cluster was lost: {error}", "the same command goes on from what was answered"
        ) from error


@contextlib.contextmanager
def _polling(tally: Any, course: Course, progress: Callable[[ProgressSnapshot], None]) -> Iterator[None]:
    """Shows how far the run is, once a second, while it is open."""
    import ray

    ended = threading.Event()

    def poll() -> None:
        # Where the cluster is lost there is nothing to show, and the run itself says so.
        with contextlib.suppress(ray.exceptions.RayError):
            while not ended.wait(_POLL_S):
                # Whoever ends the run waits for this thread.
                with contextlib.suppress(ray.exceptions.GetTimeoutError):
                    progress(course.snapshot(ray.get(tally.standings.remote(), timeout=_POLL_S)))
            progress(replace(course.snapshot({}), last=True))

    thread = threading.Thread(target=poll, name="fare-cluster-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
