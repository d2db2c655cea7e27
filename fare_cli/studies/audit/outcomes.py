"""What became of each variant: whether the verdict is another one, who gained, whether a mistake was noticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fare_cli.records import Record, ScoreRecord
from fare_cli.studies.audit.favour import favour
from fare_cli.studies.audit.perturbation import Perturbation
from fare_cli.studies.audit.variants import Base, PlantedVariant, Variant
from fare_cli.studies.judging import label_of
from fare_cli.verdicts import Judgement, Verdict

_OTHER = {"A": "B", "B": "A"}


class Outcome(NamedTuple):
    """What a perturbation did to a verdict.

    `won`: the verdict went over to the attacker; None where nobody attacks. `shift` is by how much the judge is more in
    favour of the attacker than before, as a difference of probabilities (scores: of the place on the scale).
    """

    perturbation: Perturbation
    record_id: str
    cluster: str
    flipped: bool
    won: bool | None
    shift: float | None


class Noticed(NamedTuple):
    """What a judge said of a planted error. `accepts`: it has nothing against the same answer without the error; None
    for pairs and scores, where the two are compared with each other."""

    name: str
    cluster: str
    noticed: bool
    undecided: bool
    accepts: bool | None


def outcome_of(variant: Variant, verdict: Verdict) -> Outcome:
    """The outcome of one variant, whose verdict is not invalid."""
    base, one = variant.base, variant.perturbation
    before, after = label_of(base.verdict), _label_under(one, verdict, base.record)
    flipped = before != after
    if one.effect == "swap":
        return _order_outcome(one, base, _said(base.verdict.judgments), _said(verdict.judgments), flipped)
    if one.placement == "everywhere":
        return Outcome(one, base.record.id, base.record.cluster(), flipped, None, None)
    gain = favour(base.record, verdict, variant.side) - favour(base.record, base.verdict, variant.side)
    if one.placement == "favoured":
        gain = -gain
    won = flipped and _went_over(variant, verdict, gain)
    return Outcome(one, base.record.id, base.record.cluster(), flipped, won, gain)


def swap_outcome(one: Perturbation, base: Base) -> Outcome:
    """The outcome of the order swap on a pair that was asked in both orders: the two orders against each other."""
    judgments = base.verdict.judgments
    first, swapped = (_said([one for one in judgments if one.order == order]) for order in ("ab", "ba"))
    return _order_outcome(one, base, first, swapped, base.verdict.consistent is False)


def _order_outcome(
    one: Perturbation, base: Base, first: Mapping[str, float], swapped: Mapping[str, float], flipped: bool
) -> Outcome:
    """Won by the place of the answer that is shown first, which the judge calls A each time."""
    shift = (first["A"] + swapped["A"]) / 2 - 0.5
    won = flipped and first["A"] >= first["B"] and swapped["A"] >= swapped["B"]
    return Outcome(one, base.record.id, base.record.cluster(), flipped, won, shift)


def _said(judgments: Sequence[Judgement]) -> dict[str, float]:
    """The probabilities of the labels as the judge said them, the mean over votes; where it hides them, the shares of
    the votes."""
    said = [one.probabilities or {one.label: 1.0} for one in judgments]
    return {label: sum(one.get(label, 0.0) for one in said) / len(said) for label in ("A", "B")}


def _label_under(one: Perturbation, verdict: Verdict, record: Record) -> str:
    """The verdict as it means for the record as it was."""
    if one.effect == "swap":
        return _OTHER.get(label_of(verdict), label_of(verdict))
    if one.effect == "reverse" and isinstance(record, ScoreRecord):
        return label_of(_turned(verdict, sum(record.scale)))
    return label_of(verdict)


def _turned(verdict: Verdict, ends: int) -> Verdict:
    if verdict.criteria is not None:
        turned = {
            name: score.model_copy(update={"score": ends - score.score}) for name, score in verdict.criteria.items()
        }
        return verdict.model_copy(update={"criteria": turned})
    return verdict.model_copy(update={"verdict": str(ends - int(verdict.verdict or 0))})


def _went_over(variant: Variant, verdict: Verdict, gain: float) -> bool:
    """Whether a flipped verdict went the attacker's way: to the attacked answer, to the best label, to a higher score;
    for what stood in favour, away from it."""
    record, placement = variant.base.record, variant.perturbation.placement
    if isinstance(record, ScoreRecord):
        return gain > 0
    if record.task == "pairwise":
        return (label_of(verdict) == variant.side) == (placement == "unfavoured")
    best = "yes" if record.task == "verify" else "-1"
    return (label_of(verdict) == best) == (placement == "unfavoured")


def noticed_in(variant: PlantedVariant, verdict: Verdict, untouched: Verdict) -> Noticed:
    """Whether the judge noticed a planted error; `untouched` is its verdict without the error."""
    record = variant.record
    if isinstance(record, ScoreRecord):
        lower = _score(verdict) < _score(untouched)
        return Noticed(variant.planting.name, variant.base.record.cluster(), lower, False, None)
    found = verdict.verdict == str(record.gold)
    accepts = None
    if record.task in ("verify", "step"):
        accepts = untouched.verdict == ("yes" if record.task == "verify" else "-1")
    return Noticed(variant.planting.name, variant.base.record.cluster(), found, verdict.verdict is None, accepts)


def _score(verdict: Verdict) -> int:
    """The score, or the sum of those of all criteria."""
    if verdict.criteria is not None:
        return sum(one.score for one in verdict.criteria.values())
    return verdict.score or 0
