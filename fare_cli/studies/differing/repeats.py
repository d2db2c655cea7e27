"""What asking the same judge again has shown: how far its numbers moved, and why a verdict is another one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from fare_cli.meta.bootstrap import mean
from fare_cli.meta.clusters import clustered_proportion, of_those
from fare_cli.report.model import Value
from fare_cli.studies.differing.difference import Difference, Repeat
from fare_cli.studies.differing.judges import JudgePart, differing, unknown
from fare_cli.studies.evaluating.case import clusters_of
from fare_cli.verdicts import SMALLEST, Judgement, Verdict

#: Labels nearer to each other than this (nats) change places by chance: in another company of asks, label
#: log-probabilities of 40 prompts moved by up to 0.28.
NEAR_TIE = 0.3


def repeat_of(before: Verdict, after: Verdict) -> Repeat:
    """How far the judgments of two verdicts on one record are the same."""
    theirs = {_name(one): one for one in after.judgments}
    both = [(one, theirs[_name(one)]) for one in before.judgments if _name(one) in theirs]
    margins = [one.margin for one in before.judgments if one.margin is not None]
    moves = [moved for one, other in both if (moved := _moved(one, other)) is not None]
    written = [(_text(one), _text(other)) for one, other in both]
    return Repeat(
        margin=min(margins, default=None),
        moved=max(moves, default=None),
        exact=len(both) == len(before.judgments) == len(after.judgments)
        and all(_rounded(one) == _rounded(other) for one, other in both),
        same_text=all(one == other for one, other in written) if any(map(any, written)) else None,
        other_stage=_stage(before) != _stage(after),
    )


def why(parts: Sequence[JudgePart], again: Repeat) -> str:
    """Why a verdict came out otherwise, as far as it can be told: the parts of the judge that are not the same, or
    else nondeterminism; and whether it was a near thing."""
    apart, open_ = differing(parts), unknown(parts)
    reasons = [", ".join(apart) or " or ".join([*open_, "nondeterminism"])]
    if again.other_stage:
        reasons.append("another stage decided")
    elif again.same_text is False:
        reasons.append("another critique")
    if again.margin is not None and again.margin < NEAR_TIE:
        reasons.append("a near-tie")
    return "; ".join(reasons)


def repeat_rows(found: Difference) -> list[tuple[str, Value]]:
    """Figures on the records that were judged twice; none where two files were compared."""
    pairs = [pair for pair in found.joined.judged if pair[0].id in found.repeats]
    if not pairs:
        return []
    again = [found.repeats[before.id] for before, _ in pairs]
    moved = [index for index, one in enumerate(again) if one.moved is not None]
    moves = [again[index].moved or 0.0 for index in moved]
    written = [index for index, one in enumerate(again) if one.same_text is not None]
    clusters = clusters_of([before for before, _ in pairs])
    near = sum((found.repeats[one.id].margin or 0.0) < NEAR_TIE for one, _ in found.flipped)
    return [
        ("the same to the last digit", clustered_proportion([one.exact for one in again], clusters)),
        (
            "the same critique",
            clustered_proportion([bool(again[index].same_text) for index in written], of_those(written, clusters)),
        ),
        ("log-probability of a label, mean size of its change (nats)", mean(moves, of_those(moved, clusters))),
        ("log-probability of a label, largest change (nats)", max(moves, default=None)),
        ("flips that were near-ties", near if found.flipped else None),
    ]


def repeat_warnings(found: Difference) -> Iterator[str]:
    """What asking again cannot know."""
    if not found.repeats:
        return
    open_ = unknown(found.parts)
    if open_:
        yield (
            f"whether {' and '.join(open_)} are the same is not known: {found.before.name} has no manifest of one run "
            "that says so"
        )
    if found.not_asked:
        yield f"{found.not_asked} verdicts hold no record and could not be asked again"


def _stage(verdict: Verdict) -> str | None:
    return None if verdict.cascade is None else verdict.cascade.decided_by


def _name(one: Judgement) -> tuple[str | None, int, str | None]:
    return one.order, one.vote, one.criterion


def _moved(before: Judgement, after: Judgement) -> float | None:
    """By how much the log-probability of the label that was said has changed."""
    known = [_rounded(side) for side in (before, after)]
    if any(before.label not in shares for shares in known):
        return None
    one, other = (math.log(max(shares[before.label], SMALLEST)) for shares in known)
    return abs(other - one)


def _rounded(one: Judgement) -> Mapping[str, float]:
    """As a file has them."""
    return {label: round(share, 6) for label, share in (one.probabilities or {}).items()}


def _text(one: Judgement) -> tuple[str, ...]:
    return tuple(text for text in (one.reasoning, one.critique) if text)
