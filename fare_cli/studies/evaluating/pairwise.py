"""How good and how even-handed the judge of pairs is."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.meta.pairwise import Pair, measure_pairs, position_bias_in_nats
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.parts import Part, measures_table


def pairwise_parts(cases: Sequence[Case]) -> list[Part]:
    """Accuracy by each rule, consistency of the orders, and what the position did."""
    found = judged(cases)
    clusters = clusters_of(found)
    rules = sorted({case.rule for case in found if case.rule})
    says_tie = "agree_or_tie" in rules
    measures = measure_pairs([_pair(case) for case in found], clusters, says_tie=says_tie)
    in_both = [
        (ab.log_odds, ba.log_odds, cluster)
        for case, cluster in zip(found, clusters, strict=True)
        if (ab := case.orders.get("ab")) and (ba := case.orders.get("ba"))
    ]
    known = [(ab, ba, cluster) for ab, ba, cluster in in_both if ab is not None and ba is not None]
    nats = position_bias_in_nats(
        [ab for ab, _, _ in known], [ba for _, ba, _ in known], [cluster for _, _, cluster in known]
    )
    ties = f" Ties in gold are left out ({measures.ties_left_out}): this judge cannot say tie." * bool(
        measures.ties_left_out
    )
    return [
        measures_table(
            "pairwise",
            "which of two answers is better",
            [
                ("accuracy", measures.accuracy),
                ("accuracy, decided pairs", measures.accuracy_decided),
                ("both orders right", measures.both_orders_right),
                ("accuracy, answer A shown first", measures.accuracy_ab),
                ("accuracy, answer B shown first", measures.accuracy_ba),
                ("orders agree", measures.consistent),
                ("always the first shown", measures.always_first),
                ("always the second shown", measures.always_second),
                ("position bias", measures.position_bias),
                ("position bias in nats", nats),
                ("undecided", measures.undecided),
            ],
            f"Accuracy: the combined verdict (rule {', '.join(rules) or 'none'}) is gold; an undecided pair counts as "
            f"wrong.{ties} Both orders right: gold in either order (JudgeBench, Tan et al. 2024). Position bias: the "
            "share of judgments for the answer shown first, less 1/2; in nats: what being shown first adds to an "
            "answer's log-odds.",
        )
    ]


def _pair(case: Case) -> Pair:
    said = {order: found.label for order, found in case.orders.items()}
    gold = None if case.gold is None else str(case.gold)
    return Pair(gold, case.verdict, said.get("ab"), said.get("ba"))
