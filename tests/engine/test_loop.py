"""The loop: shared prefixes, slots and layouts change the speed of an answer and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fare_cli.asks import Ask, Direct, Free, Given, Judgment, Message, Piece, Reply, Sampling
from tests.engine.asking import DIRECT, PAIR, STEPS, Reference, ask, engine, layout, pairs, run, run_once

FAMILIES = ["qwen3", "gpt-oss", "llama-3", "gemma"]

#: Rounding between batch shapes, in nats; DESIGN.md measured up to 0.28 on a quantised model.
NATS = 0.3


def assert_close(got: Reply, expected: dict[str, float]) -> None:
    assert got.error is None
    assert got.log_probabilities is not None
    assert got.log_probabilities.keys() == expected.keys()
    for label, value in expected.items():
        # A label that has next to no probability may be off by more: only what people see must agree.
        assert got.log_probabilities[label] == pytest.approx(value, abs=NATS) or value < -6
    best, second, *_ = sorted(expected.values(), reverse=True)
    if best - second > NATS:
        assert got.label == max(expected, key=expected.__getitem__)


@pytest.mark.parametrize("unified", [False, True], ids=["streams", "unified"])
@pytest.mark.parametrize("flash", [False, True], ids=["plain", "flash"])
@pytest.mark.parametrize("family", FAMILIES)
def test_direct_judgments_equal_a_plain_computation(
    tiny: Callable[[str], Path], family: str, unified: bool, flash: bool
) -> None:
    groups = pairs(5, DIRECT)
    replies = run_once(tiny(family), layout(slots=4, unified=unified, flash=flash), groups)
    reference = Reference(tiny(family))
    for question in (question for group in groups for question in group):
        assert_close(replies[question.id], reference.direct(question))
    reference.close()


@pytest.mark.parametrize("unified", [False, True], ids=["streams", "unified"])
def test_prompts_longer_than_a_window_and_a_piece_are_read_right(tiny: Callable[[str], Path], unified: bool) -> None:
    """In streams the windowed layers of gpt-oss keep 768 cells; trunks and branches overwrite what left the window."""
    question = "What is the answer to the question of the user? " * 26
    groups = [
        [
            ask(f"{number}{order}", question + str(number), answers, DIRECT)
            for order, answers in (("ab", "1 2"), ("ba", "2 1"))
        ]
        for number in range(3)
    ]
    replies = run_once(tiny("gpt-oss"), layout(slots=3, unified=unified, ctx=2048), groups)
    reference = Reference(tiny("gpt-oss"))
    for one in (one for group in groups for one in group):
        assert replies[one.id].prompt_tokens > 1100
        assert_close(replies[one.id], reference.direct(one))
    reference.close()


@pytest.mark.parametrize("family", ["qwen3", "gpt-oss"])
def test_many_step_labels_are_read_on_branches(tiny: Callable[[str], Path], family: str) -> None:
    question = ask("steps", "Which step?", "Step one. Step two.", Direct("Verdict:", STEPS))
    reply = run_once(tiny(family), layout(slots=1), [[question]])["steps"]
    reference = Reference(tiny(family))
    assert_close(reply, reference.direct(question))
    reference.close()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("unified", [False, True], ids=["streams", "unified"])
def test_one_slot_gives_the_labels_of_sixteen(tiny: Callable[[str], Path], family: str, unified: bool) -> None:
    groups = pairs(10, DIRECT)
    one = run_once(tiny(family), layout(slots=1, unified=unified), groups)
    many = run_once(tiny(family), layout(slots=16, unified=unified), groups)
    assert one.keys() == many.keys()
    for name, reply in one.items():
        assert reply.log_probabilities is not None
        assert_close(many[name], dict(reply.log_probabilities))


@pytest.mark.parametrize("flash", [False, True], ids=["plain", "flash"])
def test_what_is_written_equals_a_plain_computation(tiny: Callable[[str], Path], flash: bool) -> None:
    groups = pairs(5, Free(12))
    replies = run_once(tiny("qwen3"), layout(slots=4, flash=flash), groups)
    reference = Reference(tiny("qwen3"))
    for question in (question for group in groups for question in group):
        assert replies[question.id].text == reference.greedy(question, 12)
    reference.close()


@pytest.mark.parametrize("family", ["qwen3", "gpt-oss", "llama-3"])
def test_deterministic_runs_are_equal_to_the_bit_whatever_the_slots(tiny: Callable[[str], Path], family: str) -> None:
    groups = pairs(9, Judgment("Verdict:", PAIR, 24))
    two = run_once(tiny(family), layout(slots=2, even=True), groups)
    many = run_once(tiny(family), layout(slots=12, even=True), groups)
    alone = {}
    for group in groups:
        for question in group:
            alone |= run_once(tiny(family), layout(slots=3, even=True), [[question]])
    assert two == many == alone


def test_a_deterministic_run_of_the_real_model_is_equal_to_the_bit(smollm2_path: Path) -> None:
    groups = pairs(4, Judgment("Verdict:", PAIR, 16))
    two = run_once(smollm2_path, layout(slots=2, even=True), groups)
    many = run_once(smollm2_path, layout(slots=8, even=True), groups)
    assert two == many


def test_the_judgment_is_forced_where_the_model_gives_none(tiny: Callable[[str], Path]) -> None:
    question = ask("q", "Which?", "One. Two.", Judgment("Verdict:", PAIR, 8))
    reply = run_once(tiny("qwen3"), layout(slots=2), [[question]])["q"]
    assert reply.label in PAIR
    assert reply.forced
    assert reply.truncated
    assert reply.generated_tokens == 8
    assert reply.read_at is None


@pytest.mark.parametrize("unified", [False, True], ids=["streams", "unified"])
def test_votes_branch_from_one_prompt_and_differ_by_seed(tiny: Callable[[str], Path], unified: bool) -> None:
    def votes(seeds: range) -> list[Ask]:
        script = Judgment("Verdict:", PAIR, 20)
        return [ask(f"v{s}", "Which?", "One. Two. " * 20, script, Sampling(0.9, s)) for s in seeds]

    with engine(tiny("qwen3"), layout(slots=8, unified=unified)) as opened:
        replies = run(opened, [votes(range(8))])
        prompt = replies["v0"].prompt_tokens
        assert opened.counters.prompt_tokens < 2 * prompt
        assert opened.counters.reused_tokens > 6 * prompt
    assert len({reply.text for reply in replies.values()}) > 4
    again = run_once(tiny("qwen3"), layout(slots=8, unified=unified), [votes(range(8))])
    assert {name: reply.text for name, reply in again.items()} == {n: r.text for n, r in replies.items()}


def test_a_given_text_has_the_likelihood_of_a_plain_computation(tiny: Callable[[str], Path]) -> None:
    parts = ("It is four, I think. " * 8, "\n", "", "Or is it five?")
    question = ask("g", "What is two plus two?", "", Given(parts))
    reply = run_once(tiny("llama-3"), layout(slots=1), [[question]])["g"]
    reference = Reference(tiny("llama-3"))
    assert reply.given is not None
    assert [part.log_probability for part in reply.given] == pytest.approx(reference.given(question), rel=0.01)
    assert [part.tokens for part in reply.given] == [len(reference.tokens(part)) for part in parts]
    reference.close()


def test_a_prompt_that_does_not_fit_says_so_with_numbers(tiny: Callable[[str], Path]) -> None:
    long = ask("long", "Q", "word " * 3000, Judgment("Verdict:", PAIR, 64))
    short = ask("short", "Q", "word", Judgment("Verdict:", PAIR, 4))
    replies = run_once(tiny("qwen3"), layout(slots=2), [[long, short]])
    error = replies["long"].error
    assert error is not None
    assert error.kind == "too_long"
    assert "1024" in error.message
    assert str(replies["long"].prompt_tokens) in error.message
    assert replies["short"].label in PAIR


def test_a_small_unified_cache_never_runs_full(tiny: Callable[[str], Path]) -> None:
    """The cells hold two or three asks while twelve slots are free: the ledger must make the others wait."""
    shape = layout(slots=12, unified=True, ctx=900)
    small = replace(shape, context=replace(shape.context, cells=2048))
    groups = pairs(12, Judgment("Verdict:", PAIR, 100))
    replies = run_once(tiny("qwen3"), small, groups)
    assert len(replies) == 24
    assert all(reply.error is None for reply in replies.values())


def test_cancelled_asks_are_not_answered_and_leave_nothing_behind(tiny: Callable[[str], Path]) -> None:
    groups = pairs(6, Judgment("Verdict:", PAIR, 30))
    with engine(tiny("qwen3"), layout(slots=3)) as opened:
        for group in groups:
            opened.submit(group)
        for _ in range(12):
            opened.step()
        opened.cancel([f"{number}/ab" for number in range(6)])
        answered = set()
        while opened.busy:
            answered |= {answer.ask_id for answer in opened.step()}
        assert not any(name.endswith("/ab") for name in answered)
        again = run(opened, groups)
    assert len(again) == 12
    assert all(reply.error is None for reply in again.values())


def test_an_interrupted_engine_stops_and_serves_again(tiny: Callable[[str], Path]) -> None:
    groups = pairs(4, Judgment("Verdict:", PAIR, 30))
    with engine(tiny("qwen3"), layout(slots=4)) as opened:
        for group in groups:
            opened.submit(group)
        opened.step()
        opened.interrupt()
        with pytest.raises(KeyboardInterrupt):
            opened.step()
        assert not opened.busy
        opened.resume()
        replies = run(opened, groups)
    assert len(replies) == 8
    assert all(reply.error is None for reply in replies.values())


def test_the_system_prompt_is_computed_once(tiny: Callable[[str], Path]) -> None:
    groups = pairs(8, DIRECT)
    with engine(tiny("qwen3"), layout(slots=2)) as opened:
        replies = run(opened, groups)
        total = sum(reply.prompt_tokens for reply in replies.values())
        assert opened.counters.prompt_tokens < 0.6 * total


@pytest.mark.parametrize("labels", [PAIR, STEPS], ids=["two labels", "25 labels"])
@pytest.mark.parametrize("even", [False, True], ids=["usual", "deterministic"])
def test_the_same_ask_twice_is_answered_twice(tiny: Callable[[str], Path], labels: tuple[str, ...], even: bool) -> None:
    script = Direct("Verdict:", labels)
    question, same = (ask(name, "Which?", "One. Two. " * 30, script) for name in ("first", "second"))
    replies = run_once(tiny("qwen3"), layout(slots=2, even=even), [[question, same]])
    assert replies["first"].error is None
    assert replies["first"].label == replies["second"].label


@pytest.mark.parametrize("unified", [False, True], ids=["streams", "unified"])
def test_votes_on_both_orders_of_several_records_all_come_back(tiny: Callable[[str], Path], unified: bool) -> None:
    """Trunks inside trunks: families that waited for each other's sequences would wait for ever."""
    window = []
    for number in range(4):
        question = f"Question {number}: which one is right? " * 4
        for order, answers in (("ab", "One. Two. " * 20), ("ba", "Two. One. " * 20)):
            for vote in range(4):
                script = Judgment("Verdict:", PAIR, 6)
                window.append(ask(f"{number}/{order}/{vote}", question, answers, script, Sampling(0.8, vote)))
    with engine(tiny("qwen3"), layout(slots=6, unified=unified)) as opened:
        opened.submit(window)
        replies, passes = {}, 0
        while opened.busy:
            passes += 1
            assert passes < 2000
            replies |= {answer.ask_id: answer.reply for answer in opened.step()}
    assert len(replies) == 32
    assert all(reply.error is None for reply in replies.values())


def test_an_id_that_was_cancelled_can_be_used_again(tiny: Callable[[str], Path]) -> None:
    """The answer belongs to the new question, not to the one that was given up."""
    old = [ask(f"{n}", f"Old {n}? " * 20, "One. " * 40, DIRECT) for n in range(6)]
    new = [ask(f"{n}", f"New {n}? " * 20, "Two. " * 40, DIRECT) for n in range(6)]
    for passes in range(4):
        with engine(tiny("qwen3"), layout(slots=2, unified=True)) as opened:
            opened.submit(old)
            for _ in range(passes):
                opened.step()
            opened.cancel([question.id for question in old])
            replies = run(opened, [new])
        fresh = run_once(tiny("qwen3"), layout(slots=2, unified=True), [new])
        assert replies.keys() == fresh.keys()
        for name, reply in fresh.items():
            assert reply.log_probabilities is not None
            assert_close(replies[name], dict(reply.log_probabilities))


def test_two_prompts_in_one_window_each_keep_their_beginning(tiny: Callable[[str], Path]) -> None:
    groups = pairs(4, DIRECT)
    other = [
        Ask(
            f"other/{q.id}",
            (Message("system", (Piece("Quite another protocol. " * 12, True),)), *q.messages[1:]),
            DIRECT,
        )
        for group in groups
        for q in group
    ]
    window = [question for pair in zip((q for g in groups for q in g), other, strict=True) for question in pair]
    with engine(tiny("qwen3"), layout(slots=2)) as opened:
        replies = run(opened, [window])
        total = sum(reply.prompt_tokens for reply in replies.values())
        assert opened.counters.prompt_tokens < 0.75 * total


def test_an_ask_the_vocabulary_cannot_express_is_an_error_of_that_ask(tiny: Callable[[str], Path]) -> None:
    good = ask("good", "Which?", "One.", DIRECT)
    bad = ask("bad", "Which?", "One.", Direct("Verdict:", ("", " [A]")))
    replies = run_once(tiny("qwen3"), layout(slots=1), [[bad, good]])
    assert replies["bad"].error is not None
    assert replies["bad"].error.kind == "bad_ask"
    assert replies["good"].label in PAIR
