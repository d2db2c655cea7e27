"""Review files under kill -9, a full disk and torn lines: what was acknowledged is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.errors import EnvironmentFault, InputError
from fare_cli.review.events import ReviewEvent, read_events
from fare_cli.review.store import ReviewFile
from tests.cli.conftest import environment
from tests.review.making import event
from tests.simulating import answers, judged

VERDICTS = judged("verify", answers(3))
ONE = event(VERDICTS[0], "Ada", "yes", note="naïve\n\u2028 <script>")
# Longer than the first: what is written over what is left of it would leave a rest.
TWO = event(VERDICTS[1], "Ada", "no", minute=1, note="long " * 40)


def opened(path: Path) -> list[ReviewEvent]:
    with ReviewFile.open(path) as file:
        return file.events


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ReviewFile.open(path) as file:
        file.append(ONE)
        assert list(read_events(path)) == [ONE]
        file.append(TWO)
        assert file.events == [ONE, TWO]
    assert opened(path) == list(read_events(path)) == [ONE, TWO]
    assert path.stat().st_mode & 0o777 == 0o600


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_torn_line_costs_itself_alone_and_the_next_one_is_whole(data: st.DataObject) -> None:
    whole = f"{ONE.to_line()}\n".encode()
    torn = f"{TWO.to_line()}\n".encode()[: data.draw(st.integers(0, len(TWO.to_line().encode()) + 1))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        path.write_bytes(whole + torn)
        with ReviewFile.open(path) as file:
            there = list(file.events)
            file.append(ONE)
        # An event that only lacks its line end was written whole.
        assert there == ([ONE, TWO] if len(torn) >= len(TWO.to_line().encode()) else [ONE])
        assert path.read_bytes().endswith(f"{ONE.to_line()}\n".encode())
        assert opened(path) == [*there, ONE]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"review":2}\n', "line 1: `review`"),
        (b"\x1f\x8b\x08\x00", "packed"),
        (b"not json\n" + ONE.to_line().encode() + b"\n", "line 1"),
    ],
)
def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        ReviewFile.open(path)
    assert path.read_bytes() == content


def test_only_one_process_adds_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ReviewFile.open(path), pytest.raises(InputError, match="in use by another process"):
        ReviewFile.open(path)
    with pytest.raises(InputError, match="does not exist"):
        ReviewFile.open(tmp_path / "no" / "r.jsonl")


WRITER = """
import resource, sys
from pathlib import Path
from fare_cli.errors import EnvironmentFault
from fare_cli.review.events import ReviewEvent
from fare_cli.review.store import ReviewFile
path, limit = Path(sys.argv[1]), int(sys.argv[2])
event = ReviewEvent.model_validate_json(sys.stdin.readline())
if limit:
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
file = ReviewFile.open(path)
for number in range(10000):
    try:
        file.append(event.model_copy(update={"note": f"note {number}"}))
    except EnvironmentFault as error:
        print("full", number, error.message, flush=True)
        break
    print(number, flush=True)
"""


def writer(path: Path, limit: int = 0) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(limit)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdin is not None
    process.stdin.write(ONE.to_line() + "\n")
    process.stdin.flush()
    return process


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    process = writer(path)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(50)]
    process.send_signal(signal.SIGKILL)
    acknowledged += process.stdout.read().split()
    process.wait()
    notes = [one.note for one in opened(path)]
    assert notes[: len(acknowledged)] == [f"note {number}" for number in acknowledged]
    assert len(notes) - len(acknowledged) in (0, 1)


def test_a_full_disk_is_said_and_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    process = writer(path, limit=3000)
    out, _ = process.communicate(timeout=60)
    *acknowledged, last = out.splitlines()
    assert last.startswith(f"full {len(acknowledged)} cannot write review file")
    assert "limit" in last
    assert path.read_bytes().endswith(b"}\n")
    assert [one.note for one in opened(path)] == [f"note {number}" for number in acknowledged]


def test_a_disk_that_fails_to_sync_is_no_acknowledgement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ReviewFile.open(tmp_path / "r.jsonl") as file:

        def fails(_descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", fails)
        with pytest.raises(EnvironmentFault, match="Input/output error"):
            file.append(ONE)
        assert file.events == []
    assert (tmp_path / "r.jsonl").read_bytes() == b""
