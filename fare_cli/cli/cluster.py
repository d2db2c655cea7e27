"""`fare judge --cluster ray`: partitions in, one file of verdicts for each out."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fare_cli.cli.console import Console, ProgressDisplay, summary_lines
from fare_cli.errors import EnvironmentFault, ExitCode, FareError, InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.asks import Backend
    from fare_cli.cli.options import JudgeOptions
    from fare_cli.cluster.run import ClusterOutcome
    from fare_cli.run.runner import RunPlan
    from fare_cli.settings import Settings

# What is about one file, one output or one process, and why it cannot be asked of many.
_OF_ONE_PROCESS = {
    "limit": "every partition is judged to its end",
    "shuffle_seed": "verdicts come in the order of each partition",
    "question": "a single record needs no cluster",
    "journal": "every partition has a journal beside its verdicts",
    "max_seconds": "stop it when you like: the same command goes on",
    "gate": "it needs the records in random order; fare gate reads what was written",
    "explain": "leave --cluster out to look at one record",
    "dry_run": "leave --cluster out to look at one partition",
    "panel": "run one command for each of its models",
    "profile": "every worker has an engine of its own",
}


def check_cluster(options: JudgeOptions) -> None:
    """Raises UsageError for options that do not go with --cluster, or not without it."""
    if options.cluster is None:
        for name in ("workers", "worker_cpus", "worker_gpus"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} is about a cluster", "add --cluster ray")
        return
    for name, reason in _OF_ONE_PROCESS.items():
        if getattr(options, name) not in (None, False, []):
            raise UsageError(f"--{name.replace('_', '-')} and --cluster cannot go together", reason)
    if options.output is not None and (str(options.output) == "-" or options.output.is_file()):
        raise UsageError(
            f"--cluster writes many files: -o {options.output} has to be a folder",
            "leave it out to have the verdicts beside their partitions",
        )
    for name in ("workers", "worker_cpus"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} {value}: must be 1 or more")
    if options.worker_gpus is not None and not 0 <= options.worker_gpus < float("inf"):
        raise UsageError(f"--worker-gpus {options.worker_gpus}: must be 0 or more")
    if options.format != "auto":
        raise UsageError("--format is for verdicts on stdout", "--cluster writes files, which always get JSONL")


def judge_on_cluster(plan: RunPlan, settings: Settings, options: JudgeOptions, console: Console) -> int:
    """Judges the inputs of the plan as partitions; every worker opens the backend of these settings."""
    from fare_cli.cluster.connection import connected, nodes
    from fare_cli.cluster.partitions import find_partitions
    from fare_cli.cluster.pool import plan_pool
    from fare_cli.cluster.run import judge_partitions
    from fare_cli.cluster.worker import Work
    from fare_cli.run.manifest import fare_version

    partitions = find_partitions(plan.source.files, options.output)
    shown = ProgressDisplay(console, live=sys.stderr.isatty())
    with connected(verbose=console.verbose):
        pool = plan_pool(nodes(), options.workers, options.worker_cpus, options.worker_gpus or 0.0)
        console.say(f"{len(partitions)} partitions, {pool.workers} workers of {pool.cpus} CPUs, {pool.gpus:g} GPUs")
        work = Work(
            plan=replace(plan, source=replace(plan.source, files=()), output=None, max_invalid=None),
            open_backend=partial(open_on_worker, settings, pool.cpus),
            folder=str(Path.cwd()),
            fare=fare_version(),
        )
        try:
            outcome = judge_partitions(partitions, work, pool, max_invalid=plan.max_invalid, progress=shown.show)
        except KeyboardInterrupt:
            shown.close()
            print("interrupted: what was answered is in the journals; the same command goes on", file=sys.stderr)
            raise
        finally:
            shown.close()
    return _say_how_it_went(outcome, console)


def _say_how_it_went(outcome: ClusterOutcome, console: Console) -> int:
    for line in summary_lines(outcome.summary):
        console.say(line)
    judged = len(outcome.outcomes) - len(outcome.failed)
    console.say(
        f"partitions: {judged} of {len(outcome.outcomes)} judged, {outcome.kept} of them before; the verdicts on "
        "NAME.jsonl are in NAME.verdicts.jsonl"
    )
    if outcome.again:
        console.say(f"workers died: {outcome.again} partitions were taken up again from their journals")
    if outcome.failed:
        for failed in outcome.failed:
            assert failed.error is not None
            console.say(f"failed: {failed.partition.source}: {failed.error.message}")
        raise _failure(outcome)
    if outcome.problem is not None:
        raise outcome.problem
    return ExitCode.OK


def _failure(outcome: ClusterOutcome) -> FareError:
    """The error of the first partition that has no verdicts, as that of the run."""
    failed = outcome.failed
    first = failed[0].error
    assert first is not None
    kind = InputError if isinstance(first, InputError) else EnvironmentFault
    return kind(
        f"{len(failed)} of {len(outcome.outcomes)} partitions have no verdicts; {failed[0].partition.source}: "
        f"{first.message}",
        "mend them and run the same command again: the others are kept",
    )


def open_on_worker(settings: Settings, cpus: int) -> Backend:
    """The backend of the judge of these settings, opened in a worker that has so many CPUs of its machine."""
    from fare_cli.cli.judge import open_judge
    from fare_cli.machine import usable_cores, usable_cpus

    if settings.threads is None:
        # Ray counts hyper-threads, of which two on one core only get in each other's way.
        settings = settings.model_copy(update={"threads": max(1, cpus * usable_cores() // usable_cpus())})
    return open_judge(settings).backend()
