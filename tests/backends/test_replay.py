"""The replay backend answers as a model would, without one: the same answers for the same asks, in any order."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli.asks import Ask, Direct, Free, Given, Judgment, Message, Piece, Reply, Script
from fare_cli.backends.replay import REPLAY, ReplayBackend, SimulatedJudge
from fare_cli.errors import InputError
from fare_cli.run.runner import run
from tests.run.making import INFO, Opener, make_plan, right_label, write_pairs

LABELS = (" [A]", " [B]")
DIRECT = Direct("Verdict:", LABELS)


def ask(number: int, script: Script = DIRECT) -> Ask:
    return Ask(str(number), (Message("user", (Piece(f"question {number}", False),)),), script)


def all_answers(backend: ReplayBackend) -> dict[str, Reply]:
    found: dict[str, Reply] = {}
    while answers := backend.collect():
        found |= {answer.ask_id: answer.reply for answer in answers}
    return found


def test_every_ask_is_answered_once_in_any_order_with_the_same_reply() -> None:
    asks = [ask(number) for number in range(20)]
    found = []
    for seed in (None, 1, 2):
        backend = ReplayBackend(SimulatedJudge(lambda ask: " [A]", accuracy=0.5), shuffle_seed=seed)
        backend.submit(asks[:7])
        backend.submit(asks[7:])
        found.append(all_answers(backend))
    assert list(found[0]) == [str(number) for number in range(20)]
    assert found[0] == found[1] == found[2]
    assert list(found[0]) != list(found[1]) != list(found[2])


def test_recorded_replies_are_given_for_what_was_asked_then() -> None:
    reply = Reply(label=" [A]", log_probabilities={" [A]": -0.1, " [B]": -2.4})
    backend = ReplayBackend.from_replies({ask(1).content_hash(REPLAY.weights): reply})
    backend.submit([ask(1), ask(2)])
    found = all_answers(backend)
    assert found["1"] == reply
    assert found["2"].error is not None
    assert found["2"].error.kind == "no_reply"


def test_a_journal_replays_its_run(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "in.jsonl", 20)
    run(make_plan(source, tmp_path / "out"), Opener())
    backend = ReplayBackend.from_journal(tmp_path / "out.journal.jsonl")
    assert backend.info == INFO
    run(make_plan(source, tmp_path / "again"), lambda: backend)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "out").read_bytes()
    with pytest.raises(InputError, match="not a journal"):
        ReplayBackend.from_journal(source)


def test_cancelled_asks_are_not_answered_and_an_interruption_stops() -> None:
    backend = ReplayBackend(SimulatedJudge(lambda ask: None))
    backend.submit([ask(1), ask(2)])
    backend.cancel(["1", "never"])
    assert list(all_answers(backend)) == ["2"]
    with pytest.raises(ValueError, match="under way"):
        backend.submit([ask(3), ask(3)])
    backend.interrupt()
    with pytest.raises(KeyboardInterrupt):
        backend.collect()


def test_a_simulated_judge_is_as_good_and_as_biased_as_it_was_made() -> None:
    def share(judge: SimulatedJudge, label: str) -> float:
        replies = [judge(ask(number)) for number in range(1000)]
        return sum(reply.label == label for reply in replies) / len(replies)

    assert share(SimulatedJudge(lambda ask: " [B]"), " [B]") == 1.0
    assert share(SimulatedJudge(lambda ask: " [B]", accuracy=0.7), " [B]") == pytest.approx(0.7, abs=0.05)
    assert share(SimulatedJudge(lambda ask: " [B]", position_bias=9), " [A]") == 1.0
    assert share(SimulatedJudge(lambda ask: None), " [A]") == pytest.approx(0.5, abs=0.05)


def test_every_script_has_a_fitting_answer() -> None:
    judge = SimulatedJudge(right_label)
    read = judge(ask(1, Judgment("Verdict:", LABELS, 50)))
    assert read.read_at is not None
    assert read.label is not None
    assert read.text[: read.read_at].endswith("\nVerdict:")
    assert read.text[read.read_at :] == read.label
    assert judge(ask(1)).text == ""
    assert (judge(ask(1, Given("text"))).log_probability or 0) < 0
    assert judge(ask(1, Free(10))).text
    assert all(reply.error is None for reply in map(judge, (ask(1), ask(2))))
