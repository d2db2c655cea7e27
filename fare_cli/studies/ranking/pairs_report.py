"""Systems ranked by comparisons of two."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from fare_cli.rank.bradley_terry import Strengths, components, fit
from fare_cli.rank.clones import copy_check
from fare_cli.rank.contests import by_position
from fare_cli.rank.davidson import Comparison
from fare_cli.rank.places import places
from fare_cli.report.model import Plot, Report, Table, Value
from fare_cli.report.words import estimate_in_words
from fare_cli.studies.judging import at_chance
from fare_cli.studies.ranking.asking import Compared
from fare_cli.studies.ranking.parts import PLACES_NOTE, Facts, standing_plot, table, title

_REASONS = {
    "separated": "all neighbours are told apart, at 95% over all rounds",
    "hopeless": "the pairs that are left have a chance of less than 5% to tell any more neighbours apart",
    "budget": "--max-pairs was reached",
    "all asked": "all pairs are asked",
}


def pairs_report(compared: Compared, facts: Facts) -> Report:
    """Strengths by Bradley-Terry, of each connected part of the systems by itself."""
    comparisons = [*compared.known, *compared.asked.comparisons()]
    parts = components(compared.systems, comparisons)
    shown: list[Table | Plot] = []
    warnings: list[str] = []
    found: dict[str, Any] = {}
    if len(parts) > 1:
        warnings.append(
            f"{len(parts)} groups of systems were never compared with each other, and nothing is said across them: "
            + "; ".join(", ".join(part) for part in parts)
        )
    for number, part in enumerate(parts, start=1):
        if len(part) < 2:
            continue
        inside = [one for one in comparisons if one.first in part]
        strengths = fit(part, inside, first_position=compared.asked.first_position)
        suffix = f"_{number}" if len(parts) > 1 else ""
        shown += _strength_parts(strengths, inside, suffix)
        found[f"stable under copies{suffix.replace('_', ' ')}"] = _copies(strengths, inside)
    verdicts = compared.asked.verdicts
    chance = at_chance(verdicts)
    if chance is not None:
        warnings.append(f"the judge was not shown to do better than chance: {chance}")
    return Report(
        title=title(f"Ranking of {len(compared.systems)} systems by {facts.judge}", chance),
        facts={**facts.facts, **_asked_facts(compared), **found},
        parts=tuple(shown),
        warnings=tuple(warnings),
    )


def _asked_facts(compared: Compared) -> dict[str, Any]:
    asked = compared.asked
    invalid = sum(one.status != "ok" for one in asked.verdicts)
    undecided = sum(one.status == "ok" and one.verdict not in ("A", "B") for one in asked.verdicts)
    rounds = f" in {asked.rounds} rounds" if asked.rounds else ""
    return {
        "pairs": f"{len(asked.pairs)} of {compared.pairs} asked{rounds}; {_REASONS[asked.reason]}",
        "ties": f"{undecided} pairs are ties or undecided, {invalid} could not be judged",
        "same answers": f"{len(compared.known)} comparisons of equal texts, which count half a win each"
        if compared.known
        else None,
        "first position": _position(compared),
    }


def _position(compared: Compared) -> str | None:
    """By how much being shown first helps, from single judgments of both orders, or of the one that was asked."""
    asked = compared.asked
    rows = [
        one for pair, verdict in zip(asked.pairs, asked.verdicts, strict=True) for one in by_position(pair, verdict)
    ]
    if not rows:
        return None
    found = fit(compared.systems, rows, first_position=True).first_position
    return None if found is None else f"{estimate_in_words(found)} Elo for the answer that is shown first"


def _copies(strengths: Strengths, comparisons: Sequence[Comparison]) -> str | None:
    found = copy_check(strengths, comparisons)
    if found is None:
        return None
    verdict = "inside" if found.stable else "beyond"
    return (
        f"a copy of {found.copied} moves {found.moved} most, by {found.elo:+.0f} Elo, {verdict} its interval "
        f"{estimate_in_words(found.strength)}; average win rates would move by up to {found.win_rate:.1%}"
    )


def _strength_parts(strengths: Strengths, comparisons: Sequence[Comparison], suffix: str) -> Iterator[Table | Plot]:
    records: dict[str, Counter[str]] = defaultdict(Counter)
    for one in comparisons:
        results = {"first": ("won", "lost"), "second": ("lost", "won")}.get(one.result, ("tied", "tied"))
        records[one.first][results[0]] += 1
        records[one.second][results[1]] += 1
    order, standing = strengths.order, places(len(strengths.systems), strengths.surely_above)
    rows: list[tuple[Value, ...]] = [
        (
            str(standing[index]),
            strengths.systems[index],
            strengths.elo(index),
            *(records[strengths.systems[index]][result] for result in ("won", "lost", "tied")),
            records[strengths.systems[index]].total(),
        )
        for index in order
    ]
    columns = [("place", "place"), ("system", "system"), ("elo", "Elo (95%)"), ("won", "won"), ("lost", "lost"),
               ("tied", "tied"), ("comparisons", "comparisons")]  # fmt: skip
    yield table(
        f"ranking{suffix}", "Systems by strength", columns, rows,
        "Bradley-Terry with Davidson's ties; the mean is 1,000, and 400 points are odds of 10 to 1. Intervals by "
        f"resampling questions, never narrower than the model's. {PLACES_NOTE}",
    )  # fmt: skip
    neighbours = [
        (
            strengths.systems[one],
            strengths.systems[other],
            strengths.difference(one, other),
            strengths.above(one, other),
        )
        for one, other in itertools.pairwise(order)
    ]
    heads = [("above", "above"), ("below", "below"), ("difference", "Elo apart (95%)"), ("probability", "probability")]
    yield table(f"neighbours{suffix}", "Neighbours", heads, neighbours, "Probability that the first is the stronger.")
    yield standing_plot(
        f"strengths{suffix}",
        "Strengths",
        "Elo",
        [strengths.systems[i] for i in order],
        [strengths.elo(i) for i in order],
    )
