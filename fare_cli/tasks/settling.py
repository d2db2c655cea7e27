"""When the majority of votes is settled: a sequential test, so that no more votes are asked than it takes.

What is settled is the majority of the `most` votes that a branch could get. Votes on one prompt differ in their seeds
alone, so those that were asked are a random sample without replacement of all that there could be. For a label with
`said` of the first `votes` votes, the test is the prior-posterior-ratio martingale of Waudby-Smith & Ramdas (2020,
"Confidence sequences for sampling without replacement", arXiv 2006.04347): with a uniform prior, the number `total` of
all votes for the label has the ratio

    C(most, votes) / ((votes + 1) C(total, said) C(most - total, votes - said))

which for the true `total` is 1 on average at any time, and so reaches x with a probability of 1 / x at most, however
often one looks (Ville's inequality). A label is settled once every `total` that is no majority has the ratio that the
allowed error asks for; with k labels the error is divided by k - 1, the labels that can be wrong. Or once no other
label can catch up, where nothing can go wrong any more.

With 9 votes at most and an error of 5%, two labels: 4 votes that agree are enough, or 6 with one that does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb


def votes_owed(counts: Sequence[int], *, most: int, error: float) -> int:
    """How many more votes could settle the majority at the least; 0 where it is settled, or all `most` are in.

    `counts` are the votes of every label. With probability `error` at most, a label is called settled that is not the
    most frequent of `most` votes.
    """
    votes = sum(counts)
    leader = max(range(len(counts)), key=counts.__getitem__)
    for more in range(most - votes):
        if _is_settled([count + more * (label == leader) for label, count in enumerate(counts)], most, error):
            return more
    return most - votes


def _is_settled(counts: Sequence[int], most: int, error: float) -> bool:
    *others, said = sorted(counts)
    votes = sum(counts)
    if said - max(others, default=0) > most - votes:
        return True
    wanted = max(len(others), 1) / error
    return all(_ratio(total, said, votes, most) >= wanted for total in range(said, most // 2 + 1))


def _ratio(total: int, said: int, votes: int, most: int) -> float:
    """How much less is believed of `total` than before the first vote; infinite where the votes rule it out."""
    ways = comb(total, said) * comb(most - total, votes - said)
    return comb(most, votes) / ((votes + 1) * ways) if ways else float("inf")
