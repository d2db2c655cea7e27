"""A copy of a system moves average win rates, and strengths only where the judge fits no scale."""

from __future__ import annotations

import itertools

from fare_cli.rank.bradley_terry import fit
from fare_cli.rank.clones import copy_check
from fare_cli.rank.davidson import Comparison
from tests.rank.making import compared

TRUE = {"a": 1.2, "b": 0.4, "c": 0.0, "d": -1.0}


def test_strengths_stay_where_average_win_rates_move() -> None:
    rows = compared(TRUE, 100, tie=0.5, seed=1)
    found = copy_check(fit(list(TRUE), rows), rows)
    assert found is not None
    assert found.stable
    assert abs(found.elo) < 20
    # Whoever beats d three times in four does so twice now.
    assert found.win_rate > 0.03


def test_a_circle_of_preferences_is_said_to_be_unstable() -> None:
    """a over b over c over a, always: three equals, until one of them takes part twice."""
    rows = [
        Comparison(first, second, "first", question)
        for question in range(100)
        for first, second in (("a", "b"), ("b", "c"), ("c", "a"))
    ]
    strengths = fit("abc", rows)
    found = copy_check(strengths, rows)
    assert found is not None
    assert not found.stable
    assert abs(found.elo) > 50


def test_of_two_systems_there_are_no_others() -> None:
    rows = compared({"a": 1.0, "b": 0.0}, 10)
    assert copy_check(fit("ab", rows), rows) is None


def test_a_system_of_the_name_copy_is_no_trouble() -> None:
    rows = [
        one._replace(first=f"copy{one.first}"[:5].replace("copya", "copy"), second=one.second.replace("a", "copy"))
        for one in compared({"a": 1.0, "b": 0.0, "c": -1.0}, 20)
    ]
    names = list(dict.fromkeys(itertools.chain.from_iterable((one.first, one.second) for one in rows)))
    assert "copy" in names
    assert copy_check(fit(names, rows), rows) is not None
