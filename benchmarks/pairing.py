"""How many comparisons a ranking needs: adaptive rounds against pairs in random order, and what a copied system does.

`python -m benchmarks.pairing [ALPACA_EVAL_FOLDER]` prints tables. Simulated systems have known strengths and a judge
with known faults. Real ones are models of AlpacaEval, whose annotation files (alpaca_eval_gpt4_MODEL.json.gz) hold
GPT-4's preference between each model's answers and those of one common baseline.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import random
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from scipy.stats import kendalltau

from fare_cli.rank.bradley_terry import Strengths, fit
from fare_cli.rank.clones import copy_check
from fare_cli.rank.contests import Pair, comparisons_of
from fare_cli.rank.pairing import Asked, ask_in_rounds
from fare_cli.verdicts import Verdict

_SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
_SEEDS = 12
_DRAWS = 5


class Table(NamedTuple):
    """All pairs of a set with the verdict on each, and the true order where it is known."""

    systems: list[str]
    pairs: list[Pair]
    verdicts: dict[int, Verdict]
    true: list[str] | None

    def ask(self, pairs: Sequence[Pair]) -> list[Verdict]:
        return [self.verdicts[id(pair)] for pair in pairs]


class Agreement(NamedTuple):
    """Kendall's tau to the order of all pairs and to the true one, and the share of the orders that all pairs tell
    apart at 95% which are the same."""

    tau: float
    true: float | None
    sure: float


def simulated(systems: int, questions: int, seed: int, accuracy: float = 0.9) -> Table:
    """Strengths with a standard deviation of 200 Elo, qualities of answers with Gumbel noise, and a judge that sees the
    better one with `accuracy` in each order, and gives no verdict where its orders differ."""
    draw = random.Random(seed)
    nats = {f"s{number}": draw.gauss(0.0, 1.15) for number in range(systems)}
    names, pairs, verdicts = list(nats), [], {}
    for question in range(questions):
        quality = {name: value - math.log(-math.log(draw.random())) for name, value in nats.items()}
        for first in range(systems):
            for second in range(first):
                pair = _pair(f"q{question}", names[first], names[second])
                better = "A" if quality[names[first]] > quality[names[second]] else "B"
                said = {better if draw.random() < accuracy else {"A": "B", "B": "A"}[better] for _ in range(2)}
                verdicts[id(pair)] = _verdict(said.pop() if len(said) == 1 else None)
                pairs.append(pair)
    return Table(names, pairs, verdicts, sorted(names, key=lambda name: -nats[name]))


def alpaca_eval(folder: Path) -> Table:
    """Every model against the baseline on every instruction; failed annotations are left out."""
    names, pairs, verdicts = [], [], {}
    for file in sorted(folder.glob("alpaca_eval_gpt4_*.json.gz")):
        rows = json.loads(gzip.decompress(file.read_bytes()))
        names.append(rows[0]["generator_2"])
        for row in rows:
            if row["preference"] is not None:
                pair = _pair(row["instruction"], row["generator_1"], row["generator_2"])
                verdicts[id(pair)] = _verdict({1: "A", 2: "B"}.get(row["preference"], "tie"))
                pairs.append(pair)
    return Table([*names, rows[0]["generator_1"]], pairs, verdicts, None)


def _pair(cluster: str, first: str, second: str) -> Pair:
    def never() -> None:
        raise AssertionError("verdicts are there already")

    return Pair(cluster, ((first, second),), never)  # type: ignore[arg-type]


def _verdict(label: str | None) -> Verdict:
    return Verdict(id="", task="pairwise", status="ok", verdict=label)


def ranked(table: Table, pairs: Sequence[Pair], *, intervals: bool = False) -> Strengths:
    rows = [one for pair in pairs for one in comparisons_of(pair, table.verdicts[id(pair)])]
    return fit(table.systems, rows, intervals=intervals)


def order(strengths: Strengths) -> list[str]:
    return [strengths.systems[index] for index in strengths.order]


def tau(one: Sequence[str], other: Sequence[str]) -> float:
    return float(kendalltau([one.index(name) for name in one], [other.index(name) for name in one]).statistic)


def report(name: str, tables: Sequence[Table], seeds: Sequence[int]) -> None:
    """How good the order from a share of the pairs is, adaptive and at random, and where the adaptive one stops by
    itself. Means over tables and seeds."""
    runs = [
        (table, seed, ask_in_rounds(table.systems, table.pairs, table.ask, seed=seed))
        for table in tables
        for seed in seeds
    ]
    wholes = {id(table): ranked(table, table.pairs, intervals=True) for table in tables}
    print(f"\n### {name}\n\n| pairs | tau to all pairs | tau to the truth | sure orders kept |\n|---|---|---|---|")
    for share in (*_SHARES, 1.0):
        found: dict[str, list[Agreement]] = defaultdict(list)
        for table, seed, asked in runs:
            count, whole = round(share * len(table.pairs)), wholes[id(table)]
            found["adaptive"].append(agreement(table, asked.pairs[:count], whole))
            draws = [random.Random(f"{seed}/{draw}").sample(table.pairs, count) for draw in range(_DRAWS)]
            found["random"] += [agreement(table, pairs, whole) for pairs in draws]
        cells = []
        for values in zip(
            *(map(_mean, zip(*found[kind], strict=True)) for kind in ("adaptive", "random")), strict=True
        ):
            cells.append(" / ".join("-" if value is None else f"{value:.3f}" for value in values))
        print(f"| {share:.0%} | {' | '.join(cells)} |")
    print("\nEach cell: adaptive / random.")
    _print_stops(runs, {key: order(whole) for key, whole in wholes.items()})


def agreement(table: Table, pairs: Sequence[Pair], whole: Strengths) -> Agreement:
    """How far the order from some pairs agrees with that of all, and with the truth."""
    found = order(ranked(table, pairs))
    sure = [
        found.index(whole.systems[one]) < found.index(whole.systems[other])
        for one, other in itertools.combinations(whole.order, 2)
        if whole.surely_above(one, other)
    ]
    true = None if table.true is None else tau(found, table.true)
    return Agreement(tau(found, order(whole)), true, sum(sure) / len(sure))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def _print_stops(runs: Sequence[tuple[Table, int, Asked]], wholes: Mapping[int, Sequence[str]]) -> None:
    shares, taus, separated, wrong = [], [], 0, 0
    for table, _, asked in runs:
        truth = table.true or wholes[id(table)]
        found = ranked(table, asked.pairs, intervals=True)
        shares.append(len(asked.pairs) / len(table.pairs))
        taus.append(tau(order(found), wholes[id(table)]))
        sure = [pair for pair in itertools.pairwise(found.order) if found.surely_above(*pair)]
        separated += len(sure)
        wrong += sum(truth.index(found.systems[one]) > truth.index(found.systems[other]) for one, other in sure)
    reasons = Counter(asked.reason for _, _, asked in runs)
    print(
        f"\nStops by itself after {statistics.mean(shares):.0%} of the pairs ({min(shares):.0%} to {max(shares):.0%}; "
        f"{dict(reasons)}), tau to all pairs {statistics.mean(taus):.3f}. Of {separated} neighbours called separate "
        f"{wrong} stand the wrong way round."
    )


def copies(name: str, table: Table) -> None:
    """What a copy of each system would do to the others."""
    rows = [one for pair in table.pairs for one in comparisons_of(pair, table.verdicts[id(pair)])]
    found = copy_check(fit(table.systems, rows), rows)
    if found is not None:
        print(
            f"\n{name}: a copy of {found.copied} moves {found.moved} most, by {found.elo:+.1f} Elo "
            f"({'inside' if found.stable else 'beyond'} its interval); average win rates move by up to "
            f"{found.win_rate:.1%}."
        )


if __name__ == "__main__":
    made = [simulated(8, 100, seed) for seed in range(_SEEDS)]
    report("8 simulated systems, 100 questions, judge right in 90% of each order", made, [0])
    report("20 simulated systems, 30 questions", [simulated(20, 30, seed) for seed in range(3)], [0])
    copies("Simulated", made[0])
    if len(sys.argv) > 1:
        real = alpaca_eval(Path(sys.argv[1]))
        report(f"AlpacaEval: {len(real.systems) - 1} models against one baseline", [real], range(4))
        copies("AlpacaEval", real)
