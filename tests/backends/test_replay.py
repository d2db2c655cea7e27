"""The replay backend answers as a model would, without one: the same answers for the same asks, in any order."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import eq, sub
from pathlib import Path
from statistics import mean, stdev

import pytest

from fare_cli.asks import Ask, Direct, Free, Given, Judgment, Message, Piece, Reply, Sampling, Script
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


def pair_ask(number: int, order: str = "ab", seed: int = 0) -> Ask:
    """As pairs are asked: the texts of the record are not ours, and ba shows the second answer first."""
    answers = [f"good {number}", f"bad {number}"]
    texts = [f"question {number}", *(answers if order == "ab" else answers[::-1])]
    return Ask(
        f"{number}/{order}",
        (Message("user", tuple(Piece(text, False) for text in texts)),),
        DIRECT,
        Sampling(1.0, seed),
    )


def good_one(ask: Ask) -> str:
    return " [A]" if ask.messages[0].pieces[1].text.startswith("good") else " [B]"


def log_odds(judge: SimulatedJudge, ask: Ask) -> float:
    """Of the good answer against the bad one."""
    read = judge(ask).log_probabilities
    assert read is not None
    good = good_one(ask)
    return read[good] - read[" [B]" if good == " [A]" else " [A]"]


@pytest.mark.parametrize("calibration", [None, 1.0, 2.0])
def test_orders_and_samples_share_an_opinion_and_differ_by_bias_and_noise_alone(calibration: float | None) -> None:
    quiet = SimulatedJudge(good_one, accuracy=0.7, calibration=calibration)
    opinions = [log_odds(quiet, pair_ask(number)) for number in range(200)]
    assert opinions == [log_odds(quiet, pair_ask(number, "ba", seed=1)) for number in range(200)]
    assert sum(odds > 0 for odds in opinions) / 200 == pytest.approx(0.7, abs=0.08)
    noisy = replace(quiet, noise=0.8, position_bias=0.5)
    for order, bias in (("ab", 0.5), ("ba", -0.5)):
        added = [log_odds(noisy, pair_ask(number, order)) - opinions[number] for number in range(200)]
        assert mean(added) == pytest.approx(bias, abs=3 * 0.8 / 200**0.5)
        assert stdev(added) == pytest.approx(0.8, abs=0.15)
    one, other = ([log_odds(noisy, pair_ask(number, seed=seed)) for number in range(200)] for seed in (1, 2))
    assert stdev(map(sub, one, other)) == pytest.approx(0.8 * 2**0.5, abs=0.2)
    assert [log_odds(noisy, pair_ask(number, seed=1)) for number in range(200)] == one


def test_an_opinion_may_be_about_more_than_a_record() -> None:
    judge = SimulatedJudge(good_one, accuracy=0.5, about=lambda ask: str(int(ask.id.split("/")[0]) // 10))
    right = [log_odds(judge, pair_ask(number)) > 0 for number in range(100)]
    assert all(len(set(right[start : start + 10])) == 1 for start in range(0, 100, 10))
    assert len(set(right)) == 2


def test_another_seed_is_another_judge() -> None:
    judges = [SimulatedJudge(good_one, accuracy=0.5, seed=seed) for seed in (1, 2)]
    right = [[log_odds(judge, pair_ask(number)) > 0 for number in range(100)] for judge in judges]
    assert 30 < sum(map(eq, *right)) < 70


@pytest.mark.parametrize("accuracy", [0.5, 0.8, 1.0])
def test_a_calibrated_judge_is_right_as_often_as_it_says(accuracy: float) -> None:
    judge = SimulatedJudge(good_one, accuracy=accuracy, calibration=1.0, seed=5)
    odds = [log_odds(judge, pair_ask(number)) for number in range(1500)]
    assert sum(one > 0 for one in odds) / 1500 == pytest.approx(accuracy, abs=0.03)
    assert mean(1 / (1 + math.exp(-abs(one))) for one in odds) == pytest.approx(accuracy, abs=0.02)
    doubled = replace(judge, calibration=2.0)
    assert log_odds(doubled, pair_ask(3)) == pytest.approx(max(-12.0, min(12.0, 2 * odds[3])))


def test_what_is_worse_than_guessing_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match="worse than guessing"):
        SimulatedJudge(good_one, accuracy=0.4, calibration=1.0)(pair_ask(1))
    assert SimulatedJudge(good_one, accuracy=0.0)(pair_ask(1)).label == " [B]"


def test_every_script_has_a_fitting_answer() -> None:
    judge = SimulatedJudge(right_label)
    read = judge(ask(1, Judgment("Verdict:", LABELS, 50)))
    assert read.read_at is not None
    assert read.label is not None
    assert read.text[: read.read_at].endswith("\nVerdict:")
    assert read.text[read.read_at :] == read.label
    assert judge(ask(1)).text == ""
    given = judge(ask(1, Given(("text", "and more")))).given
    assert given is not None
    assert [part.log_probability < 0 < part.tokens for part in given] == [True, True]
    assert judge(ask(1, Free(10))).text
    assert all(reply.error is None for reply in map(judge, (ask(1), ask(2))))
