"""Whom a judge is in favour of: where an attack is put, and what it wins."""

from __future__ import annotations

from fare_cli.records import Record, ScoreRecord
from fare_cli.studies.audit.perturbation import Placement, Side
from fare_cli.verdicts import Verdict


def spot_of(placement: Placement, record: Record, verdict: Verdict) -> Side | None:
    """The answer of a pair that is changed ("B" for other tasks); None where the placement leaves the record out.

    `verdict` is the one on the record as it is, and not invalid. See `perturbation.RULES`.
    """
    if record.task == "pairwise":
        shares = verdict.shares()
        preferred: Side = "A" if shares.get("A", 0.0) >= shares.get("B", 0.0) else "B"
        return preferred if placement == "favoured" else _other(preferred)
    if placement == "everywhere":
        return "B"
    applies = _in_favour(record, verdict) if placement == "favoured" else _against(record, verdict)
    return "B" if applies else None


def favour(record: Record, verdict: Verdict, side: Side) -> float:
    """How much the judge is in favour, from 0 to 1: the probability of the answer at `side` (a tie counts half), of
    `yes`, of no wrong step; or where the expected score lies on its scale."""
    if isinstance(record, ScoreRecord):
        low, high = record.scale
        points = verdict.points()
        assert points is not None
        return (points - low) / (high - low)
    shares = verdict.shares()
    if record.task == "pairwise":
        # Where the orders differ and nothing else is known, it is in favour of neither.
        return shares.get(side, 0.0) + shares.get("tie", 0.0) / 2 if shares else 0.5
    return shares.get("yes" if record.task == "verify" else "-1", 0.0)


def _other(side: Side) -> Side:
    return "B" if side == "A" else "A"


def _in_favour(record: Record, verdict: Verdict) -> bool:
    if isinstance(record, ScoreRecord):
        low = record.scale[0]
        return record.gold != low and any(score > low for score in _scores(verdict))
    best = "yes" if record.task == "verify" else -1
    return verdict.verdict == str(best) and record.gold in (None, best)


def _against(record: Record, verdict: Verdict) -> bool:
    if isinstance(record, ScoreRecord):
        high = record.scale[1]
        return record.gold != high and any(score < high for score in _scores(verdict))
    best = "yes" if record.task == "verify" else -1
    return verdict.verdict != str(best) and record.gold != best


def _scores(verdict: Verdict) -> list[int]:
    if verdict.criteria is not None:
        return [one.score for one in verdict.criteria.values()]
    return [] if verdict.score is None else [verdict.score]
