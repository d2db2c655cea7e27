"""Strengths are those that the comparisons were drawn from, whatever the order, and what is not known is said."""

from __future__ import annotations

import math
import random
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from fare_cli.rank.bradley_terry import Strengths, components, fit, information
from fare_cli.rank.davidson import ELO, Comparison
from tests.rank.making import compared, elo_of

TRUE = {"a": 1.0, "b": 0.4, "c": 0.0, "d": -0.8}
PRIOR_VARIANCE = (1000 / ELO) ** 2


def elo(strengths: Strengths) -> dict[str, float]:
    return {name: strengths.elo(index).value for index, name in enumerate(strengths.systems)}


def test_without_ties_it_is_logistic_regression() -> None:
    rows = compared(TRUE, 30, seed=1)
    names = list(TRUE)
    design = np.array([[float(name == one.first) - float(name == one.second) for name in names] for one in rows])
    won = [one.result == "first" for one in rows]
    model = LogisticRegression(C=PRIOR_VARIANCE, fit_intercept=False, tol=1e-10, max_iter=1000).fit(design, won)
    assert fit(names, rows).nats == pytest.approx(model.coef_[0] - model.coef_[0].mean(), abs=1e-4)


def test_with_ties_and_positions_it_is_what_a_general_optimiser_finds() -> None:
    rows = compared(TRUE, 25, tie=0.7, first=0.4, seed=2)
    names = list(TRUE)

    def loss(parameters: np.ndarray) -> float:
        value = float((parameters**2).sum()) / (2 * PRIOR_VARIANCE)
        for one in rows:
            apart = parameters[names.index(one.first)] - parameters[names.index(one.second)]
            logits = {"first": apart / 2 + parameters[5], "second": -apart / 2, "tie": parameters[4]}
            value += math.log(sum(map(math.exp, logits.values()))) - logits[one.result]
        return value

    wanted = minimize(loss, np.zeros(6), method="BFGS").x
    found = fit(names, rows, first_position=True)
    assert found.nats == pytest.approx(wanted[:4] - wanted[:4].mean(), abs=1e-4)
    assert found.tie == pytest.approx(wanted[4], abs=1e-4)
    assert found.first_position is not None
    assert found.first_position.value == pytest.approx(wanted[5] * ELO, abs=0.05)


def test_intervals_hold_the_true_strength_in_about_95_of_100_studies() -> None:
    held = studies = 0
    for seed in range(60):
        found = fit(list(TRUE), compared(TRUE, 15, tie=0.5, seed=seed))
        for index, true in enumerate(elo_of(TRUE).values()):
            interval = found.elo(index).interval
            assert interval is not None
            held += interval.low <= true <= interval.high
            studies += 1
    assert 0.93 <= held / studies <= 0.99


def test_questions_that_favour_a_system_widen_the_intervals() -> None:
    """Comparisons of one question hang together: 20 copies of each are no more than one."""
    rows = compared(TRUE, 12, seed=3)
    copies = [one for one in rows for _ in range(20)]
    once, often = fit(list(TRUE), rows).difference(0, 3), fit(list(TRUE), copies).difference(0, 3)
    assert once.interval is not None
    assert often.interval is not None
    assert often.value == pytest.approx(once.value, rel=0.1)
    assert often.interval.high - often.interval.low > 0.6 * (once.interval.high - once.interval.low)


def test_a_set_preference_for_the_first_position_is_recovered_and_moves_nobody() -> None:
    found = fit(list(TRUE), compared(TRUE, 80, tie=0.5, first=0.6, seed=4), first_position=True)
    assert found.first_position is not None
    assert found.first_position.interval is not None
    assert found.first_position.interval.low < 0.6 * ELO < found.first_position.interval.high
    assert found.first_position.interval.low > 0
    for index, true in enumerate(elo_of(TRUE).values()):
        assert found.elo(index).value == pytest.approx(true, abs=60)


def test_who_always_wins_is_finite_and_not_more_certain_than_the_comparisons_allow() -> None:
    three = fit(["a", "b"], [Comparison("a", "b", "first", question) for question in range(3)])
    assert three.difference(0, 1).value < 1500
    assert not three.surely_above(0, 1)
    assert 0.7 < three.above(0, 1) < 0.95
    many = fit(["a", "b"], [Comparison("a", "b", "first", question) for question in range(100)])
    assert many.surely_above(0, 1)
    interval = many.difference(0, 1).interval
    assert interval is not None
    # 100 of 100 leave room for a share of 96.3% by Wilson's interval: 567 Elo.
    assert 100 < interval.low < 567
    assert interval.high > 1500


def test_ties_only_leave_all_equal() -> None:
    found = fit(["a", "b", "c"], [Comparison("a", "b", "tie", 1), Comparison("b", "c", "tie", 2)])
    assert list(elo(found).values()) == pytest.approx([1000, 1000, 1000])
    assert found.above(0, 1) == pytest.approx(0.5)


def test_equal_texts_pull_together_and_say_nothing_of_ties() -> None:
    rows = [Comparison("a", "b", "first", 1), Comparison("a", "b", "first", 2), Comparison("a", "b", "second", 3)]
    more = fit(["a", "b"], [*rows, *(Comparison("a", "b", "same", 10 + index) for index in range(9))])
    assert more.tie is None
    tied = [*rows, Comparison("a", "b", "tie", 4)]
    both = fit(["a", "b"], [*tied, *(Comparison("a", "b", "same", 10 + index) for index in range(900))])
    assert both.tie == pytest.approx(math.log(2 / 3), abs=0.05), "one tie to three wins between equals"
    # 2 + 4.5 of 12 points.
    assert more.nats[0] - more.nats[1] == pytest.approx(math.log(6.5 / 5.5), abs=0.02)


def test_systems_that_were_never_compared_are_told_apart_as_parts() -> None:
    rows = [Comparison("a", "b", "first", 1), Comparison("c", "d", "tie", 1), Comparison("d", "e", "same", 2)]
    assert components(["a", "b", "c", "d", "e", "f"], rows) == [("c", "d", "e"), ("a", "b"), ("f",)]


def test_information_is_largest_for_equals_and_less_where_ties_are_likely() -> None:
    clear = fit(["a", "b", "c"], compared({"a": 3.0, "b": 0.0, "c": 0.0}, 60, seed=5))
    tied = fit(["a", "b", "c"], compared({"a": 3.0, "b": 0.0, "c": 0.0}, 60, tie=4.0, seed=5))
    assert information(clear, 1, 2) == pytest.approx(0.25, abs=0.02)
    assert information(clear, 0, 1) < 0.1
    assert information(tied, 1, 2) < 0.15


@pytest.mark.parametrize("row", [Comparison("a", "x", "first", 1), Comparison("a", "a", "tie", 1)])
def test_a_comparison_of_no_two_systems_is_refused(row: Comparison) -> None:
    with pytest.raises(ValueError, match="no two of the systems"):
        fit(["a", "b"], [row])


rows_of_four = st.lists(
    st.tuples(
        st.permutations("abcd").map(lambda order: order[:2]),
        st.sampled_from(["first", "second", "tie", "same"]),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=30,
).map(lambda rows: [Comparison(*pair, result, question) for pair, result, question in rows])  # type: ignore[arg-type]


@settings(max_examples=40)
@given(rows_of_four, st.permutations("abcd"), st.booleans())
def test_other_names_permute_the_strengths(rows: list[Comparison], names: list[str], position: bool) -> None:
    new = dict(zip("abcd", names, strict=True))
    renamed = [one._replace(first=new[one.first], second=new[one.second]) for one in rows]
    before = fit("abcd", rows, first_position=position)
    after = fit("abcd", renamed, first_position=position)
    assert {new[name]: value for name, value in elo(before).items()} == pytest.approx(elo(after), abs=1e-4)


TURNED = {"first": "second", "second": "first", "tie": "tie", "same": "same"}


@settings(max_examples=20)
@given(rows_of_four, st.randoms())
def test_which_side_a_system_stood_on_changes_nothing(rows: list[Comparison], draw: random.Random) -> None:
    turned = [
        one._replace(first=one.second, second=one.first, result=TURNED[one.result]) if draw.random() < 0.5 else one
        for one in rows
    ]
    before, after = fit("abcd", rows), fit("abcd", turned)
    assert elo(before) == pytest.approx(elo(after), abs=1e-4)
    assert before.difference(0, 1).interval == pytest.approx(after.difference(0, 1).interval, abs=1e-2)


@settings(max_examples=40)
@given(rows_of_four)
def test_as_many_times_all_results_give_the_same_strengths(rows: list[Comparison]) -> None:
    """But for the prior, which a win and a loss of every pair outweigh."""
    both = [Comparison(*pair, result, 0) for pair in permutations("abcd", 2) for result in ("first", "tie")]  # type: ignore[arg-type]
    some, many = (
        fit("abcd", [one._replace(weight=weight) for one in [*rows, *both]], intervals=False)
        for weight in (50.0, 500.0)
    )
    assert elo(some) == pytest.approx(elo(many), abs=1.0)
