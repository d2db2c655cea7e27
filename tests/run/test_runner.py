"""Every record has its verdict once and in order, nothing is asked twice, an output has its name when it is whole."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import json
import os
import queue
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.asks import Ask, Reply, ReplyError
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.errors import ExitCode, InputError, InvalidRecordsError, ModelError
from fare_cli.run.manifest import Manifest, manifest_path, read_manifest
from fare_cli.run.progress import ProgressSnapshot
from fare_cli.run.reader import InputPlan, items_of, read_items
from fare_cli.run.runner import run
from fare_cli.run.stream import Judging
from fare_cli.verdicts import Verdict
from tests.run.making import INFO, Opener, make_plan, pair, refuse, right_label, write_pairs


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def manifest_of(output: Path) -> Manifest:
    manifest = read_manifest(output)
    assert manifest is not None
    return manifest


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "in.jsonl", 40)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_verdicts_come_in_input_order_whatever_the_order_of_answers(source: Path, output: Path) -> None:
    outcome = run(make_plan(source, output), Opener(shuffle_seed=5))
    verdicts = read(output)
    assert [verdict["id"] for verdict in verdicts] == [f"r{number}" for number in range(40)]
    assert [verdict["source"]["line"] for verdict in verdicts] == list(range(1, 41))
    assert {verdict["judge"] for verdict in verdicts} == {make_plan(source, output).identity.fingerprint}
    assert (outcome.complete, outcome.exit_code) == (True, ExitCode.OK)
    first = output.read_bytes()
    run(make_plan(source, output, resume=False), Opener(shuffle_seed=6, window=3))
    assert output.read_bytes() == first


def test_the_counts_are_those_of_the_verdicts(source: Path, output: Path) -> None:
    summary = run(make_plan(source, output), Opener()).summary
    verdicts = read(output)
    counts = summary.counts
    assert counts.total == counts.ok == 40
    assert counts.correct == sum(verdict["correct"] for verdict in verdicts)
    assert counts.consistent == sum(verdict["consistent"] for verdict in verdicts)
    assert 0 < counts.inconsistent == counts.undecided == 40 - counts.consistent
    assert counts.accuracy == counts.correct / 40
    assert counts.accuracy_decided == counts.correct / counts.consistent
    assert counts.prompt_tokens == summary.asking.prompt_tokens > 0
    assert manifest_of(output).counts == counts.to_json()


def test_nothing_is_asked_twice(source: Path, output: Path) -> None:
    opener = Opener()
    assert run(make_plan(source, output), opener).summary.asking.asked == 80
    first = output.read_bytes()
    again = run(make_plan(source, output), refuse)
    assert (again.summary.asking.asked, again.summary.asking.reused) == (0, 80)
    assert output.read_bytes() == first
    assert manifest_of(output).engines == [dict(INFO.engine)]


@pytest.mark.parametrize("options", [{"combine": "mean"}, {"tie": True}, {"order": "ab"}, {"order": "ba"}])
def test_another_way_to_combine_needs_no_model(source: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    run(make_plan(source, tmp_path / "out"), Opener())
    run(make_plan(source, tmp_path / "out", **options), refuse)
    run(make_plan(source, tmp_path / "fresh", **options), Opener())
    assert (tmp_path / "out").read_bytes() == (tmp_path / "fresh").read_bytes()


def test_a_second_order_asks_only_what_is_new(source: Path, output: Path) -> None:
    run(make_plan(source, output, order="ab"), Opener())
    outcome = run(make_plan(source, output), Opener())
    assert (outcome.summary.asking.asked, outcome.summary.asking.reused) == (40, 40)


def test_the_manifest_says_what_the_output_is(source: Path, output: Path) -> None:
    run(make_plan(source, output), Opener())
    manifest = manifest_of(output)
    assert manifest.complete
    assert manifest.output.sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    assert (manifest.output.verdicts, manifest.output.bytes) == (40, output.stat().st_size)
    assert manifest.inputs[0].sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert manifest.judge["weights"] == INFO.weights
    assert manifest.timing.records_per_minute > 0


def test_all_files_are_for_their_owner_only(source: Path, output: Path) -> None:
    run(make_plan(source, output), Opener())
    written = [path for path in output.parent.iterdir() if path != source]
    assert {path.name for path in written} == {"out.jsonl", "out.jsonl.manifest.json", "out.jsonl.journal.jsonl"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}


def test_invalid_records_have_their_verdict_in_their_place(tmp_path: Path, output: Path) -> None:
    lines = [json.dumps(pair(1)), "not JSON", json.dumps(pair(1)), json.dumps({"question": "x"}), json.dumps(pair(2))]
    (tmp_path / "in").write_text("\n".join(lines), encoding="utf-8")
    outcome = run(make_plan(tmp_path / "in", output), Opener())
    verdicts = read(output)
    assert [(v["id"], (v["error"] or {}).get("kind"), v["source"]["line"]) for v in verdicts] == [
        ("r1", None, 1),
        ("", "bad_json", 2),
        ("r1", "duplicate_id", 3),
        ("", "missing_field", 4),
        ("r2", None, 5),
    ]
    assert outcome.complete
    assert outcome.exit_code == ExitCode.OK
    assert outcome.summary.counts.invalid_kinds == {"bad_json": 1, "duplicate_id": 1, "missing_field": 1}
    assert outcome.first_invalid is not None
    assert "line 2" in outcome.first_invalid


def test_strict_ends_at_the_first_invalid_record_and_names_it(tmp_path: Path, output: Path) -> None:
    (tmp_path / "in").write_text(json.dumps(pair(1)) + '\n{"question": "x"}\n', encoding="utf-8")
    with pytest.raises(InvalidRecordsError, match=r"in, line 2: .*answer_a") as caught:
        run(make_plan(tmp_path / "in", output, strict=True), Opener())
    assert caught.value.exit_code == 3
    assert not output.exists()


@pytest.mark.parametrize(("limit", "code"), [(0.0, 3), (0.49, 3), (0.5, 0), (None, 0), (1.0, 0)])
def test_too_many_invalid_records_are_exit_3_with_the_output_there(
    tmp_path: Path, output: Path, limit: float | None, code: int
) -> None:
    (tmp_path / "in").write_text("\n".join([json.dumps(pair(1)), "x", json.dumps(pair(2)), "y"]), encoding="utf-8")
    outcome = run(make_plan(tmp_path / "in", output, max_invalid=limit), Opener())
    assert outcome.exit_code == code
    assert len(read(output)) == 4
    assert manifest_of(output).complete


@pytest.mark.parametrize("text", ["", "\n\n", "hello\n", '{"a": 1}\n'])
def test_nothing_to_judge_is_exit_3(tmp_path: Path, output: Path, text: str) -> None:
    (tmp_path / "in").write_text(text, encoding="utf-8")
    outcome = run(make_plan(tmp_path / "in", output), refuse)
    assert outcome.exit_code == 3
    assert len(read(output)) == len(text.split()) or text.startswith("{")


def test_an_ask_without_an_answer_makes_its_record_invalid_and_is_owed(source: Path, output: Path) -> None:
    judge = SimulatedJudge(right_label)

    def failing(ask: Ask) -> Reply:
        if "Which is it, 7?" in ask.messages[-1].text:
            return Reply(error=ReplyError("decode_failed", "it failed"))
        return judge(ask)

    outcome = run(make_plan(source, output), Opener(failing))
    assert [verdict["id"] for verdict in read(output) if verdict["status"] == "invalid"] == ["r7"]
    assert outcome.summary.asking.failed == 2
    opener = Opener(judge)
    healed = run(make_plan(source, output), opener)
    assert opener.asked == 2
    assert healed.summary.counts.invalid == 0


def test_nan_from_a_model_is_no_verdict(source: Path, output: Path) -> None:
    nan = Reply(label=" [A]", log_probabilities={" [A]": float("nan"), " [B]": -1.0})
    outcome = run(make_plan(source, output), Opener(lambda ask: nan))
    assert outcome.summary.counts.invalid_kinds == {"nan": 40}
    assert outcome.exit_code == 3


def test_a_limit_takes_the_first_records_and_the_manifest_says_so(source: Path, output: Path) -> None:
    outcome = run(make_plan(source, output, limit=5), Opener())
    assert len(read(output)) == 5
    assert (outcome.reason, outcome.exit_code) == ("limit", ExitCode.OK)
    manifest = manifest_of(output)
    assert (manifest.complete, manifest.reason, manifest.inputs[0].sha256) == (False, "limit", None)
    whole = run(make_plan(source, output, limit=40), Opener())
    assert whole.complete
    assert whole.summary.asking.reused == 10


def test_time_that_is_over_leaves_the_first_verdicts_and_the_way_on(
    source: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = SimulatedJudge(right_label)
    opener = Opener()
    now = time.monotonic

    def answer(ask: Ask) -> Reply:
        if opener.asked == 30:
            monkeypatch.setattr(time, "monotonic", lambda: now() + 7200)
        return judge(ask)

    opener._judge = answer
    outcome = run(make_plan(source, output, max_seconds=3600), opener)
    done = len(read(output))
    assert 0 < done < 40
    assert [verdict["id"] for verdict in read(output)] == [f"r{number}" for number in range(done)]
    assert (outcome.reason, manifest_of(output).reason) == ("max_seconds", "max_seconds")
    rest = run(make_plan(source, output), Opener(judge))
    assert rest.complete
    assert rest.summary.asking.reused == 30


def test_time_that_is_over_breaks_off_what_the_model_is_at(source: Path, output: Path) -> None:
    opener = Opener()

    def endless(ask: Ask) -> Reply:
        while opener.backend is None or not opener.backend._interrupted:
            time.sleep(0.01)
        return Reply()

    opener._judge = endless
    assert run(make_plan(source, output, max_seconds=0.1), opener).reason == "max_seconds"
    assert read(output) == []


def test_time_that_is_over_before_anything_is_exit_3(source: Path, output: Path) -> None:
    outcome = run(make_plan(source, output, max_seconds=0), Opener())
    assert (outcome.reason, outcome.exit_code) == ("max_seconds", 3)
    assert not manifest_of(output).complete


def test_an_interruption_keeps_the_journal_and_names_no_output(source: Path, output: Path) -> None:
    opener = Opener()

    def until(ask: Ask) -> Reply:
        if opener.asked == 30:
            assert opener.backend is not None
            opener.backend.interrupt()
        return SimulatedJudge(right_label, accuracy=0.8, position_bias=1.5, seed=3)(ask)

    opener._judge = until
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(source, output), opener)
    assert [path.name for path in sorted(output.parent.iterdir())] == ["in.jsonl", "out.jsonl.journal.jsonl"]
    outcome = run(make_plan(source, output), Opener())
    assert outcome.summary.asking.reused == 29
    resumed = output.read_bytes()
    run(make_plan(source, output.with_name("fresh")), Opener())
    assert output.with_name("fresh").read_bytes() == resumed


@pytest.mark.parametrize("size", [None, 20])
def test_a_damaged_gzip_keeps_what_was_judged_and_is_exit_2(tmp_path: Path, output: Path, size: int | None) -> None:
    plain = write_pairs(tmp_path / "in.jsonl", 600).read_bytes()
    packed = gzip.compress(plain)
    (tmp_path / "in.gz").write_bytes(packed[: len(packed) // 2] if size is None else packed[:size])
    with pytest.raises(InputError, match="cut off"):
        run(make_plan(tmp_path / "in.gz", output), Opener())
    assert not output.exists()
    opener = Opener()
    outcome = run(make_plan(tmp_path / "in.jsonl", output), opener)
    assert opener.asked + outcome.summary.asking.reused == 1200
    readable = 0
    with contextlib.suppress(InputError):
        for _ in read_items(InputPlan("pairwise", (str(tmp_path / "in.gz"),))):
            readable += 1
    assert (readable > 100) == (size is None)
    assert outcome.summary.asking.reused == 2 * readable


def test_a_shuffled_limit_is_a_sample_that_can_be_drawn_again(source: Path, output: Path) -> None:
    run(make_plan(source, output, limit=10, shuffle_seed=3), Opener())
    ids = [verdict["id"] for verdict in read(output)]
    lines = [verdict["source"]["line"] for verdict in read(output)]
    assert [f"r{line - 1}" for line in lines] == ids
    assert ids != sorted(ids, key=lambda name: int(name[1:]))
    whole = run(make_plan(source, output, shuffle_seed=3), Opener())
    assert [verdict["id"] for verdict in read(output)][:10] == ids
    assert whole.summary.asking.reused == 20
    assert manifest_of(output).shuffle_seed == 3


def test_an_output_of_another_judge_is_refused_unless_forced(source: Path, output: Path) -> None:
    run(make_plan(source, output), Opener())
    before = output.read_bytes()
    for settings_ in ({}, {"resume": False}, {"journal": output.with_name("other.journal")}):
        with pytest.raises(InputError, match="another judge"):
            run(make_plan(source, output, mode="critique", **settings_), Opener())
    assert output.read_bytes() == before
    run(make_plan(source, output, mode="critique", force=True), Opener())
    assert read(output)[0]["judgments"][0]["critique"]
    run(make_plan(source, output, force=True), refuse)
    assert output.read_bytes() == before


def test_a_file_that_is_not_fares_is_not_overwritten(source: Path, output: Path) -> None:
    output.write_text("my thesis\n", encoding="utf-8")
    with pytest.raises(InputError, match="not written by fare"):
        run(make_plan(source, output), Opener())
    assert output.read_text(encoding="utf-8") == "my thesis\n"
    run(make_plan(source, output, force=True), Opener())
    assert len(read(output)) == 40


def test_a_lost_manifest_does_not_lock_the_user_out(source: Path, output: Path) -> None:
    run(make_plan(source, output), Opener())
    manifest_path(output).unlink()
    run(make_plan(source, output), refuse)
    assert manifest_of(output).complete


def test_inputs_are_never_written_over(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    link = tmp_path / "link.jsonl"
    link.symlink_to(source)
    for settings_ in ({"output": source}, {"output": link}, {"output": tmp_path / "out", "journal": link}):
        with pytest.raises(InputError, match="input of the same run"):
            run(make_plan(source, **{"force": True, **settings_}), Opener())
    with pytest.raises(InputError, match="output and journal at once"):
        run(make_plan(source, tmp_path / "out", journal=tmp_path / "out"), Opener())
    assert source.read_bytes() == before


@pytest.mark.parametrize("name", [".", "missing/out.jsonl", "/dev/null"])
def test_an_output_that_cannot_be_one_is_refused_before_any_work(source: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        run(make_plan(source, tmp_path / name), refuse)


def test_an_output_behind_a_link_is_replaced_where_it_lies(source: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "out.jsonl"
    link.symlink_to(tmp_path / "folder" / "real.jsonl")
    run(make_plan(source, link), Opener())
    assert link.is_symlink()
    assert len(read(tmp_path / "folder" / "real.jsonl")) == 40


def test_without_output_verdicts_stream_and_only_a_named_journal_is_kept(source: Path, tmp_path: Path) -> None:
    verdicts: list[Verdict] = []
    run(make_plan(source, None), Opener(), emit=verdicts.append)
    assert [verdict.id for verdict in verdicts] == [f"r{number}" for number in range(40)]
    assert list(tmp_path.iterdir()) == [source]
    run(make_plan(source, None, journal=tmp_path / "kept"), Opener(), emit=verdicts.append)
    run(make_plan(source, None, journal=tmp_path / "kept"), refuse, emit=verdicts.append)
    assert verdicts[:40] == verdicts[80:]


def test_a_reader_that_goes_away_leaves_the_journal_whole(source: Path, tmp_path: Path) -> None:
    def closed(verdict: Verdict) -> None:
        if verdict.id == "r5":
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(make_plan(source, None, journal=tmp_path / "kept"), Opener(), emit=closed)
    outcome = run(make_plan(source, None, journal=tmp_path / "kept"), Opener(), emit=lambda verdict: None)
    assert outcome.summary.asking.reused >= 10


def test_weights_other_than_the_judges_are_an_error(source: Path, output: Path) -> None:
    plan = make_plan(source, output)
    plan = dataclasses.replace(plan, identity=dataclasses.replace(plan.identity, weights="replaced"))
    with pytest.raises(ModelError, match="weights"):
        run(plan, Opener())


def test_progress_is_told_at_most_four_times_a_second_and_at_the_end(source: Path, output: Path) -> None:
    told: list[ProgressSnapshot] = []
    run(make_plan(source, output), Opener(), progress=told.append)
    assert told[-1].last
    assert (told[-1].done, told[-1].total, told[-1].left_s) == (40, 40, 0.0)
    assert len(told) <= 2 + told[-1].elapsed_s * 4
    assert told[-1].consistency is not None


def test_the_buffer_behind_a_slow_record_is_bounded(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield pair(taken)

    class FirstLast(ReplayBackend):
        """Answers the newest ask first, the oldest only if nothing else is there."""

        def collect(self) -> Any:
            ask_id = list(self._under_way)[-1]
            ask = self._under_way.pop(ask_id)
            from fare_cli.asks import Answer

            return [Answer(ask_id, self._simulate(ask))]

    plan = make_plan(tmp_path, None)
    backend = FirstLast(SimulatedJudge(right_label), info=INFO)
    verdicts = Judging(plan.task, lambda: backend, plan.identity).verdicts(items_of("pairwise", endless()))
    assert next(verdicts).id == "r1"
    assert taken <= 300
    for number in range(2, 500):
        assert next(verdicts).id == f"r{number}"
    assert taken <= 1000


def test_breaking_off_cancels_what_is_under_way(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, None)
    backend = ReplayBackend(SimulatedJudge(right_label), info=INFO)
    records = [pair(number) for number in range(50)]
    verdicts = Judging(plan.task, lambda: backend, plan.identity).verdicts(items_of("pairwise", records))
    next(verdicts)
    verdicts.close()
    assert backend.collect() == []
    again = Judging(plan.task, lambda: backend, plan.identity).verdicts(items_of("pairwise", records))
    assert len(list(again)) == 50


@settings(max_examples=25, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["good", "bad", "blank", "same"]), max_size=30),
    window=st.integers(1, 9),
    shuffle_seed=st.integers(0, 99) | st.none(),
    stops=st.lists(st.integers(1, 20), max_size=4),
)
def test_however_often_it_is_broken_off_the_output_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    window: int,
    shuffle_seed: int | None,
    stops: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("run")
    same = {name: value for name, value in pair(1).items() if name != "id"}
    texts = {"bad": "nope", "blank": "", "same": json.dumps(same)}
    source = folder / "in"
    source.write_text(
        "\n".join(texts.get(kind) or ("" if kind == "blank" else json.dumps(pair(n))) for n, kind in enumerate(lines)),
        encoding="utf-8",
    )
    judge = SimulatedJudge(right_label, accuracy=0.7)
    run(make_plan(source, folder / "straight"), Opener(judge))
    for stop in stops:
        opener = Opener(judge, window=window, shuffle_seed=shuffle_seed)

        def until(ask: Ask, opener: Opener = opener, stop: int = stop) -> Reply:
            if opener.asked == stop and opener.backend is not None:
                opener.backend.interrupt()
            return judge(ask)

        opener._judge = until
        try:
            run(make_plan(source, folder / "stopped"), opener)
        except KeyboardInterrupt:
            assert not (folder / "stopped").exists()
    run(make_plan(source, folder / "stopped"), Opener(judge, window=window, shuffle_seed=shuffle_seed))
    assert (folder / "stopped").read_bytes() == (folder / "straight").read_bytes()


def test_a_pipe_that_pauses_does_not_hold_up_the_verdicts(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    verdicts: queue.Queue[Verdict] = queue.Queue()
    plan = make_plan(pipe, None)
    running = threading.Thread(target=run, args=(plan, Opener()), kwargs={"emit": verdicts.put})
    running.start()
    with pipe.open("w", buffering=1) as file:
        for number in range(3):
            file.write(json.dumps(pair(number)) + "\n")
            assert verdicts.get(timeout=20).id == f"r{number}"  # before the next line is written
    running.join()
    assert verdicts.empty()


def test_a_limit_does_not_wait_for_a_pipe_to_end(tmp_path: Path) -> None:
    program = (
        "import sys; from tests.run.making import *; from fare_cli.run.runner import run\n"
        "outcome = run(make_plan('-', None, limit=2), Opener(), emit=lambda verdict: print(verdict.id))\n"
        "print(outcome.reason)"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(json.dumps(pair(number)).encode() + b"\n" for number in range(2)))
        process.stdin.flush()
        assert process.stdout.read().split() == [b"r0", b"r1", b"limit"]
        assert process.wait() == 0


def test_what_reading_a_pipe_raises_ends_the_run(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"[1, 2]\n",))
    writer.start()
    with pytest.raises(InputError, match="JSON array"):
        run(make_plan(pipe, None), refuse, emit=lambda verdict: None)
    writer.join()


@pytest.mark.parametrize("ending", ["interruption", "deadline"])
def test_a_run_that_waits_for_a_pipe_can_be_ended(tmp_path: Path, ending: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    opener = Opener()
    plan = make_plan(pipe, None, max_seconds=1.0 if ending == "deadline" else None)

    def emit(verdict: Verdict) -> None:
        if ending == "interruption" and opener.backend is not None:
            opener.backend.interrupt()

    let_go = threading.Event()

    def write() -> None:
        with pipe.open("w", buffering=1) as file:
            file.write(json.dumps(pair(1)) + "\n")
            let_go.wait()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        if ending == "interruption":
            with pytest.raises(KeyboardInterrupt):
                run(plan, opener, emit=emit)
        else:
            assert run(plan, opener, emit=emit).reason == "max_seconds"
    finally:
        let_go.set()
        writer.join()
