"""Finds the fastest setting by repeated measurement, one coordinate at a time, and does not chase noise.

Contenders are measured in turn, forwards and then backwards (A B C, C B A, ...), so that a machine that becomes slower
or faster meanwhile favours none of them. What counts is each round's ratio to the setting in force: a challenger wins
if it is faster in every round, by more than its ratios differ among themselves.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

S = TypeVar("S", bound=Hashable)

#: Rounds of a contest that is decided; a challenger can be dropped before.
ROUNDS = 5

#: Rounds below which nothing is decided in a challenger's favour, when time is over.
FEWEST_ROUNDS = 3

#: A gain below this is not worth a setting of its own.
LEAST_GAIN = 0.03

#: A challenger this much slower in its first round is dropped at once.
HOPELESS = 1.2

Outcome = Literal["in force", "better", "not better", "failed", "undecided"]


class TrialFailed(Exception):
    """A setting cannot be measured: it crashed, or does not fit. The message says why."""


@dataclass(slots=True)
class Entry(Generic[S]):
    """What was measured of one setting in a contest: seconds for the same work, and ratios to the one in force."""

    setting: S
    seconds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    outcome: Outcome = "undecided"
    reason: str | None = None

    @property
    def ratio(self) -> float:
        """Median time as a share of that of the setting in force: 0.5 is twice as fast."""
        return statistics.median(self.ratios) if self.ratios else math.nan

    @property
    def spread(self) -> float:
        """How far apart the ratios lie: the largest over the smallest, less one."""
        return max(self.ratios) / min(self.ratios) - 1 if self.ratios else math.nan


class Contest(NamedTuple, Generic[S]):
    """The setting in force, its challengers, and who is in force afterwards."""

    coordinate: str
    entries: list[Entry[S]]
    winner: S


class Coordinate(NamedTuple, Generic[S]):
    """One thing that can be set: `challengers` are the settings next to a given one."""

    name: str
    challengers: Callable[[S], Iterable[S]]


@dataclass(slots=True)
class Budget:
    """Time for trials. `now` is in seconds; `trial_s` is what a trial takes, the slowest round's mean so far."""

    now: Callable[[], float]
    deadline: float
    trial_s: float

    def allows(self, trials: int) -> bool:
        return self.now() + trials * self.trial_s <= self.deadline

    def note(self, begun: float, trials: int) -> None:
        """Learns from a round of `trials` that began at `begun`."""
        self.trial_s = max(self.trial_s, (self.now() - begun) / trials)


@dataclass(slots=True)
class Found(Generic[S]):
    """The setting to use, every contest on the way, and the coordinates that time was too short for."""

    setting: S
    contests: list[Contest[S]] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)


def contest(
    coordinate: str,
    in_force: S,
    challengers: Sequence[S],
    measure: Callable[[S], float],
    budget: Budget,
    *,
    reserve: int = 0,
) -> Contest[S]:
    """Measures all in turn and names the winner. `measure` gives seconds, or raises TrialFailed.

    No round is begun for which the budget has no time, with `reserve` trials kept for later. Raises TrialFailed only
    where the setting in force fails.
    """
    first = Entry(in_force, outcome="in force")
    entries = [first, *(Entry(setting) for setting in challengers)]
    alive = entries[1:]
    for turn in range(ROUNDS):
        runners = [first, *alive]
        if not alive or not budget.allows(len(runners) + reserve):
            break
        begun = budget.now()
        for entry in runners if turn % 2 == 0 else reversed(runners):
            try:
                entry.seconds.append(measure(entry.setting))
            except TrialFailed as failure:
                if entry is first:
                    raise
                entry.outcome, entry.reason = "failed", str(failure)
        budget.note(begun, len(runners))
        alive = [entry for entry in alive if entry.outcome != "failed" and _goes_on(entry, first)]
    for entry in alive:
        if len(entry.ratios) >= FEWEST_ROUNDS:
            entry.outcome = "better" if is_better(entry.ratios) else "not better"
    better = [entry for entry in alive if entry.outcome == "better"]
    winner = min(better, key=lambda entry: entry.ratio).setting if better else in_force
    return Contest(coordinate, entries, winner)


def _goes_on(entry: Entry[S], first: Entry[S]) -> bool:
    """Notes the last round's ratio. False for a challenger that has no chance left."""
    entry.ratios.append(entry.seconds[-1] / first.seconds[len(entry.ratios)])
    hopeless = len(entry.ratios) == 1 and entry.ratios[0] > HOPELESS
    if hopeless or (len(entry.ratios) >= 2 and entry.ratio > 1 - LEAST_GAIN):
        entry.outcome = "not better"
        return False
    return True


def is_better(ratios: Sequence[float]) -> bool:
    """Whether these ratios to the setting in force show a faster one: in every round, by more than the noise."""
    logarithms = [math.log(ratio) for ratio in ratios]
    noise = max(logarithms) - min(logarithms)
    return max(logarithms) < 0 and -statistics.median(logarithms) > max(noise, -math.log(1 - LEAST_GAIN))


def search(
    start: S,
    coordinates: Sequence[Coordinate[S]],
    measure: Callable[[S], float],
    budget: Budget,
    *,
    reserve: int = 0,
) -> Found[S]:
    """Moves along each coordinate while that helps, until a pass over all changes nothing or time is over.

    No setting is tried twice. Time for `reserve` trials is left. `confirm` should follow: picking winners flatters
    them.
    """
    found = Found(start)
    tried = {start}
    changed = True
    while changed:
        changed = False
        for coordinate in coordinates:
            while challengers := [s for s in dict.fromkeys(coordinate.challengers(found.setting)) if s not in tried]:
                held = contest(coordinate.name, found.setting, challengers, measure, budget, reserve=reserve)
                found.contests.append(held)
                tried.update(entry.setting for entry in held.entries if entry.seconds or entry.reason)
                if coordinate.name in found.untried:
                    found.untried.remove(coordinate.name)
                if any(entry.outcome == "undecided" for entry in held.entries):
                    found.untried.append(coordinate.name)
                if held.winner == found.setting:
                    break
                found.setting, changed = held.winner, True
    return found


def confirm(start: S, found: Found[S], measure: Callable[[S], float], budget: Budget) -> float:
    """Measures the setting found against the start anew and takes it back if it is not faster. How many times as fast
    as the start what remains is."""
    if found.setting == start:
        return 1.0
    held = contest("all together", start, [found.setting], measure, budget)
    found.contests.append(held)
    found.setting = held.winner
    if held.entries[1].outcome == "undecided":
        found.untried.append(held.coordinate)
    return 1 / held.entries[1].ratio if held.winner != start else 1.0
