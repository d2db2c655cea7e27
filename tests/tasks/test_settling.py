"""When the majority of votes is settled, counted out over everything that votes can be."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.asks import Ask, Reply
from fare_cli.identity import MOST_VOTES, SETTLING_ERROR, JudgingOptions
from fare_cli.records import Verdict, parse
from fare_cli.tasks.settling import votes_owed
from tests.tasks.making import make_task, reply

AUTO = JudgingOptions(votes="auto", temperature=0.7)


def asked_of(votes: tuple[int, ...], labels: int, most: int, error: float) -> tuple[int, int]:
    """How many of these votes are asked, and the label that has most of them."""
    counts = [0] * labels
    while more := votes_owed(counts, most=most, error=error):
        for vote in votes[sum(counts) : sum(counts) + more]:
            counts[vote] += 1
    return sum(counts), counts.index(max(counts))


@pytest.mark.parametrize(("most", "labels", "error"), [(9, 2, 0.05), (9, 2, 0.2), (8, 2, 0.1), (7, 3, 0.3)])
def test_the_error_is_at_most_what_is_stated_whatever_the_votes_would_have_been(
    most: int, labels: int, error: float
) -> None:
    """Counted out: for every make-up of all votes, the share of their orders in which another label is settled."""
    wrong: Counter[tuple[int, ...]] = Counter()
    orders: Counter[tuple[int, ...]] = Counter()
    for votes in product(range(labels), repeat=most):
        totals = tuple(votes.count(label) for label in range(labels))
        asked, settled = asked_of(votes, labels, most, error)
        orders[totals] += 1
        wrong[totals] += asked < most and totals[settled] < max(totals)
    assert max(Fraction(wrong[totals], orders[totals]) for totals in orders) <= error
    if most == MOST_VOTES:
        assert any(wrong.values()), "a test that never errs asks too much"


def test_how_many_votes_it_takes() -> None:
    def votes(*said: int) -> int:
        return asked_of((*said, *(0,) * 9)[:9], 2, MOST_VOTES, SETTLING_ERROR)[0]

    assert votes(0, 0, 0, 0) == 4
    assert votes(1, 0, 0, 0) == 6
    assert votes(0, 1, 0, 1, 0, 1, 0, 1) == 9


@given(st.lists(st.integers(0, 2), min_size=9, max_size=9))
def test_what_is_asked_at_once_is_never_too_much(votes: list[int]) -> None:
    """Votes are asked in batches; one by one no fewer would do."""
    asked, _ = asked_of(tuple(votes), 3, MOST_VOTES, SETTLING_ERROR)
    for fewer in range(asked):
        counts = [votes[:fewer].count(label) for label in range(3)]
        assert votes_owed(counts, most=MOST_VOTES, error=SETTLING_ERROR) > 0


def in_rounds(says: dict[str, list[float]]) -> tuple[list[list[str]], Verdict]:
    """The rounds of asks about a pair, and its verdict; `says` has the probability of " [A]" for each vote."""
    task, record = make_task("pairwise", AUTO), parse("pairwise", {"question": "Q", "answer_a": "x", "answer_b": "y"})
    replies: dict[str, Reply] = {}
    rounds = []
    while isinstance(asks := task.step(record, replies), list):
        rounds.append([ask.id for ask in asks])
        for ask in asks:
            order, vote = ask.id.split("/")
            share = says[order][int(vote)]
            replies[ask.id] = reply({" [A]": share, " [B]": 1 - share})
    return rounds, asks


def test_votes_are_asked_in_rounds_until_each_order_is_settled() -> None:
    rounds, verdict = in_rounds({"ab": [0.9] * 9, "ba": [0.2, 0.8, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1]})
    assert rounds == [
        [*(f"ab/{vote}" for vote in range(4)), *(f"ba/{vote}" for vote in range(4))],
        ["ba/4", "ba/5"],
    ]
    assert verdict.verdict == "A"
    assert [one.order for one in verdict.judgments] == ["ab"] * 4 + ["ba"] * 6


def test_a_settled_majority_that_is_not_the_label_goes_on() -> None:
    # Five of six say B, but so timidly that the mean of the probabilities is A.
    rounds, verdict = in_rounds({"ab": [0.999, 0.46, 0.46, 0.46, 0.46, 0.46, 0.05], "ba": [0.5001] * 9})
    assert sum(one.order == "ab" for one in verdict.judgments) == 7
    assert len([ask for asked in rounds for ask in asked if ask.startswith("ba")]) == 4


def test_replies_that_are_there_already_are_not_asked_for() -> None:
    task, record = make_task("verify", AUTO), parse("verify", {"question": "Q", "answer": "x"})
    some = {f"single/{vote}": reply({" yes": 0.9, " no": 0.1}) for vote in (0, 2, 7)}
    asks = task.step(record, some)
    assert isinstance(asks, list)
    assert [ask.id for ask in asks] == ["single/1", "single/3"]
    assert len({seed_of(ask) for ask in asks}) == 2


def seed_of(ask: Ask) -> int:
    return ask.sampling.seed


def test_a_broken_vote_makes_the_record_invalid() -> None:
    task, record = make_task("verify", AUTO), parse("verify", {"question": "Q", "answer": "x"})
    votes = {f"single/{vote}": reply({" yes": 0.9, " no": 0.1}) for vote in range(3)}
    verdict = task.step(record, {**votes, "single/3": reply({" maybe": 1.0})})
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.error and verdict.error.kind) == ("invalid", "bad_reply")
