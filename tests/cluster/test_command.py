"""`fare judge --cluster ray` as a shell sees it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.http.fake_server import fake_server
from tests.cli.conftest import PROGRAM, Fare, environment
from tests.cluster.making import write_lines

LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def pairs(begin: int, end: int) -> list[dict[str, str]]:
    return [
        {"id": f"p{number}", "question": f"{number} + 2?", "answer_a": "4", "answer_b": "5"}
        for number in range(begin, end)
    ]


@pytest.fixture
def settings(tiny_model: Path) -> dict[str, str]:
    return {"FARE_MODEL": str(tiny_model), "FARE_MODE": "direct", "RAY_worker_niceness": "0"}


@pytest.fixture
def address(cluster: None) -> str:
    import ray

    return str(ray.get_runtime_context().gcs_address)


def ids_in(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_a_cluster_of_its_own_judges_and_says_no_more_than_a_run(
    fare: Fare, settings: dict[str, str], tmp_path: Path
) -> None:
    write_lines(tmp_path / "in" / "one.jsonl", pairs(0, 10))
    write_lines(tmp_path / "in" / "two.jsonl", [*pairs(10, 19), {"id": "p19", "question": "no answers"}])
    (tmp_path / "in" / "bad.jsonl").write_text("[\n")
    done = fare("judge", "pairwise", "in", "-o", "out", "--cluster", "ray", "--workers", "2", env=settings)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert ids_in(tmp_path / "out" / "one.verdicts.jsonl") == [f"p{number}" for number in range(10)]
    assert ids_in(tmp_path / "out" / "two.verdicts.jsonl") == [f"p{number}" for number in range(10, 20)]
    assert "records: 20, 19 ok, 1 invalid (missing_field 1)" in done.stderr
    assert "partitions: 2 of 3 judged, 0 of them before" in done.stderr
    assert "failed: in/bad.jsonl: in/bad.jsonl is a JSON array" in done.stderr
    assert "error: 1 of 3 partitions have no verdicts; in/bad.jsonl" in done.stderr
    assert not {word for word in ("ray.data", "raylet", "logging.cc", "INFO", "WARN") if word in done.stderr}


def test_a_signal_ends_it_and_it_can_be_taken_up(settings: dict[str, str], address: str, tmp_path: Path) -> None:
    # A pipe that stays open keeps the partition under way, however fast the machine is.
    os.mkfifo(tmp_path / "slow.jsonl")
    command = [*PROGRAM, "judge", "pairwise", "slow.jsonl", "-o", "out", "--cluster", "ray"]
    with (
        subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(**settings, RAY_ADDRESS=address),
            stderr=subprocess.PIPE,
            text=True,
        ) as run,
        # Open for reading, too, it does not wait for a reader, should there never be one.
        (tmp_path / "slow.jsonl").open("r+b", buffering=0) as pipe,
    ):
        pipe.write("".join(json.dumps(record) + "\n" for record in pairs(0, 5)).encode())
        journal = tmp_path / "out" / "slow.verdicts.jsonl.journal.jsonl"
        while not (journal.exists() and journal.read_text().count('{"key"') == 10):
            assert run.poll() is None
        run.send_signal(signal.SIGTERM)
        _, said = run.communicate(timeout=100)
    assert run.returncode == 143, said
    assert "interrupted: what was answered is in the journals" in said
    assert not (tmp_path / "out" / "slow.verdicts.jsonl").exists()


def test_workers_may_ask_a_server(fare: Fare, address: str, tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "one.jsonl", pairs(0, 5))
    write_lines(tmp_path / "in" / "two.jsonl", pairs(5, 10))
    with fake_server() as server:
        asks = ["--backend", "http", "--url", server.url, "--mode", "direct"]
        done = fare("judge", "pairwise", "in", "--cluster", "ray", *asks, env={"RAY_ADDRESS": address})
    assert done.returncode == 0, done.stderr
    assert "records: 10, 10 ok, 0 invalid" in done.stderr
    assert ids_in(tmp_path / "in" / "two.verdicts.jsonl") == [f"p{number}" for number in range(5, 10)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--limit", "3", "--cluster", "ray"], "--limit and --cluster cannot go together"),
        (["--gate", "min-win-rate=50%", "--cluster", "ray"], "--gate and --cluster cannot go together"),
        (["-o", "in.jsonl", "--cluster", "ray"], "has to be a folder"),
        (["--format", "text", "--cluster", "ray"], "--format is for verdicts on stdout"),
        (["--workers", "0", "--cluster", "ray"], "--workers 0: must be 1 or more"),
        (["--worker-gpus", "1"], "add --cluster ray"),
    ],
)
def test_options_that_do_not_go_together(
    fare: Fare,
    settings: dict[str, str],
    tmp_path: Path,
    arguments: list[str],
    words: str,
) -> None:
    write_lines(tmp_path / "in.jsonl", pairs(0, 1))
    done = fare("judge", "pairwise", "in.jsonl", *arguments, env=settings)
    assert done.returncode == 2
    assert words in done.stderr


def test_without_ray_it_says_how_to_get_it(
    fare: Fare,
    settings: dict[str, str],
    tmp_path: Path,
) -> None:
    # A module that cannot be imported stands in front of the installed one.
    (tmp_path / "ray.py").write_text("raise ImportError('not here')\n")
    write_lines(tmp_path / "in.jsonl", pairs(0, 1))
    done = fare("judge", "pairwise", "in.jsonl", "--cluster", "ray", env=settings)
    assert done.returncode == 5
    assert "pip install 'fare-cli[ray]'" in done.stderr


def children(of: int) -> Iterator[int]:
    """The process and all below it."""
    yield of
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # ended meanwhile
            continue
        if parent == of:
            yield from children(int(status.parent.name))


def sockets_of(process: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{process}/fd").glob("*"):
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target.removeprefix("socket:[").removesuffix("]")


@pytest.mark.usefixtures("cluster")
def test_a_cluster_of_this_machine_listens_on_loopback_and_tells_nobody() -> None:
    ours = {socket for process in children(os.getpid()) for socket in sockets_of(process)}
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table]
    listening = {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in ours}
    assert listening
    assert listening <= LOOPBACK

    from ray._common.usage.usage_lib import usage_stats_enabled

    assert not usage_stats_enabled()


@pytest.mark.usefixtures("cluster")
def test_nobody_else_can_enter_the_folder_of_a_cluster_of_this_machine() -> None:
    import ray

    (node,) = ray.nodes()
    socket = Path(node["ObjectStoreSocketName"])
    assert socket.exists()
    outer = Path("/tmp", socket.relative_to("/tmp").parts[0])
    assert stat.S_IMODE(outer.stat().st_mode) == 0o700
