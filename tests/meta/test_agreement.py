"""Agreement of two judges, against hand-computed rows, the authors' formulas, and judges whose agreement is known."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.meta.agreement import kappa, proportion, records_needed, shift

LABELS = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("ABC")), min_size=1, max_size=60)


def flips(before: list[str], after: list[str]) -> int:
    return sum(one != other for one, other in zip(before, after, strict=True))


def wilson(count: int, of: int) -> tuple[float, float]:
    """Wilson 1927, as he wrote it: the roots of (share - p)^2 = z^2 p (1 - p) / n in p."""
    z = 1.959963984540054
    share = count / of
    a, b, c = 1 + z * z / of, -(2 * share + z * z / of), share * share
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@pytest.mark.parametrize(("count", "of"), [(0, 1), (0, 40), (1, 40), (7, 40), (20, 40), (40, 40), (3, 1000)])
def test_the_interval_is_wilsons(count: int, of: int) -> None:
    found = proportion(count, of)
    assert found.share == count / of
    assert found.interval == pytest.approx(wilson(count, of), abs=1e-12)


def test_the_interval_of_a_published_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3 (score, no continuity correction).
    assert proportion(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert proportion(15, 148).interval == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert proportion(0, 20).interval == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert proportion(1, 29).interval == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_nothing_measured_is_nothing_known() -> None:
    assert proportion(0, 0).share is None
    assert proportion(0, 0).interval == (0.0, 1.0)
    assert shift([], []) is None
    assert kappa([], []) is None


def test_the_interval_holds_a_set_flip_rate_about_95_times_in_100() -> None:
    """2,000 studies of 80 records each, flip rates from 1% to 30%."""
    draw = random.Random(7)
    held = 0
    for study in range(2000):
        rate = (0.01, 0.05, 0.1, 0.3)[study % 4]
        before = [draw.choice("AB") for _ in range(80)]
        after = [("B" if label == "A" else "A") if draw.random() < rate else label for label in before]
        low, high = proportion(flips(before, after), 80).interval
        held += low <= rate <= high
    # Wilson's interval is right on average over rates; 2,000 draws of 95% scatter by 0.5 points.
    assert 0.93 <= held / 2000 <= 0.97


def test_kappa_of_a_hand_computed_table() -> None:
    # Cohen's own way: 50 records, both yes 20, both no 15, 5 and 10 apart. Agreement 0.7, by chance 0.5.
    before = ["yes"] * 25 + ["no"] * 25
    after = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert kappa(before, after) == pytest.approx((0.7 - 0.5) / (1 - 0.5))
    assert flips(before, after) == 15


def test_kappa_of_a_known_confusion_is_recovered() -> None:
    """A judge that keeps a label with 0.8 and else says the other: kappa is 0.6 where both labels are as frequent."""
    draw = random.Random(3)
    before = [draw.choice("AB") for _ in range(40_000)]
    after = [label if draw.random() < 0.8 else ("B" if label == "A" else "A") for label in before]
    assert kappa(before, after) == pytest.approx(0.6, abs=0.01)


def test_kappa_is_not_defined_for_a_single_label() -> None:
    assert kappa(["A"] * 9, ["A"] * 9) is None
    assert kappa(["A"] * 9, ["A"] * 8 + ["B"]) == 0.0


@given(LABELS)
def test_kappa_is_the_formula_of_cohen_1960(pairs: list[tuple[str, str]]) -> None:
    before, after = [one for one, _ in pairs], [other for _, other in pairs]
    observed = sum(one == other for one, other in pairs) / len(pairs)
    chance = sum(before.count(label) * after.count(label) for label in "ABC") / len(pairs) ** 2
    found = kappa(before, after)
    if chance == 1:
        assert found is None
    else:
        assert found == pytest.approx((observed - chance) / (1 - chance), abs=1e-9)


@given(LABELS)
def test_agreement_does_not_depend_on_direction_or_order(pairs: list[tuple[str, str]]) -> None:
    before, after = [one for one, _ in pairs], [other for _, other in pairs]
    assert kappa(before, after) == pytest.approx(kappa(after, before))
    assert kappa(before, after) == pytest.approx(kappa(before[::-1], after[::-1]))


def test_a_shift_is_signed_and_absolute() -> None:
    found = shift([0.5, 0.9, 0.6], [0.6, 0.6, 0.6])
    assert found is not None
    assert found.signed == pytest.approx(-0.2 / 3)
    assert found.absolute == pytest.approx(0.4 / 3)


@given(st.floats(0.001, 0.5))
def test_the_records_needed_are_the_fewest_that_can_show_it(limit: float) -> None:
    needed = records_needed(limit)
    assert proportion(0, needed).interval.high <= limit + 1e-12
    if needed > 1:
        assert proportion(0, needed - 1).interval.high > limit - 1e-12
