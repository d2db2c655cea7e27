"""What verdicts say of systems: ties, orders, and texts that several systems gave."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import pytest

from fare_cli.rank.bradley_terry import fit
from fare_cli.rank.contests import Pair, by_position, comparisons_of, one_order_only, same_answers
from fare_cli.rank.davidson import Comparison
from fare_cli.verdicts import Judgement, Verdict


def pair(*contests: tuple[str, str], weight: float = 1.0) -> Pair:
    def never() -> Any:
        raise AssertionError("nothing is asked here")

    return Pair("q", contests, never, weight)


def verdict(label: str | None, *orders: tuple[Literal["ab", "ba"], str], status: str = "ok") -> Verdict:
    judgments = [
        Judgement(order=order, label=means, means=means, probabilities={means: 1.0}, margin=None)
        for order, means in orders
    ]
    return Verdict(id="v", task="pairwise", status=status, verdict=label, judgments=judgments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("label", "result"), [("A", "first"), ("B", "second"), ("tie", "tie"), (None, "tie")])
def test_a_verdict_is_a_win_or_a_tie(label: str | None, result: str) -> None:
    found = comparisons_of(pair(("x", "y")), verdict(label, ("ab", "A"), ("ba", "A")))
    assert found == [Comparison("x", "y", result, "q")]  # type: ignore[arg-type]


def test_an_invalid_verdict_says_nothing() -> None:
    assert comparisons_of(pair(("x", "y")), verdict(None, status="invalid")) == []
    assert by_position(pair(("x", "y")), verdict(None, status="invalid")) == []


def test_of_one_order_the_first_is_who_was_shown_first() -> None:
    shown_second = verdict("A", ("ba", "A"))
    assert comparisons_of(pair(("x", "y")), shown_second) == [Comparison("y", "x", "second", "q")]
    assert one_order_only([shown_second])
    assert not one_order_only([verdict("A", ("ab", "A"), ("ba", "A"))])


def test_both_orders_one_by_one_show_a_preference_for_the_first_position() -> None:
    biased = [verdict(None, ("ab", "A"), ("ba", "B")) for _ in range(30)]
    rows = [one for each in biased for one in by_position(pair(("x", "y")), each)]
    assert {one.result for one in rows} == {"first"}
    assert sum(one.weight for one in rows) == 30
    found = fit(["x", "y"], rows, first_position=True)
    assert found.first_position is not None
    assert found.first_position.value > 200
    assert found.nats == pytest.approx([0, 0], abs=1e-6)


def test_a_judgment_on_shared_texts_decides_all_contests_with_the_weight_of_one() -> None:
    found = comparisons_of(pair(("x", "y"), ("copy of x", "y")), verdict("A"))
    assert found == [Comparison("x", "y", "first", "q", 0.5), Comparison("copy of x", "y", "first", "q", 0.5)]


def test_systems_of_one_text_have_a_weight_of_one_each() -> None:
    found = list(same_answers("q", [["a", "b", "c"], ["d"], ["e", "e"]]))
    assert {(one.first, one.second) for one in found} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert {(one.result, one.weight) for one in found} == {("same", 0.5)}


def test_copies_of_all_texts_of_a_system_move_nobody() -> None:
    """A judge that prefers in a circle, so that without shared weights a copy would."""
    wins = {("a", "b"), ("b", "c"), ("c", "a")}

    def rows(systems: dict[str, str]) -> list[Comparison]:
        """Comparisons of systems by the text they give."""
        made = []
        for question in range(20):
            texts: dict[str, list[str]] = {}
            for name, text in systems.items():
                texts.setdefault(text, []).append(name)
            made += same_answers(str(question), texts.values())
            for one, other in itertools.combinations(texts, 2):
                contests = tuple((x, y) for x in texts[one] for y in texts[other])
                beats = question >= 5 if other == "d" else (one, other) in wins
                label = "A" if beats else "B"
                made += comparisons_of(Pair(str(question), contests, pair().record), verdict(label))
        return made

    plain = fit("abcd", rows(dict(zip("abcd", "abcd", strict=True))), intervals=False)
    more = fit("abcdef", rows(dict(zip("abcdef", "abcdaa", strict=True))), intervals=False)
    assert more.nats[4] == pytest.approx(more.nats[0])
    apart = [plain.nats[index] - plain.nats[3] for index in range(3)]
    assert [more.nats[index] - more.nats[3] for index in range(3)] == pytest.approx(apart, abs=0.02)
