"""Runs against a server that fails in every way a server can: nothing is lost, nothing judged twice, and what cannot be
judged is invalid, or ends the run so that it can be taken up again."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import fare_cli as fare
from fare_cli.identity import JudgingOptions
from fare_cli.run.journal import read_replies
from fare_cli.run.reader import InputPlan
from fare_cli.run.runner import Outcome, RunPlan, run
from tests.backends.http.fake_server import (
    FakeServer,
    Fault,
    InTurn,
    chat_answer,
    fake_server,
    is_judging,
    share_of_a,
    text_of,
)
from tests.cli.conftest import PROGRAM, environment
from tests.run.making import pair, write_pairs

DIRECT = JudgingOptions(mode="direct")

FAULTS = (
    Fault("status", 500),
    Fault("status", 502),
    Fault("status", 429),
    Fault("status", 429, retry_after="0"),
    Fault("status", 503),
    Fault("cut"),
    Fault("half"),
    Fault("html"),
    Fault("hang up"),
    Fault("filtered"),
    Fault("nan"),
    Fault("lie", lie={"choices": []}),
    Fault("lie", lie={"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}),
    Fault("lie", lie=["not", "an", "object"]),
)


def judged(server: FakeServer, source: Path, output: Path, **settings: Any) -> Outcome:
    """A whole run by the server, as `fare judge pairwise SOURCE -o OUTPUT` makes it."""
    options = {"timeout_s": 5.0, "patience_s": 30.0, **settings}
    with fare.Judge(None, options=DIRECT, server=fare.ServerOptions(server.url, **options)) as judge:
        plan = RunPlan(
            InputPlan("pairwise", (str(source),)),
            judge.task("pairwise"),
            judge.identity("pairwise"),
            output,
            max_invalid=1.0,
        )
        return run(plan, judge.backend)


def verdicts(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def journal_of(output: Path) -> Path:
    return output.with_name(f"{output.name}.journal.jsonl")


def times_kept(output: Path) -> Counter[str]:
    """How often each ask is in the journal."""
    lines = [json.loads(line) for line in journal_of(output).read_text().splitlines()]
    return Counter(line["key"] for line in lines if "key" in line)


def without_judge(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**one, "judge": ""} for one in found]


def test_a_run_through_every_fault_ends_as_one_without(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 30)
    with fake_server() as server:
        judged(server, source, tmp_path / "calm")
    order = random.Random(4)
    plan = InTurn(order.sample([*FAULTS, *FAULTS, *[None] * 12], k=40), is_judging)
    with fake_server(plan) as server:
        outcome = judged(server, source, tmp_path / "stormy")
        # Cut off in the middle of the answer, a request was answered as far as the server knows: it is asked again.
        assert set(server.answered) >= {text_of(one.body) for one in server.judged}
    assert (outcome.complete, outcome.summary.counts.ok) == (True, 30)
    assert without_judge(verdicts(tmp_path / "stormy")) == without_judge(verdicts(tmp_path / "calm"))
    assert set(times_kept(tmp_path / "stormy").values()) == {1}
    assert len(times_kept(tmp_path / "stormy")) == 60


def test_a_server_that_stalls_or_dribbles_is_left_and_asked_again(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 4)
    with fake_server(InTurn([Fault("stall"), Fault("dribble")], is_judging)) as server:
        outcome = judged(server, source, tmp_path / "out", timeout_s=1.0)
    assert outcome.summary.counts.ok == 4
    assert len(server.judged) == 8 + 2


POISON = {
    "crash": (Fault("status", 500), "server_error"),
    "half": (Fault("half"), "bad_answer"),
    "lie": (Fault("lie", lie={"ok": True}), "bad_answer"),
    "hang": (Fault("hang up"), "no_connection"),
    "forbidden": (Fault("status", 400, message="you may not say that"), "refused"),
    "long": (Fault("status", 400, message="it exceeds the maximum context length of 4096"), "too_long"),
    "chatty": (Fault("lie", lie=chat_answer("Both are fine.")), "no_label"),
    "odd": (Fault("lie", lie=chat_answer("Verdict: [C]")), "no_label"),
}


def test_records_that_always_fail_are_invalid_and_owed_again(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    records = [pair(number, question=f"Which, {number}?") for number in range(24)]
    records[3:3] = [pair(100 + number, question=f"poison {name}") for number, name in enumerate(POISON)]
    source.write_text("".join(json.dumps(record) + "\n" for record in records))

    def poisoned(body: dict[str, Any]) -> Fault | None:
        return next((fault for name, (fault, _) in POISON.items() if f"poison {name}" in text_of(body)), None)

    with fake_server(poisoned) as server:
        outcome = judged(server, source, tmp_path / "out")
    found = verdicts(tmp_path / "out")
    kinds = [one["error"]["kind"] for one in found if one["status"] == "invalid"]
    assert kinds == [kind for _, kind in POISON.values()]
    assert outcome.summary.counts.ok == 24
    assert len(times_kept(tmp_path / "out")) == 48

    with fake_server() as server:
        again = judged(server, source, tmp_path / "out")
        assert all("poison" in text_of(one.body) for one in server.judged)
        assert len(server.judged) == 2 * len(POISON)
    assert again.summary.counts.ok == 24 + len(POISON)


def test_a_server_that_goes_down_ends_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 30)

    def dies(body: dict[str, Any]) -> Fault | None:
        return None if len(server.answered) < 20 else Fault("hang up")

    with fake_server(dies) as server, pytest.raises(fare.EnvironmentFault) as caught:
        judged(server, source, tmp_path / "out", patience_s=1.0)
    assert "answer" in caught.value.message
    assert not (tmp_path / "out").exists()
    kept = len(times_kept(tmp_path / "out"))
    assert kept > 0
    with fake_server() as server:
        outcome = judged(server, source, tmp_path / "out")
        assert len(server.judged) == 60 - kept
    assert outcome.complete
    assert outcome.summary.asking.reused == kept
    assert set(times_kept(tmp_path / "out").values()) == {1}


def test_a_server_that_fails_at_everything_ends_the_run_and_blames_no_record(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 30)
    with (
        fake_server(lambda body: None if not server.judged else Fault("status", 500)) as server,
        pytest.raises(fare.EnvironmentFault, match="500"),
    ):
        judged(server, source, tmp_path / "out", patience_s=2.0)
    assert not (tmp_path / "out").exists()


def test_another_model_behind_the_same_address_ends_the_run(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 12)
    swapped = InTurn([*[None] * 6, *[Fault("another model")] * 30], is_judging)
    with fake_server(swapped) as server, pytest.raises(fare.EnvironmentFault, match="somebody-else"):
        judged(server, source, tmp_path / "out")
    assert not any("somebody-else" in line for line in journal_of(tmp_path / "out").read_text().splitlines())


def test_a_killed_run_goes_on_where_it_was_and_asks_nothing_twice(tmp_path: Path) -> None:
    write_pairs(tmp_path / "in.jsonl", 20)
    gate = threading.Semaphore(15)

    def slow(body: dict[str, Any]) -> Fault | None:
        return None if body.get("max_tokens") == 1 or gate.acquire(blocking=False) else Fault("stall")

    with fake_server(slow) as server:
        command = [*PROGRAM, "judge", "pairwise", "in.jsonl", "-o", "out", "--mode", "direct", "--backend", "http"]
        command += ["--url", server.url]
        child = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
        try:
            journal = journal_of(tmp_path / "out")
            until = time.monotonic() + 60
            while not journal.exists() or journal.read_bytes().count(b'{"key"') < 15:
                assert child.poll() is None
                assert time.monotonic() < until
                time.sleep(0.02)
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        told = {text_of(one.body) for one in server.judged}
    assert len(read_replies(journal)[1]) == 15
    with fake_server() as calm:
        done = subprocess.run(
            [part if part != server.url else calm.url for part in command],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(calm.judged) == 40 - 15
        assert {text_of(one.body) for one in calm.judged} | told >= {text_of(one.body) for one in calm.judged}
    assert [one["id"] for one in verdicts(tmp_path / "out")] == [f"r{number}" for number in range(20)]
    assert set(times_kept(tmp_path / "out").values()) == {1}


def test_a_verdict_is_what_the_server_said(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 6)
    with fake_server() as server:
        judged(server, source, tmp_path / "out")
        asked = {text_of(one.body): share_of_a(one.body) for one in server.judged}
    for one in verdicts(tmp_path / "out"):
        shares = [judgment["probabilities"]["A"] for judgment in one["judgments"]]
        assert all(any(abs(share - known) < 1e-6 for known in asked.values()) for share in shares)
        assert one["injection_guard"] is False


@pytest.mark.parametrize("most", [2, 5])
def test_a_server_that_bears_little_is_asked_little(tmp_path: Path, most: int) -> None:
    """It answers 429 to whoever comes while it works on as many as it bears."""
    source = write_pairs(tmp_path / "in.jsonl", 40)

    def bears(body: dict[str, Any]) -> Fault | None:
        return Fault("status", 429) if server.busy > most else None

    with fake_server() as server:
        server.plan = bears
        outcome = judged(server, source, tmp_path / "out", concurrency=16)
    assert outcome.summary.counts.ok == 40
    assert set(times_kept(tmp_path / "out").values()) == {1}


def test_no_more_requests_than_allowed_are_under_way(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 40)
    with fake_server() as server:
        judged(server, source, tmp_path / "out", concurrency=3)
    assert server.busiest <= 3


def test_retry_after_is_kept_to(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 1)
    with fake_server(InTurn([Fault("status", 429, retry_after="1")], is_judging)) as server:
        judged(server, source, tmp_path / "out", concurrency=1)
    first, second = [one.at for one in server.judged][:2]
    assert second - first >= 1.0


def test_a_server_that_says_to_come_back_at_once_is_left_a_moment(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 1)
    faults = [Fault("status", 429, retry_after="0")] * 3
    with fake_server(InTurn(faults, is_judging)) as server:
        judged(server, source, tmp_path / "out", concurrency=1)
    times = [one.at for one in server.judged][:4]
    assert min(second - first for first, second in itertools.pairwise(times)) >= 0.05


def test_a_server_that_fails_and_then_is_busy_is_not_asked_without_a_pause(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 4)
    faults = [Fault("status", 500)] * 4 + [Fault("status", 429)] * 10_000
    with fake_server() as server:
        plan = InTurn(faults)
        server.plan = lambda body: plan(body) if server.judged else None
        with pytest.raises(fare.EnvironmentFault, match="has not answered"):
            judged(server, source, tmp_path / "out", concurrency=4, patience_s=3.0)
    assert len(server.asked) < 30


def test_a_request_that_the_server_is_always_too_busy_for_does_not_hold_up_the_others(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 6)
    third = json.loads(source.read_text().splitlines()[2])["question"]

    def limited(body: dict[str, Any]) -> Fault | None:
        return Fault("status", 429) if is_judging(body) and third in text_of(body) else None

    with fake_server(limited) as server:
        outcome = judged(server, source, tmp_path / "out", patience_s=2.0)
    assert (outcome.complete, outcome.summary.counts.ok, outcome.summary.counts.invalid) == (True, 5, 1)
    (invalid,) = [one for one in verdicts(tmp_path / "out") if one["status"] == "invalid"]
    assert invalid["error"]["kind"] == "busy"


@pytest.mark.parametrize(("status", "words"), [(402, "wants to be paid"), (507, "failed")])
def test_other_statuses_are_what_they_mean(tmp_path: Path, status: int, words: str) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 1)
    with (
        fake_server(lambda body: Fault("status", status)) as server,
        pytest.raises(fare.EnvironmentFault, match=words),
    ):
        judged(server, source, tmp_path / "out", patience_s=2.0)


def test_a_server_that_wants_to_be_left_alone_for_an_hour_is(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 1)
    with (
        fake_server(InTurn([Fault("status", 429, retry_after="3600")], is_judging)) as server,
        pytest.raises(fare.EnvironmentFault, match="3600 s"),
    ):
        judged(server, source, tmp_path / "out", concurrency=1)
    assert len(server.judged) == 1


def test_ctrl_c_ends_within_a_second_while_the_server_stalls(tmp_path: Path) -> None:
    write_pairs(tmp_path / "in.jsonl", 4)
    with fake_server(lambda body: Fault("stall") if is_judging(body) else None) as server:
        command = [*PROGRAM, "judge", "pairwise", "in.jsonl", "-o", "out", "--mode", "direct", "--backend", "http"]
        child = subprocess.Popen(
            [*command, "--url", server.url], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE
        )
        until = time.monotonic() + 60
        while not server.judged:
            assert time.monotonic() < until
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)
    assert child.returncode == 130
    assert b"the same command goes on" in said
