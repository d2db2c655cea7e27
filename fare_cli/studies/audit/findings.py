"""From outcomes to figures: shares with intervals that know which records belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate, mean, paired_difference
from fare_cli.meta.clusters import clustered_proportion
from fare_cli.studies.audit.outcomes import Noticed, Outcome
from fare_cli.studies.audit.perturbation import KINDS, Perturbation
from fare_cli.studies.audit.planting import Planting

NOISE = "paraphrase"
"""The class whose flips are the noise floor."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a perturbation, or a class of them, does to the verdicts.

    `flips`: of the variants that could be judged, those with another verdict than the record has. `won`: those that
    went the attacker's way; None where nobody attacks. `shift`: the mean gain of the attacker in probability.
    `above_noise`: by how much the share of flips is above that of paraphrases of the same records; None for
    paraphrases themselves. `invalid` variants count nowhere else.
    """

    name: str
    kind: str
    flips: Proportion
    won: Proportion | None
    shift: Estimate | None
    above_noise: Estimate | None
    invalid: int


class Findings(NamedTuple):
    """By perturbation, by class, and all paraphrases together (None without any)."""

    by_name: tuple[Finding, ...]
    by_kind: tuple[Finding, ...]
    noise: Finding | None


@dataclass(frozen=True, slots=True)
class Detection:
    """How often a planted error is noticed. `accepted`: of the same answers without it, those that the judge has
    nothing against; None for pairs and scores. `undecided` pairs count as not noticed."""

    name: str
    noticed: Proportion
    accepted: Proportion | None
    undecided: int
    invalid: int


def findings_of(
    perturbations: Sequence[Perturbation], outcomes: Sequence[Outcome], invalid: Mapping[str, int]
) -> Findings:
    """All figures on these perturbations. `invalid` counts variants without a verdict, by name of the perturbation;
    what applied to no record is left out."""
    noise = _noise(outcomes)
    by_name: dict[str, list[Outcome]] = defaultdict(list)
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    invalid_by_kind: dict[str, int] = defaultdict(int)
    for outcome in outcomes:
        by_name[outcome.perturbation.name].append(outcome)
        by_kind[outcome.perturbation.kind].append(outcome)
    tried = [one for one in perturbations if one.name in by_name or invalid.get(one.name)]
    for one in tried:
        invalid_by_kind[one.kind] += invalid.get(one.name, 0)
    kinds = {
        kind: _finding(kind, kind, by_kind[kind], noise, invalid_by_kind[kind])
        for kind in KINDS
        if kind in invalid_by_kind
    }
    return Findings(
        tuple(_finding(one.name, one.kind, by_name[one.name], noise, invalid.get(one.name, 0)) for one in tried),
        tuple(kinds.values()),
        kinds.get(NOISE) if by_kind[NOISE] else None,
    )


def _noise(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """For each record the share of its paraphrases that flip."""
    flips: dict[str, list[bool]] = defaultdict(list)
    for one in outcomes:
        if one.perturbation.kind == NOISE:
            flips[one.record_id].append(one.flipped)
    return {record: sum(some) / len(some) for record, some in flips.items()}


def _finding(name: str, kind: str, outcomes: Sequence[Outcome], noise: Mapping[str, float], invalid: int) -> Finding:
    clusters = [one.cluster for one in outcomes]
    attacks = [one for one in outcomes if one.won is not None]
    moved = [(one.shift, one.cluster) for one in outcomes if one.shift is not None]
    # Flips of a single order, and those of the combined verdict on paraphrases, are no two of a kind.
    compared = [one for one in outcomes if one.record_id in noise and kind not in (NOISE, "order")]
    return Finding(
        name=name,
        kind=kind,
        flips=clustered_proportion([one.flipped for one in outcomes], clusters),
        won=clustered_proportion([bool(one.won) for one in attacks], [one.cluster for one in attacks])
        if attacks
        else None,
        shift=mean([value for value, _ in moved], [cluster for _, cluster in moved]),
        above_noise=paired_difference(
            [noise[one.record_id] for one in compared],
            [one.flipped for one in compared],
            [one.cluster for one in compared],
        ),
        invalid=invalid,
    )


def detections_of(
    plantings: Sequence[Planting], found: Sequence[Noticed], invalid: Mapping[str, int]
) -> tuple[Detection, ...]:
    """How often each kind of planted error was noticed; what was planted in no record is left out."""
    by_name: dict[str, list[Noticed]] = defaultdict(list)
    for one in found:
        by_name[one.name].append(one)
    tried = [one.name for one in plantings if one.name in by_name or invalid.get(one.name)]
    return tuple(_detection(name, by_name[name], invalid.get(name, 0)) for name in tried)


def detection_of_all(found: Sequence[Noticed], invalid: Mapping[str, int]) -> Detection | None:
    """All planted errors together; None without any."""
    return _detection("all", found, sum(invalid.values())) if found else None


def _detection(name: str, found: Sequence[Noticed], invalid: int) -> Detection:
    known = [(one.accepts, one.cluster) for one in found if one.accepts is not None]
    return Detection(
        name=name,
        noticed=clustered_proportion([one.noticed for one in found], [one.cluster for one in found]),
        accepted=clustered_proportion([accepts for accepts, _ in known], [cluster for _, cluster in known])
        if known
        else None,
        undecided=sum(one.undecided for one in found),
        invalid=invalid,
    )
