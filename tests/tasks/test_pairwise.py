from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.asks import Direct, Judgment, Reasoning, Reply, ReplyError
from fare_cli.identity import Combine, JudgingOptions, Mode, Order
from fare_cli.records import Verdict
from tests.tasks.making import first_asks, judged, make_task, reply

PAIR = {"question": "Q", "answer_a": "one", "answer_b": "two"}


def pair(a_first: float, a_shown_second: float, **options: Any) -> Verdict:
    """The verdict where answer A has these probabilities in order ab and in order ba."""
    gold = options.pop("gold", None)
    return said((a_first, 1 - a_first), (1 - a_shown_second, a_shown_second), gold=gold, **options)


def said(ab: tuple[float, float], ba: tuple[float, float], *, gold: str | None = None, **options: Any) -> Verdict:
    """The verdict where the labels [A] and [B] have these probabilities in order ab and in order ba."""
    task = make_task("pairwise", JudgingOptions(mode="direct", **options))
    replies = {f"{order}/0": reply({" [A]": a, " [B]": b}) for order, (a, b) in {"ab": ab, "ba": ba}.items()}
    return judged(task, {**PAIR, "gold": gold}, replies)


def test_both_orders_are_asked_and_ba_shows_answer_b_first() -> None:
    ab, ba = first_asks(make_task("pairwise"), PAIR)
    assert (ab.id, ba.id) == ("ab/0", "ba/0")
    assert ab.messages[0] == ba.messages[0]
    assert ab.messages[1].text.index("one") < ab.messages[1].text.index("two")
    assert ba.messages[1].text == ab.messages[1].text.replace("one", "\1").replace("two", "one").replace("\1", "two")
    assert ab.script == ba.script == Direct("Verdict:", (" [A]", " [B]"))


@pytest.mark.parametrize(("order", "ids"), [("both", ["ab/0", "ba/0"]), ("ab", ["ab/0"]), ("ba", ["ba/0"])])
def test_orders_are_a_subset_of_the_same_asks(order: Order, ids: list[str]) -> None:
    asks = first_asks(make_task("pairwise", JudgingOptions(mode="direct", order=order)), PAIR)
    assert [ask.id for ask in asks] == ids
    both = {ask.id: ask for ask in first_asks(make_task("pairwise"), PAIR)}
    assert all(ask == both[ask.id] for ask in asks)


@pytest.mark.parametrize(("combine", "tie"), [("agree", False), ("agree", True), ("mean", False)])
def test_combining_otherwise_asks_nothing_else(combine: Combine, tie: bool) -> None:
    options = JudgingOptions(mode="direct", combine=combine, tie=tie)
    assert first_asks(make_task("pairwise", options), PAIR) == first_asks(make_task("pairwise"), PAIR)


def test_votes_of_an_order_are_neighbours_with_seeds_of_their_own() -> None:
    options = JudgingOptions(votes=3, temperature=0.7, seed=10, max_tokens=50)
    asks = first_asks(make_task("pairwise", options), PAIR)
    assert [ask.id for ask in asks] == ["ab/0", "ab/1", "ab/2", "ba/0", "ba/1", "ba/2"]
    assert asks[0].script == Judgment("Verdict:", (" [A]", " [B]"), 50)
    assert {ask.sampling.temperature for ask in asks} == {0.7}
    assert len({ask.sampling.seed for ask in asks}) == 6
    assert asks[0].messages == asks[2].messages


@pytest.mark.parametrize("mode", ["critique", "direct"])
def test_reasoning_is_part_of_what_is_asked(mode: Mode) -> None:
    def script(**changes: Any) -> Judgment | Direct:
        asked = first_asks(make_task("pairwise", JudgingOptions(mode=mode, **changes)), PAIR)[0].script
        assert isinstance(asked, Judgment | Direct)
        return asked

    assert script().reasoning is None
    assert script(reasoning="high").reasoning == Reasoning("high", 8192)
    assert script(reasoning="low", reasoning_tokens=99).reasoning == Reasoning("low", 99)


def test_direct_votes_that_think_are_sampled() -> None:
    options = JudgingOptions(mode="direct", votes=3, temperature=0.7, reasoning="low")
    asks = first_asks(make_task("pairwise", options), PAIR)
    assert len({ask.sampling for ask in asks}) == 6
    assert {ask.sampling.temperature for ask in asks} == {0.7}


def test_another_seed_shares_no_sample_and_the_same_seed_all() -> None:
    def seeds(seed: int) -> list[int]:
        options = JudgingOptions(votes=8, temperature=0.7, seed=seed)
        return [ask.sampling.seed for ask in first_asks(make_task("pairwise", options), PAIR)]

    assert seeds(0) == seeds(0)
    assert not set(seeds(0)) & set(seeds(1))


def test_only_what_has_no_reply_is_asked() -> None:
    task = make_task("pairwise")
    from fare_cli.records import parse

    got = task.step(parse("pairwise", PAIR), {"ab/0": reply({" [A]": 0.5, " [B]": 0.5})})
    assert isinstance(got, list)
    assert [ask.id for ask in got] == ["ba/0"]


def test_orders_that_agree_give_the_answer_with_the_swap_undone() -> None:
    verdict = pair(0.9, 0.8)
    assert (verdict.verdict, verdict.consistent, verdict.rule) == ("A", True, "agree")
    ab, ba = verdict.judgments
    assert (ab.order, ab.label, ab.means) == ("ab", "A", "A")
    assert (ba.order, ba.label, ba.means) == ("ba", "B", "A")
    assert ba.probabilities == pytest.approx({"A": 0.2, "B": 0.8})
    assert ab.margin == pytest.approx(math.log(9))
    odds = math.sqrt(0.9 / 0.1 * 0.8 / 0.2)
    assert verdict.probabilities == pytest.approx({"A": odds / (1 + odds), "B": 1 / (1 + odds)})
    assert verdict.confidence == verdict.probabilities["A"]  # type: ignore[index]


def test_orders_that_disagree_give_no_answer_under_agree() -> None:
    verdict = pair(0.9, 0.4, gold="A")
    assert (verdict.status, verdict.verdict, verdict.consistent, verdict.confidence) == ("ok", None, False, None)
    assert verdict.correct is False


def test_orders_that_disagree_are_a_tie_where_ties_are_allowed() -> None:
    verdict = pair(0.9, 0.4, tie=True)
    assert (verdict.verdict, verdict.consistent, verdict.rule, verdict.contract) == (
        "tie",
        False,
        "agree_or_tie",
        "own",
    )
    assert verdict.probabilities == pytest.approx({"A": 0.36, "B": 0.06, "tie": 0.58})
    assert verdict.confidence == pytest.approx(0.58)


def test_the_mean_cancels_a_bias_towards_a_position() -> None:
    verdict = pair(0.9, 0.4, combine="mean")
    assert (verdict.verdict, verdict.consistent, verdict.rule) == ("A", False, "mean")
    assert verdict.probabilities == pair(0.9, 0.4).probabilities
    always_first = pair(0.7, 0.3, combine="mean")
    assert always_first.probabilities == pytest.approx({"A": 0.5, "B": 0.5})


def test_one_order_is_neither_consistent_nor_inconsistent() -> None:
    task = make_task("pairwise", JudgingOptions(mode="direct", order="ba"))
    verdict = judged(task, PAIR, {"ba/0": reply({" [A]": 0.9, " [B]": 0.1})})
    assert (verdict.verdict, verdict.consistent, verdict.rule) == ("B", None, "single")
    assert verdict.probabilities == pytest.approx({"A": 0.1, "B": 0.9})


@pytest.mark.parametrize(
    ("gold", "options", "correct"),
    [
        (None, {}, None),
        ("A", {}, True),
        ("B", {}, False),
        ("tie", {}, None),
        ("tie", {"tie": True}, False),
        ("tie", {"combine": "mean"}, None),
    ],
)
def test_correct(gold: str | None, options: dict[str, Any], correct: bool | None) -> None:
    assert pair(0.9, 0.8, gold=gold, **options).correct is correct


def test_a_tie_in_gold_is_right_where_the_judge_says_tie() -> None:
    assert pair(0.9, 0.4, gold="tie", tie=True).correct is True
    assert pair(0.9, 0.4, gold="A", tie=True).correct is False


@pytest.mark.parametrize(("field", "contract"), [("context", "own"), ("reference", "own"), ("protocol", "fare")])
def test_the_contract_says_what_leaves_fares_layout(field: str, contract: str) -> None:
    replies = {name: reply({" [A]": 0.9, " [B]": 0.1}) for name in ("ab/0", "ba/0")}
    assert judged(make_task("pairwise"), {**PAIR, field: "x"}, replies).contract == contract
    assert judged(make_task("pairwise"), PAIR, replies).contract == "fare"


def test_votes_are_averaged_probability_by_probability() -> None:
    task = make_task("pairwise", JudgingOptions(votes=2, temperature=0.7, order="ab"))
    replies = {"ab/0": reply({" [A]": 1.0, " [B]": 0.0}), "ab/1": reply({" [A]": 0.2, " [B]": 0.8})}
    verdict = judged(task, PAIR, replies)
    assert verdict.probabilities == pytest.approx({"A": 0.6, "B": 0.4})
    assert [(entry.vote, entry.label) for entry in verdict.judgments] == [(0, "A"), (1, "B")]


def test_a_reply_with_an_error_makes_the_verdict_invalid() -> None:
    task = make_task("pairwise")
    replies = {
        "ab/0": reply({" [A]": 0.9, " [B]": 0.1}, prompt_tokens=7),
        "ba/0": Reply(error=ReplyError("too_long", "9 tokens do not fit 8"), prompt_tokens=2),
    }
    verdict = judged(task, {**PAIR, "gold": "A"}, replies)
    assert (verdict.status, verdict.verdict, verdict.correct, verdict.probabilities) == ("invalid", None, None, None)
    assert verdict.error is not None
    assert (verdict.error.kind, verdict.error.message) == ("too_long", "9 tokens do not fit 8")
    assert verdict.usage.prompt_tokens == 9
    assert (verdict.id, verdict.gold) == ("r", "A")


@pytest.mark.parametrize(
    "logs", [None, {}, {" [A]": 0.0}, {" yes": -1.0, " no": -1.0}, {" [A]": math.nan, " [B]": -1.0}]
)
def test_a_reply_without_usable_probabilities_is_no_verdict(logs: dict[str, float] | None) -> None:
    good = reply({" [A]": 0.9, " [B]": 0.1})
    verdict = judged(make_task("pairwise"), PAIR, {"ab/0": good, "ba/0": Reply(log_probabilities=logs)})
    assert verdict.status == "invalid"


def test_the_critique_is_what_stands_before_the_verdict_that_counts() -> None:
    text = "Explanation: Verdict: is hard.\n\nVerdict: [A]"
    read_at = len(text) - len(" [A]")
    shares = {" [A]": 0.9, " [B]": 0.1}
    thought = {"reasoning": "Verdict: [B]", "reasoning_truncated": True}
    replies = {
        "ab/0": reply(shares, text=text, read_at=read_at, generated_tokens=5),
        "ba/0": reply(shares, text="Hm", forced=True, truncated=True, generated_tokens=1, **thought),
    }
    verdict = judged(make_task("pairwise", JudgingOptions()), PAIR, replies)
    ab, ba = verdict.judgments
    assert (ab.critique, ab.forced, ab.truncated) == ("Explanation: Verdict: is hard.", False, False)
    assert (ba.critique, ba.forced, ba.truncated) == ("Hm", True, True)
    assert (ab.reasoning, ab.reasoning_truncated) == (None, False)
    assert (ba.reasoning, ba.reasoning_truncated) == ("Verdict: [B]", True)
    assert verdict.usage.generated_tokens == 6
    assert pair(0.9, 0.8).judgments[0].critique is None


shares = st.floats(0, 1)


@given(shares, shares, st.sampled_from([("agree", False), ("agree", True), ("mean", False)]))
def test_swapping_the_answers_swaps_the_verdict(ab: float, ba: float, rule: tuple[Combine, bool]) -> None:
    options = {"combine": rule[0], "tie": rule[1]}
    in_ab, in_ba = (ab, 1 - ab), (1 - ba, ba)
    # The answers changed places: what was read in order ab is read in order ba, number for number (1 - (1 - ba)
    # would lose what lies below the grain of a float, and agreement weighs a probability of 0 against one of 1e-18).
    verdict, swapped = said(in_ab, in_ba, **options), said(in_ba, in_ab, **options)
    assert verdict.probabilities is not None
    assert swapped.probabilities is not None
    assert sum(verdict.probabilities.values()) == pytest.approx(1)
    assert swapped.probabilities["A"] == pytest.approx(verdict.probabilities["B"], abs=1e-9)
    if min(abs(ab - 0.5), abs(ba - 0.5), abs(verdict.probabilities["A"] - verdict.probabilities["B"])) > 1e-6:
        other = {"A": "B", "B": "A", "tie": "tie", None: None}
        assert swapped.verdict == other[verdict.verdict]
        assert swapped.consistent == verdict.consistent
    assert verdict.confidence == (verdict.probabilities[verdict.verdict] if verdict.verdict else None)
