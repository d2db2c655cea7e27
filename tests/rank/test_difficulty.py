"""Abilities and difficulties that answers were drawn from are found again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fare_cli.rank.davidson import ELO
from fare_cli.rank.difficulty import Answered, fit_difficulties


def drawn(abilities: dict[str, float], items: int, spread: float, seed: int) -> tuple[list[Answered], list[float]]:
    """Answers of every system to every item, and the items' difficulties."""
    draw = np.random.default_rng(seed)
    hard = [float(value) for value in draw.normal(0, spread, items)]
    answers = [
        Answered(name, item, bool(draw.random() < 1 / (1 + math.exp(difficulty - ability))))
        for name, ability in abilities.items()
        for item, difficulty in enumerate(hard)
    ]
    return answers, hard


def test_both_are_recovered_inside_their_intervals() -> None:
    draw = np.random.default_rng(0)
    correlations, abilities_held, items_held, spreads = [], [], [], []
    for seed in range(12):
        true = {f"s{index}": float(value) for index, value in enumerate(draw.normal(0, 1, 8))}
        answers, hard = drawn(true, 200, 1.5, seed)
        found = fit_difficulties(answers)
        assert found is not None
        middle = sum(true.values()) / len(true)
        for name, value in true.items():
            interval = found.abilities[name].interval
            assert interval is not None
            abilities_held.append(interval.low <= 1000 + ELO * (value - middle) <= interval.high)
        for item, value in enumerate(hard):
            interval = found.items[item].interval
            assert interval is not None
            items_held.append(interval.low <= 1000 + ELO * (value - middle) <= interval.high)
        correlations.append(np.corrcoef([found.items[item].value for item in range(200)], hard)[0, 1])
        spreads.append(found.spread / ELO)
    assert min(correlations) > 0.8
    assert np.mean(abilities_held) >= 0.88
    assert 0.92 <= np.mean(items_held) <= 0.98
    assert np.mean(spreads) == pytest.approx(1.5, abs=0.1)


def test_equally_hard_items_are_said_to_be_so() -> None:
    found = fit_difficulties(drawn({"a": 1.0, "b": 0.0, "c": -1.0, "d": 0.5}, 400, 0.0, seed=1)[0])
    assert found is not None
    assert found.spread < 0.5 * ELO


def test_who_is_always_right_and_what_nobody_knows_stay_finite() -> None:
    answers = [Answered(system, item, system == "best") for system in ("best", "worst") for item in range(30)]
    answers += [Answered(system, "riddle", False) for system in ("best", "worst")]
    found = fit_difficulties([one for one in answers if not (one.system == "best" and one.item == "riddle")])
    assert found is not None
    assert 1000 < found.abilities["best"].value < 3500
    assert found.items["riddle"].value >= found.items[0].value


def test_a_system_that_answered_the_hard_half_only_is_not_taken_for_a_weak_one() -> None:
    answers, hard = drawn({"a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 0.0}, 600, 1.5, seed=2)
    found = fit_difficulties([one for one in answers if one.system != "a" or hard[one.item] > 0])  # type: ignore[index]
    assert found is not None
    interval = found.abilities["a"].interval
    assert interval is not None
    # By the share of right answers alone it would be 200 Elo behind.
    assert interval.high > 950


def test_one_system_or_one_item_says_nothing() -> None:
    assert fit_difficulties([]) is None
    assert fit_difficulties([Answered("a", item, True) for item in range(5)]) is None
    assert fit_difficulties([Answered(system, 1, True) for system in "ab"]) is None
