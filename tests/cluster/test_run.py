"""A run over partitions gives the files of runs of one process, whatever dies on the way."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from fare_cli.cluster.partitions import find_partitions
from fare_cli.cluster.worker import WorkersDied
from fare_cli.errors import InputError, InvalidRecordsError
from fare_cli.judge import Judge
from fare_cli.run.manifest import Manifest, read_manifest
from fare_cli.run.progress import ProgressSnapshot
from fare_cli.run.reader import InputPlan
from fare_cli.run.runner import RunPlan, run
from tests.cli.conftest import ROOT, environment
from tests.cluster.making import dying, halting, judge_folder, simulated, simulated_plan, write_lines
from tests.run.making import pair
from tests.simulating import DIRECT, answers

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_partitions(folder: Path, count: int = 3, records: int = 10) -> Path:
    for number in range(count):
        write_lines(folder / f"part-{number}.jsonl", [pair(number * records + one) for one in range(records)])
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    """The verdict files, by their place below the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.verdicts.jsonl")}


def manifest_of(output: Path) -> Manifest:
    manifest = read_manifest(output)
    assert manifest is not None
    return manifest


def keys_in(journal: Path) -> list[str]:
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [line["key"] for line in lines if "key" in line]


def test_partitions_of_every_kind_give_what_one_process_gives() -> None:
    source = write_partitions(Path("in"), count=1)
    (source / "day=1").mkdir()
    lines = "".join(json.dumps(pair(number)) + "\n" for number in range(10, 20)) + "no record\n"
    (source / "day=1" / "part-1.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    table = pyarrow.Table.from_pylist([pair(number) for number in range(20, 30)])
    parquet.write_table(table, source / "part-2.parquet")
    shown: list[ProgressSnapshot] = []
    outcome = judge_folder([source], Path("out"), simulated_plan(), simulated, progress=shown.append)

    for partition in find_partitions(["in"], Path("alone")):
        Path(partition.output).parent.mkdir(parents=True, exist_ok=True)
        plan = simulated_plan()
        plan = replace(plan, source=replace(plan.source, files=(partition.source,)), output=Path(partition.output))
        run(plan, simulated)
    assert files_in(Path("out")) == files_in(Path("alone"))
    assert set(files_in(Path("out"))) == {
        "part-0.verdicts.jsonl",
        "day=1/part-1.verdicts.jsonl",
        "part-2.verdicts.jsonl",
    }
    counts = outcome.summary.counts
    assert (counts.total, counts.ok, counts.invalid_kinds["bad_json"]) == (31, 30, 1)
    assert outcome.summary.asking.asked == 60
    assert isinstance(outcome.problem, InvalidRecordsError)
    assert "day=1/part-1.jsonl.gz, line 11" in str(outcome.problem.hint)
    assert (shown[-1].done, shown[-1].invalid, shown[-1].partitions) == (31, 1, (3, 3))


def test_what_cannot_be_read_fails_alone_and_what_is_finished_is_kept() -> None:
    source = write_partitions(Path("in"))
    whole = gzip.compress((source / "part-1.jsonl").read_bytes())
    (source / "part-1.jsonl").write_bytes(whole[:-20])
    outcome = judge_folder([source], None, simulated_plan(), simulated)
    (failed,) = outcome.failed
    assert failed.partition.source == "in/part-1.jsonl"
    assert isinstance(failed.error, InputError)
    assert "cut off" in failed.error.message
    before = files_in(source)
    assert set(before) == {"part-0.verdicts.jsonl", "part-2.verdicts.jsonl"}

    # Mended, and something else changed: 22 asks are new, and 18 of the longer partition are in its journal.
    (source / "part-1.jsonl").write_bytes(whole)
    with (source / "part-2.jsonl").open("a") as file:
        file.write(json.dumps(pair(99)) + "\n")
    mended = judge_folder([source], None, simulated_plan(), simulated)
    asking, counts = mended.summary.asking, mended.summary.counts
    assert (mended.failed, mended.kept, counts.total, counts.scored) == ([], 1, 31, 31)
    assert asking.asked + asking.reused == 42
    assert asking.asked <= 22
    after = files_in(source)
    assert after["part-0.verdicts.jsonl"] == before["part-0.verdicts.jsonl"]
    assert after["part-2.verdicts.jsonl"].startswith(before["part-2.verdicts.jsonl"])

    anew = judge_folder([source], None, simulated_plan(resume=False), simulated)
    assert (anew.kept, anew.summary.asking.asked) == (0, 62)
    assert files_in(source) == after


def test_strict_does_not_keep_what_has_an_invalid_verdict() -> None:
    source = write_partitions(Path("in"))
    with (source / "part-1.jsonl").open("a") as file:
        file.write("no record\n")
    judge_folder([source], Path("out"), simulated_plan(), simulated)
    before = files_in(Path("out"))
    with pytest.raises(InvalidRecordsError, match=r"in/part-1\.jsonl, line 11"):
        judge_folder([source], Path("out"), simulated_plan(strict=True), simulated)
    assert files_in(Path("out")) == before


def open_smollm2(path: Path) -> Judge:
    return Judge.open(path, options=DIRECT, ctx=512, slots=4, threads=1, deterministic=True)


def verify_plan(judge: Judge) -> RunPlan:
    return RunPlan(InputPlan("verify", ()), judge.task("verify"), judge.identity("verify"))


def test_a_killed_worker_loses_and_doubles_nothing(smollm2_path: Path) -> None:
    records = answers(10)
    for number in range(2):
        write_lines(Path("in") / f"part-{number}.jsonl", records[number * 5 : number * 5 + 5])
    open_judge = partial(open_smollm2, smollm2_path)
    with open_judge() as judge:
        plan = verify_plan(judge)
        for number in range(2):
            alone = replace(plan, source=InputPlan("verify", (f"in/part-{number}.jsonl",)))
            Path("alone").mkdir(exist_ok=True)
            run(replace(alone, output=Path("alone") / f"part-{number}.verdicts.jsonl"), judge.backend)

    flag = Path("halted").resolve()
    killed: list[int] = []
    killer = threading.Thread(target=lambda: killed.append(kill_when_halted(flag)), daemon=True)
    killer.start()
    outcome = judge_folder(["in"], Path("out"), plan, halting(open_judge, flag, after=2))
    killer.join()

    assert killed
    assert (outcome.again, outcome.failed) == (1, [])
    assert files_in(Path("out")) == files_in(Path("alone"))
    assert outcome.summary.counts.total == 10
    resumed = 0
    for number in range(2):
        output = Path("out") / f"part-{number}.verdicts.jsonl"
        keys = keys_in(output.with_name(output.name + ".journal.jsonl"))
        assert len(keys) == len(set(keys)) == 5
        manifest = manifest_of(output)
        assert manifest.journal.replies + manifest.journal.appended == 5
        resumed += manifest.journal.replies > 0
    assert resumed == 1


@pytest.mark.long
def test_a_node_that_is_lost_loses_and_doubles_nothing(tmp_path: Path) -> None:
    write_partitions(Path("in"), count=4)
    program = [sys.executable, "-m", "tests.cluster.node_loss", str(tmp_path)]
    done = subprocess.run(program, env=environment(), capture_output=True, text=True, check=True, cwd=ROOT)
    # Ray says on the same stream, whenever it finds out, that a node is gone.
    (told,) = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert told["tallies_elsewhere"] == 0
    assert (told["reused"], told["asked"]) == (5, 75)
    lines = b"".join(text for _, text in sorted(files_in(Path("out")).items())).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"r{number}" for number in range(40)]
    assert told["again"] == 1  # and the summary says so


def kill_when_halted(flag: Path) -> int:
    while not flag.exists():
        time.sleep(0.02)
    worker = int(flag.read_text())
    os.kill(worker, signal.SIGKILL)
    return worker


def test_a_partition_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    source = write_partitions(Path("in"), count=1)
    flag = tmp_path / "deaths"
    outcome = judge_folder([source], Path("out"), simulated_plan(), partial(dying, flag))
    (failed,) = outcome.failed
    assert isinstance(failed.error, WorkersDied)
    assert "3 workers died" in failed.error.message
    assert flag.read_text().count("died") == 3
