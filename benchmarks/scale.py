"""Measures `fare judge --cluster ray` with 1 and 2 workers beside one process, and writes the tables of docs/scale.md.

    python -m benchmarks.scale --records 32 --repetitions 3 --markdown docs/scale.md

All settings judge the same partitions, in an order that rotates with every repetition, in one Ray cluster of this
machine. The clock of a cluster runs from the first worker's start to the last partition's verdicts, so that starting
workers and loading models is in it, and starting Ray is not; that of one process is that of the command.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.scenarios import read_material
from benchmarks.throughput import EXAMPLES, source_model
from fare_cli.cli.cluster import open_on_worker
from fare_cli.cluster.connection import connected
from fare_cli.cluster.partitions import find_partitions
from fare_cli.cluster.pool import Pool
from fare_cli.cluster.run import ClusterOutcome, judge_partitions
from fare_cli.cluster.worker import Work
from fare_cli.identity import JudgingOptions
from fare_cli.judge import Judge
from fare_cli.run.manifest import fare_version, journal_path
from fare_cli.run.reader import InputPlan
from fare_cli.run.runner import RunPlan
from fare_cli.settings import Settings

PARTITIONS = 8
#: What a partition costs beside its records shows in partitions without any.
EMPTY_PARTITIONS = 200


def main() -> None:
    arguments = _arguments()
    settings = Settings(model=str(source_model(arguments.model)), mode="direct")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        records = _records(arguments.records, arguments.pairs)
        _write(Path("in"), records, PARTITIONS)
        report = _measured(settings, len(records), arguments.repetitions)
    report["command"] = f"python -m benchmarks.scale --records {len(records)} --repetitions {arguments.repetitions}"
    text = _markdown(report)
    if arguments.markdown:
        tables.put_into(arguments.markdown, text, "scale")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a GGUF file; default: the installed smollm2")
    parser.add_argument("--pairs", type=Path, nargs="+", default=[EXAMPLES], help="pairs; default: the examples")
    parser.add_argument("--records", type=int, default=32, help="how many are judged, in 8 partitions")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--markdown", type=lambda name: Path(name).resolve(), help="replace the tables in this file")
    return parser.parse_args()


def _records(count: int, paths: list[Path]) -> list[dict[str, Any]]:
    """Pairs, repeated from the start with a number before the question, so that no two are the same."""
    pairs = read_material(paths).pairs
    chosen = [pairs[place % len(pairs)] for place in range(count)]
    return [
        {"id": str(place), **pair, "question": f"({place}) {pair['question']}"} for place, pair in enumerate(chosen)
    ]


def _write(folder: Path, records: list[dict[str, Any]], parts: int) -> None:
    folder.mkdir()
    for part in range(parts):
        lines = [json.dumps(record) + "\n" for record in records[part::parts]]
        (folder / f"part-{part:05}.jsonl").write_text("".join(lines), encoding="utf-8")


def _measured(settings: Settings, records: int, repetitions: int) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    pools = {"1 worker, 1 CPU": Pool(1, 1, 0), f"1 worker, {cores} CPUs": Pool(1, cores, 0)}
    if cores > 1:
        pools[f"2 workers, {cores // 2} CPU each"] = Pool(2, cores // 2, 0)
    begun = time.monotonic()
    with connected():
        opened = time.monotonic() - begun
        runs: dict[str, Callable[[], float]] = {f"one process, {cores} threads": partial(_one_process, settings)}
        runs |= {name: partial(_on_cluster, settings, pool) for name, pool in pools.items()}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        order = list(runs)
        for repetition in range(repetitions):
            turn = repetition % len(order)
            for name in order[turn:] + order[:turn]:
                seconds[name].append(runs[name]())
                print(f"{repetition + 1}: {name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
        kept = _judged(settings, pools["1 worker, 1 CPU"], Path("in"), Path("out-0"))
        bytes_each = _bytes_each(kept, records)
        per_partition = _per_partition(settings, kept)
    return {
        "records": records,
        "seconds": seconds,
        "opened": opened,
        "kept": kept.summary.seconds,
        "per_partition": per_partition,
        "bytes": bytes_each,
        "tokens": kept.summary.counts.prompt_tokens / records,
    }


def _one_process(settings: Settings) -> float:
    """Seconds of the command without a cluster, into a fresh folder."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        command = [sys.executable, "-m", "fare_cli", "judge", "pairwise", *map(str, sorted(Path("in").glob("*.jsonl")))]
        command += ["-o", f"{folder}/out.jsonl", "--model", str(settings.model), "--mode", settings.mode, "--quiet"]
        begun = time.monotonic()
        subprocess.run(command, check=True, cwd=".")
        return time.monotonic() - begun


def _on_cluster(settings: Settings, pool: Pool) -> float:
    """Seconds for the same on the cluster; the last one's verdicts stay, as what was judged before."""
    number = len(list(Path().glob("out-*")))
    outcome = _judged(settings, pool, Path("in"), Path(f"out-{number}"))
    assert not outcome.failed
    assert not outcome.kept
    return outcome.summary.seconds


def _judged(settings: Settings, pool: Pool, source: Path, output: Path) -> ClusterOutcome:
    with Judge.open(settings.model, options=JudgingOptions(mode=settings.mode)) as judge:
        plan = RunPlan(InputPlan("pairwise", ()), judge.task("pairwise"), judge.identity("pairwise"))
    work = Work(plan, partial(open_on_worker, settings, pool.cpus), str(Path.cwd()), fare_version())
    return judge_partitions(find_partitions([str(source)], output), work, pool)


def _bytes_each(kept: ClusterOutcome, records: int) -> dict[str, float]:
    outputs = [Path(one.partition.output) for one in kept.outcomes]
    return {
        "input": sum(Path(one.partition.source).stat().st_size for one in kept.outcomes) / records,
        "verdicts": sum(output.stat().st_size for output in outputs) / records,
        "journal": sum(journal_path(output).stat().st_size for output in outputs) / records,
    }


def _per_partition(settings: Settings, kept: ClusterOutcome) -> float:
    """Seconds that a partition takes apart from its records, from many empty ones that were judged before."""
    _write(Path("many"), [], EMPTY_PARTITIONS)
    pool = Pool(1, 1, 0)
    _judged(settings, pool, Path("many"), Path("many-out"))
    again = _judged(settings, pool, Path("many"), Path("many-out"))
    assert again.kept == EMPTY_PARTITIONS
    return (again.summary.seconds - kept.summary.seconds) / (EMPTY_PARTITIONS - PARTITIONS)


def _markdown(report: dict[str, Any]) -> str:
    machine = tables.machine()
    medians = {name: statistics.median(values) for name, values in report["seconds"].items()}
    first = next(iter(medians.values()))
    rows = [
        (
            name,
            f"{medians[name]:.1f} s ({min(values):.1f} to {max(values):.1f})",
            f"{60 * report['records'] / medians[name]:.0f}",
            f"{first / medians[name]:.2f}",
        )
        for name, values in report["seconds"].items()
    ]
    each = report["bytes"]
    return "\n\n".join(
        [
            f"- {datetime.datetime.now(datetime.UTC).date().isoformat()}, {machine['processor']}, {machine['cores']} "
            f"cores, {machine['system']}\n"
            f"- {report['records']} pairs in {PARTITIONS} partitions, direct, both orders, SmolLM2-135M-Instruct; "
            f"{report['tokens']:.0f} prompt tokens a record\n"
            f"- `{report['command']}`",
            tables.table(("setting", "seconds, median (range)", "records a minute", "one process = 1"), rows),
            f"Ray started in {report['opened']:.1f} s. A run of which every partition was judged before took "
            f"{report['kept']:.1f} s, and {1000 * report['per_partition']:.0f} ms more for every further partition. On "
            f"the disk, a record took {each['input']:.0f} bytes of input, {each['verdicts']:.0f} of verdicts (the "
            f"record is in them; `--no-record` leaves it out) and {each['journal']:.0f} of journal.",
        ]
    )


if __name__ == "__main__":
    main()
