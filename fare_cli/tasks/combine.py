"""How two orders become one verdict. The rules have names, which verdicts carry as `rule`.

`agree`: both orders must mean the same answer, else there is no verdict. `agree_or_tie`: the same, but orders that
disagree are a tie. `mean`: the log-odds of both orders averaged; always a verdict. `single`: one order was asked.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from fare_cli.errors import RecordError
from fare_cli.identity import JudgingOptions
from fare_cli.tasks.votes import most_probable, normalised, probabilities


class Combined(NamedTuple):
    """A verdict over the answers of a record; `probabilities` sum to one and hold every label that could be given, None
    where they are not known."""

    verdict: str | None
    probabilities: dict[str, float] | None
    consistent: bool | None
    rule: str

    @property
    def confidence(self) -> float | None:
        return None if self.verdict is None or self.probabilities is None else self.probabilities[self.verdict]


def combine_orders(orders: list[dict[str, float]], options: JudgingOptions) -> Combined:
    """One verdict from the log-probabilities (nats) of each order asked, over "A" and "B" as the record names them.

    `agree` and `mean` give the same probabilities: log-probabilities averaged over the orders and normalised, which
    cancels a bias towards a position. With ties the orders count as two independent judges: A and B have the
    probability that both say so, the tie that they differ.
    """
    mean = probabilities(normalised({label: sum(logs[label] for logs in orders) / len(orders) for label in orders[0]}))
    said = [most_probable(logs) for logs in orders]
    if len(orders) == 1:
        return Combined(said[0], mean, None, "single")
    consistent = said[0] == said[1]
    if options.combine == "mean":
        return Combined(most_probable(mean), mean, consistent, "mean")
    if not options.tie:
        return Combined(said[0] if consistent else None, mean, consistent, "agree")
    both = {label: math.exp(sum(logs[label] for logs in orders)) for label in orders[0]}
    with_tie = {**both, "tie": max(0.0, 1.0 - sum(both.values()))}
    return Combined(said[0] if consistent else "tie", with_tie, consistent, "agree_or_tie")


def combine_labels(said: list[str], options: JudgingOptions) -> Combined:
    """The same from labels alone, over "A" and "B" as the record names them. Raises RecordError for orders that differ
    where `mean` has nothing to weigh them by."""
    if len(said) == 1:
        return Combined(said[0], None, None, "single")
    consistent = said[0] == said[1]
    if options.combine == "mean":
        if not consistent:
            raise RecordError(
                "no_probabilities", "the orders differ, and --combine mean needs probabilities, which the server hides"
            )
        return Combined(said[0], None, True, "mean")
    if not options.tie:
        return Combined(said[0] if consistent else None, None, consistent, "agree")
    return Combined(said[0] if consistent else "tie", None, consistent, "agree_or_tie")
