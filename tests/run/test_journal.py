"""Replies in the journal survive whatever ends the process, and are found by what was asked, not by luck."""

from __future__ import annotations

import dataclasses
import json
import math
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.asks import GivenPart, Reply, ReplyError
from fare_cli.errors import InputError
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.run.journal import Journal, read_replies

JUDGE = JudgeIdentity("pairwise", "model", "weights", "prompts", "origin", JudgingOptions())
OTHER = dataclasses.replace(JUDGE, prompts="others")
REPLY = Reply(text="Because.\nVerdict: [A]", label=" [A]", log_probabilities={" [A]": -0.1, " [B]": -2.4}, read_at=17)


def key(number: int) -> str:
    return f"{number:032x}"


def fill(path: Path, count: int, identity: JudgeIdentity = JUDGE) -> None:
    with Journal.open(path, identity) as journal:
        journal.begin(identity, {"name": "engine"})
        for number in range(count):
            journal.append(key(number), dataclasses.replace(REPLY, prompt_tokens=number))


def found(path: Path, count: int) -> list[int]:
    """Which of the first `count` replies are there; each must be its own."""
    with Journal.open(path, JUDGE) as journal:
        replies = {number: journal.find(key(number)) for number in range(count)}
    assert all(reply.prompt_tokens == number for number, reply in replies.items() if reply is not None)
    return [number for number, reply in replies.items() if reply is not None]


log_probability = st.floats(max_value=0, allow_nan=False)
replies = st.builds(
    Reply,
    text=st.text(),
    reasoning=st.text(),
    reasoning_truncated=st.booleans(),
    label=st.just("x"),
    log_probabilities=st.dictionaries(st.text(), log_probability).map(lambda read: {"x": -1.0, **read}),
    read_at=st.none() | st.integers(0),
    given=st.none() | st.lists(st.builds(GivenPart, log_probability, st.integers(0))).map(tuple),
    forced=st.booleans(),
    truncated=st.booleans(),
    prompt_tokens=st.integers(0),
    generated_tokens=st.integers(0),
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.integers(0, 2**128 - 1), replies, max_size=20))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, contents: dict[int, Reply]) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    with Journal.open(path, JUDGE) as journal:
        journal.begin(JUDGE, {})
        for number, reply in contents.items():
            journal.append(key(number), reply)
    if not contents:
        return
    with Journal.open(path, JUDGE) as journal:
        assert {number: journal.find(key(number)) for number in contents} == contents
        assert journal.find("f" * 32) is None or int("f" * 32, 16) in contents
        assert journal.replies == len(contents)
    assert read_replies(path)[1] == {key(number): reply for number, reply in contents.items()}


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    fill(tmp_path / "j", 200)  # their first 24 bits are all zero
    assert found(tmp_path / "j", 300) == list(range(200))


def test_torn_at_every_byte_nothing_whole_is_lost_and_it_goes_on(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    fill(whole, 3)
    data = whole.read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(len(data) + 1):
        path = tmp_path / "torn"
        path.write_bytes(data[:cut])
        there = max(sum(end <= cut for end in ends) - 1, 0)
        assert found(path, 3) == list(range(there)), cut
        with Journal.open(path, JUDGE) as journal:
            journal.begin(JUDGE, {"name": "engine"})
            for number in range(there, 3):
                journal.append(key(number), dataclasses.replace(REPLY, prompt_tokens=number))
        assert path.read_bytes() == data, cut


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.binary(min_size=1, max_size=8))
def test_damage_in_the_middle_costs_only_the_lines_it_hits(
    tmp_path_factory: pytest.TempPathFactory, where: int, damage: bytes
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j"
    fill(path, 5)
    data = bytearray(path.read_bytes())
    header_end = data.index(b"\n") + 1
    start = header_end + where % (len(data) - header_end - len(damage))
    hit = range(data.count(b"\n", 0, start) - 1, data.count(b"\n", 0, start + len(damage)))
    data[start : start + len(damage)] = damage.replace(b"\n", b" ")
    path.write_bytes(data)
    with Journal.open(path, JUDGE) as journal:
        for number in set(range(5)) - set(hit) - {max(hit) + 1}:
            reply = journal.find(key(number))
            assert reply is not None
            assert reply.prompt_tokens == number


def test_a_line_that_cannot_be_read_is_counted_and_its_ask_owed(tmp_path: Path) -> None:
    path = tmp_path / "j"
    fill(path, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:40] + b"\n" + lines[2].replace(b'"text"', b'"txet"') + lines[3])
    with Journal.open(path, JUDGE) as journal:
        assert [journal.find(key(number)) is not None for number in range(3)] == [False, False, True]
        assert journal.skipped_lines == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(error=ReplyError("decode_failed", "it failed")),
        dataclasses.replace(REPLY, log_probabilities={" [A]": math.nan}),
        dataclasses.replace(REPLY, label="none of them"),
    ],
)
def test_what_is_no_answer_is_never_reused(tmp_path: Path, reply: Reply) -> None:
    with Journal.open(tmp_path / "j", JUDGE) as journal:
        journal.begin(JUDGE, {})
        journal.append(key(1), reply)
    if reply.error is not None:
        assert len((tmp_path / "j").read_bytes().splitlines()) == 1
    with Journal.open(tmp_path / "j", JUDGE) as journal:
        assert journal.find(key(1)) is None


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "old").touch(mode=0o644)
    for name in ("new", "old"):
        fill(tmp_path / name, 1)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    fill(path, 2)
    program = (
        "import sys; from pathlib import Path; from tests.run.test_journal import *\n"
        "try: Journal.open(Path(sys.argv[1]), JUDGE)\n"
        "except InputError as error: print(error.message)"
    )
    with Journal.open(path, JUDGE):
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert "in use by another process" in done.stdout
    assert found(path, 2) == [0, 1]


def test_another_judges_journal_is_refused_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "j"
    fill(path, 2)
    for resume in (True, False):
        with pytest.raises(InputError, match="another judge") as caught:
            Journal.open(path, OTHER, resume=resume)
        assert JUDGE.asking_fingerprint in caught.value.message
        assert "--force" in (caught.value.hint or "")
    with Journal.open(path, OTHER, force=True) as journal:
        journal.begin(OTHER, {})
        journal.append(key(7), dataclasses.replace(REPLY, prompt_tokens=7))
    assert found(path, 8) == [0, 1, 7]


def test_a_judge_that_differs_in_combining_only_shares_the_journal(tmp_path: Path) -> None:
    fill(tmp_path / "j", 2)
    for options in (JudgingOptions(combine="mean"), JudgingOptions(order="ab"), JudgingOptions(tie=True)):
        with Journal.open(tmp_path / "j", dataclasses.replace(JUDGE, options=options)) as journal:
            assert journal.find(key(1)) is not None


def test_starting_anew_forgets_what_was_there(tmp_path: Path) -> None:
    fill(tmp_path / "j", 2)
    with Journal.open(tmp_path / "j", JUDGE, resume=False) as journal:
        assert journal.replies == 0
    assert found(tmp_path / "j", 2) == []


@pytest.mark.parametrize("text", ['{"question": "mine"}\n', "x", '{"fare_journal": 99}\n', '{"fare_journal":1}\n{}\n'])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "j").write_text(text, encoding="utf-8")
    for resume, force in ((True, False), (False, False), (True, True)):
        with pytest.raises(InputError, match="journal"):
            Journal.open(tmp_path / "j", JUDGE, resume=resume, force=force)
    assert (tmp_path / "j").read_text(encoding="utf-8") == text


def test_another_engine_is_noted_where_its_replies_begin(tmp_path: Path) -> None:
    path = tmp_path / "j"
    fill(path, 1)
    for engine in ("engine", "another"):
        with Journal.open(path, JUDGE) as journal:
            journal.begin(JUDGE, {"name": engine})
            journal.append(key(5), REPLY)
    headers, _ = read_replies(path)
    assert [header.engine for header in headers] == [{"name": "engine"}, {"name": "another"}]
    assert [json.loads(line).get("fare_journal") for line in path.read_text().splitlines()] == [1, None, None, 1, None]


def test_a_deterministic_run_is_not_mixed_with_another(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j", JUDGE) as journal:
        journal.begin(JUDGE, {"deterministic": False})
        journal.append("0" * 32, Reply(label=" [A]"))
    with Journal.open(tmp_path / "j", JUDGE) as journal, pytest.raises(InputError, match="deterministic"):
        journal.begin(JUDGE, {"deterministic": True})


def test_a_journal_nothing_was_written_to_does_not_stay(tmp_path: Path) -> None:
    Journal.open(tmp_path / "j", JUDGE).close()
    assert not (tmp_path / "j").exists()


def test_a_file_that_is_no_journal_keeps_its_mode(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    notes.chmod(0o644)
    with pytest.raises(InputError):
        Journal.open(notes, JUDGE)
    assert notes.stat().st_mode & 0o777 == 0o644
