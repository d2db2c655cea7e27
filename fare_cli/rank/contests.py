"""Pairs of answers that can be judged, and what verdicts on them say about the systems that gave the answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fare_cli.rank.davidson import Comparison
from fare_cli.records import PairwiseRecord
from fare_cli.verdicts import Verdict

#: The systems that gave answer A and answer B.
Contest = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two different answers to one question.

    One judgment decides the contests of all systems that gave these very texts. They share the weight of one
    comparison, so that a copied system brings its opponents no second win. `record` makes what the judge is shown.
    """

    cluster: str
    contests: tuple[Contest, ...]
    record: Callable[[], PairwiseRecord]
    weight: float = 1.0


def comparisons_of(pair: Pair, verdict: Verdict) -> list[Comparison]:
    """What a verdict says of the systems; nothing where it is invalid.

    No verdict, because the two orders disagree, is a tie. Where one order was asked, `first` is who was shown first.
    """
    if verdict.status != "ok":
        return []
    orders = {one.order for one in verdict.judgments}
    weight = pair.weight / len(pair.contests)
    shown = "ba" if orders == {"ba"} else "ab"
    return [_comparison(contest, verdict.verdict, shown, pair.cluster, weight) for contest in pair.contests]


def by_position(pair: Pair, verdict: Verdict) -> list[Comparison]:
    """The judgments of a verdict one by one, `first` who was shown first; together they weigh as one comparison."""
    if verdict.status != "ok":
        return []
    weight = pair.weight / len(pair.contests) / max(len(verdict.judgments), 1)
    return [
        _comparison(contest, one.means, one.order or "ab", pair.cluster, weight)
        for contest in pair.contests
        for one in verdict.judgments
    ]


def one_order_only(verdicts: Iterable[Verdict]) -> bool:
    """Whether any pair was asked in one order alone, so that position and strength have to be told apart."""
    return any(len({one.order for one in verdict.judgments}) == 1 for verdict in verdicts if verdict.status == "ok")


def same_answers(cluster: str, texts: Iterable[Sequence[str]]) -> Iterator[Comparison]:
    """Comparisons of systems that gave the same text; `texts` has the systems of each text of a question.

    Each of k systems is compared with the k - 1 others and has a weight of 1 in all.
    """
    for systems in texts:
        named = sorted(set(systems))
        for first, second in itertools.combinations(named, 2):
            yield Comparison(first, second, "same", cluster, 1 / (len(named) - 1))


def _comparison(contest: Contest, label: str | None, shown: str, cluster: str, weight: float) -> Comparison:
    first, second = contest if shown == "ab" else (contest[1], contest[0])
    if label not in ("A", "B"):
        return Comparison(first, second, "tie", cluster, weight)
    won = contest[0] if label == "A" else contest[1]
    return Comparison(first, second, "first" if won == first else "second", cluster, weight)
