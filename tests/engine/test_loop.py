"""The loop: shared prefixes, slots and layouts change the speed of an answer and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fare_cli.asks import Ask, Direct, Free, Given, Judgment, Reply, Sampling
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
    question = ask("g", "What is two plus two?", "", Given("It is four, I think. " * 8))
    reply = run_once(tiny("llama-3"), layout(slots=1), [[question]])["g"]
    reference = Reference(tiny("llama-3"))
    assert reply.log_probability == pytest.approx(reference.given(question), rel=0.01)
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
    small = shape.__class__(shape.context.__class__(**{**_fields(shape.context), "cells": 2048}), 12, 900, False)
    groups = pairs(12, Judgment("Verdict:", PAIR, 100))
    replies = run_once(tiny("qwen3"), small, groups)
    assert len(replies) == 24
    assert all(reply.error is None for reply in replies.values())


def _fields(params: object) -> dict[str, object]:
    return {name: getattr(params, name) for name in params.__slots__}  # type: ignore[attr-defined]


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


def test_the_system_prompt_is_computed_once(tiny: Callable[[str], Path]) -> None:
    groups = pairs(8, DIRECT)
    with engine(tiny("qwen3"), layout(slots=2)) as opened:
        replies = run(opened, groups)
        total = sum(reply.prompt_tokens for reply in replies.values())
        assert opened.counters.prompt_tokens < 0.6 * total


def test_the_same_ask_twice_is_answered_twice(tiny: Callable[[str], Path]) -> None:
    question, same = (ask(name, "Which?", "One. Two. " * 30, DIRECT) for name in ("first", "second"))
    replies = run_once(tiny("qwen3"), layout(slots=2), [[question, same]])
    assert replies["first"].label == replies["second"].label
