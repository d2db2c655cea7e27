"""What a copy of one system does to the others.

An average win rate depends on who else takes part: copies of a weak system lift everyone who beats it. Strengths take
the opponents into account and stay where they are, as long as the judge's preferences fit one scale. Where they do not
(A over B over C over A), a copy moves strengths, too. This says by how much.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fare_cli.meta.bootstrap import Estimate
from fare_cli.rank.bradley_terry import Strengths, fit
from fare_cli.rank.davidson import ELO, Comparison, Floats


class CopyCheck(NamedTuple):
    """The largest move among the others when one system takes part twice, over all systems that could be copied.

    `moved` is by `elo` points away from where it was when `copied` came twice; `elo_interval` is what is known of its
    strength at all. `win_rate` is the largest move of an average win rate, as a share.
    """

    copied: str
    moved: str
    elo: float
    strength: Estimate
    win_rate: float

    @property
    def stable(self) -> bool:
        """Whether the move stays inside the interval of the system that moved."""
        interval = self.strength.interval
        return interval is not None and abs(self.elo) <= min(
            interval.high - self.strength.value, self.strength.value - interval.low
        )


def copy_check(strengths: Strengths, comparisons: Sequence[Comparison]) -> CopyCheck | None:
    """Copies every system in turn, with all its results, and looks at the others; None with fewer than three systems.

    The copy has other texts (the same texts weigh once, and then nothing can move); what it would do against its
    original has no say in anything. Positions of the others are relative to their own mean.
    """
    systems = strengths.systems
    if len(systems) < 3:
        return None
    first_position = strengths.first_position is not None
    moves: list[tuple[float, float, str, str]] = []
    for copied in systems:
        others = [index for index, system in enumerate(systems) if system != copied]
        name = _new_name(systems)
        more = [*comparisons, *_of_copy(comparisons, copied, name)]
        after = fit((*systems, name), more, first_position=first_position, intervals=False)
        moved = _centred(after.nats[others]) - _centred(strengths.nats[others])
        rates, rates_after = _win_rates(systems, comparisons), _win_rates((*systems, name), more)
        rate = max(abs(rates_after[systems[index]] - rates[systems[index]]) for index in others)
        most = int(np.argmax(np.abs(moved)))
        moves.append((float(moved[most]) * ELO, rate, copied, systems[others[most]]))
    elo, _, copied, moved_name = max(moves, key=lambda move: abs(move[0]))
    strength = strengths.elo(systems.index(moved_name))
    return CopyCheck(copied, moved_name, elo, strength, max(rate for _, rate, _, _ in moves))


def _of_copy(comparisons: Sequence[Comparison], copied: str, name: str) -> list[Comparison]:
    """The copy's results: those of its original."""
    return [
        one._replace(
            first=name if one.first == copied else one.first, second=name if one.second == copied else one.second
        )
        for one in comparisons
        if copied in (one.first, one.second)
    ]


def _win_rates(systems: Sequence[str], comparisons: Sequence[Comparison]) -> dict[str, float]:
    points: dict[str, float] = defaultdict(float)
    weights: dict[str, float] = defaultdict(float)
    for one in comparisons:
        won = {"first": 1.0, "second": 0.0}.get(one.result, 0.5) * one.weight
        points[one.first] += won
        points[one.second] += one.weight - won
        weights[one.first] += one.weight
        weights[one.second] += one.weight
    return {system: points[system] / weights[system] if weights[system] else 0.5 for system in systems}


def _centred(values: Floats) -> Floats:
    centred: Floats = values - values.mean()
    return centred


def _new_name(systems: Sequence[str]) -> str:
    name = "copy"
    while name in systems:
        name += "'"
    return name
