"""Processes that are killed, disks that are full, and two runs at once: nothing that was answered is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fare_cli.run.journal import read_replies
from fare_cli.run.runner import run
from tests.run.making import Opener, make_plan, write_pairs
from tests.run.victim import JUDGE

ROOT = Path(__file__).parents[2]
PAIRS = 60


def start(source: Path, output: Path, delay_s: float, *more: str) -> subprocess.Popen[str]:
    """A victim that has reached the start of its run."""
    command = [sys.executable, "-m", "tests.run.victim", str(source), str(output), str(delay_s), *more]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def kill_and_resume(folder: Path, chance: random.Random, kills: int) -> None:
    """Kills runs over the same output at random moments, and lets the last one end: as if nothing had happened."""
    source = write_pairs(folder / "in.jsonl", PAIRS)
    straight, output = folder / "straight.jsonl", folder / "out.jsonl"
    run(make_plan(source, straight, mode="critique"), Opener(JUDGE))
    journal = output.with_name("out.jsonl.journal.jsonl")
    kept = 0
    for _ in range(kills):
        process = start(source, output, 0.002)
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if output.exists():
            assert output.read_bytes() == straight.read_bytes()
        if journal.exists() and b"\n" in journal.read_bytes():
            now = len(read_replies(journal)[1])
            assert now >= kept
            kept = now
            # What a power cut may leave behind besides: the last line in part.
            if kept and chance.random() < 0.5:
                with journal.open("r+b") as file:
                    file.truncate(journal.stat().st_size - chance.randrange(1, 30))
                kept = len(read_replies(journal)[1])
    process = start(source, output, 0)
    said, _ = process.communicate()
    assert process.returncode == 0
    assert output.read_bytes() == straight.read_bytes()
    assert said.split() == ["asked", str(2 * PAIRS - kept), "reused", str(kept)]


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, random.Random(1), kills=4)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(50))
def test_killed_at_random_moments_again_and_again(tmp_path: Path, seed: int) -> None:
    kill_and_resume(tmp_path, random.Random(seed), kills=10)


@pytest.mark.parametrize("limit_bytes", [100, 5_000, 50_000])
def test_a_full_disk_is_exit_5_and_the_run_goes_on_when_there_is_room(tmp_path: Path, limit_bytes: int) -> None:
    source = write_pairs(tmp_path / "in.jsonl", PAIRS)
    output = tmp_path / "out.jsonl"
    process = start(source, output, 0, str(limit_bytes))
    _, error = process.communicate()
    assert process.returncode == 5, error
    assert "the file size limit is reached" in error
    assert "run the same command again" in error
    assert not output.exists()
    journal = tmp_path / "out.jsonl.journal.jsonl"
    data = journal.read_bytes() if journal.exists() else b""  # not even the header may have found room
    assert len(data) <= limit_bytes
    assert data.endswith(b"\n") or not data
    kept = max(data.count(b"\n") - 1, 0)
    outcome = run(make_plan(source, output, mode="critique"), Opener(JUDGE))
    assert outcome.summary.asking.reused == kept
    assert (kept == 0) == (limit_bytes == 100)
    run(make_plan(source, tmp_path / "straight", mode="critique"), Opener(JUDGE))
    assert output.read_bytes() == (tmp_path / "straight").read_bytes()


def test_a_second_run_on_the_same_output_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", PAIRS)
    output = tmp_path / "out.jsonl"
    first = start(source, output, 60)
    while not output.with_name("out.jsonl.partial").exists():
        time.sleep(0.01)
    second = start(source, output, 0)
    _, error = second.communicate()
    assert second.returncode == 2
    assert "in use by another process" in error
    first.kill()
    first.communicate()
    third = start(source, output, 0)
    _, error = third.communicate()
    assert third.returncode == 0, error
    assert len(output.read_text().splitlines()) == PAIRS
