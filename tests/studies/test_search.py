"""The search on a simulated timer: it finds what is planted, and what is only noise changes nothing."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.studies.search import FEWEST_ROUNDS, Budget, Coordinate, Found, TrialFailed, confirm, contest, is_better
from fare_cli.studies.search import search as search_only

Point = tuple[int, ...]


@dataclass
class Machine:
    """Takes simulated time for every point: more the farther it is from the optimum, and noisy."""

    optimum: Point
    step: float
    noise: float
    seed: int = 0
    drift: float = 0.0
    now: float = 0.0
    failing: set[Point] = field(default_factory=set)
    trials: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def measure(self, point: Point) -> float:
        self.trials += 1
        if point in self.failing:
            raise TrialFailed("it crashed (SIGILL)")
        distance = sum(abs(here - best) for here, best in zip(point, self.optimum, strict=True))
        seconds = math.exp(distance * self.step + self._random.uniform(-self.noise, self.noise))
        seconds *= math.exp(self.drift * self.now)
        self.now += seconds
        return seconds

    def budget(self, seconds: float = math.inf) -> Budget:
        return Budget(lambda: self.now, seconds, 1.0)


def neighbours(axis: int) -> Coordinate[Point]:
    def challengers(point: Point) -> Iterable[Point]:
        for change in (-1, 1):
            yield (*point[:axis], point[axis] + change, *point[axis + 1 :])

    return Coordinate(f"axis {axis}", challengers)


PLANE = [neighbours(0), neighbours(1)]


def search(start: Point, machine: Machine, budget: Budget) -> Found[Point]:
    """Searches and confirms, as tuning does."""
    found = search_only(start, PLANE, machine.measure, budget, reserve=2 * FEWEST_ROUNDS)
    speedup = confirm(start, found, machine.measure, budget)
    assert (speedup > 1) == (found.setting != start)
    return found


@given(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), st.integers(0, 2**32), st.sampled_from([0.0, 0.01, 0.03]))
@settings(deadline=None)
def test_the_planted_optimum_is_found_through_noise(optimum: Point, seed: int, noise: float) -> None:
    machine = Machine(optimum, step=0.25, noise=noise, seed=seed)
    assert search((0, 0), machine, machine.budget()).setting == optimum


@given(st.integers(0, 2**32), st.sampled_from([0.02, -0.02, 0.05, -0.05]))
@settings(deadline=None)
def test_a_machine_that_drifts_favours_nobody(seed: int, drift: float) -> None:
    machine = Machine((0, 0), step=0.0, noise=0.0, seed=seed, drift=drift)
    assert search((0, 0), machine, machine.budget()).setting == (0, 0)
    machine = Machine((0, 0), step=0.0, noise=0.0, seed=seed, drift=drift)
    assert contest("axis 0", (0, 0), [(1, 0), (-1, 0)], machine.measure, machine.budget()).winner == (0, 0)
    machine = Machine((2, 0), step=0.25, noise=0.0, seed=seed, drift=drift / 20)
    assert search((0, 0), machine, machine.budget()).setting == (2, 0)


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_noise_alone_hardly_ever_changes_a_setting(noise: float) -> None:
    changed = 0
    for seed in range(300):
        machine = Machine((0, 0), step=0.0, noise=noise, seed=seed)
        changed += search((0, 0), machine, machine.budget()).setting != (0, 0)
    assert changed <= 3


def test_a_gain_smaller_than_the_noise_is_not_taken() -> None:
    taken = 0
    for seed in range(100):
        machine = Machine((1, 0), step=0.05, noise=0.3, seed=seed)
        taken += search((0, 0), machine, machine.budget()).setting != (0, 0)
    assert taken <= 2


@given(st.integers(0, 2**32), st.floats(0, 120))
@settings(deadline=None)
def test_the_budget_holds_and_what_was_not_tried_is_named(seed: int, seconds: float) -> None:
    machine = Machine((2, 2), step=0.2, noise=0.02, seed=seed)
    slowest = machine.measure((-1, 0)) * 1.1
    machine.now = 0.0
    found = search((0, 0), machine, Budget(lambda: machine.now, seconds, slowest))
    assert machine.now <= seconds + 6 * slowest
    # Whatever was found had the time to be confirmed.
    assert "all together" not in found.untried
    if found.setting != (2, 2):
        assert found.untried
    if found.setting != (0, 0):
        last = found.contests[-1]
        assert (last.coordinate, last.winner, last.entries[0].setting) == ("all together", found.setting, (0, 0))


def test_a_setting_that_crashes_is_left_out_with_its_reason() -> None:
    machine = Machine((3, 0), step=0.25, noise=0.01, failing={(1, 0), (0, 1)})
    found = search((0, 0), machine, machine.budget())
    assert found.setting == (0, 0)
    entries = itertools.chain.from_iterable(held.entries for held in found.contests)
    assert {e.setting: e.reason for e in entries if e.outcome == "failed"} == {
        (1, 0): "it crashed (SIGILL)",
        (0, 1): "it crashed (SIGILL)",
    }


def test_the_setting_in_force_must_work() -> None:
    machine = Machine((0, 0), step=0.1, noise=0.0, failing={(0, 0)})
    with pytest.raises(TrialFailed):
        contest("axis 0", (0, 0), [(1, 0)], machine.measure, machine.budget())


def test_nothing_is_tried_twice_against_the_same_setting() -> None:
    machine = Machine((0, 0), step=0.3, noise=0.0)
    found = search((0, 0), machine, machine.budget())
    assert [held.coordinate for held in found.contests] == ["axis 0", "axis 1"]
    # A round that shows all challengers far behind is enough.
    assert machine.trials == 6


@given(st.lists(st.floats(0.3, 3), min_size=3, max_size=5))
def test_better_means_in_every_round_and_beyond_the_spread(ratios: list[float]) -> None:
    if is_better(ratios):
        assert max(ratios) < 1
        assert sorted(ratios)[len(ratios) // 2] < 0.97 + 1e-9
        assert not is_better([1 / ratio for ratio in ratios])
