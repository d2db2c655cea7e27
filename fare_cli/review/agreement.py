"""The judge against people, and people against each other, on what they said without knowing of each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from fare_cli.meta.annotators import Label
from fare_cli.meta.bootstrap import Estimate, bootstrap, kappa_estimate, mean
from fare_cli.meta.clusters import clustered_proportion
from fare_cli.meta.score import weighted_kappa
from fare_cli.report.model import Column, Report, Table, Value
from fare_cli.review.merging import Merged, People, labelled
from fare_cli.studies.evaluating.case import Case, clusters_of
from fare_cli.studies.evaluating.parts import Part
from fare_cli.studies.evaluating.people import people_parts
from fare_cli.verdicts import Verdict

_MOST_DIFFERENCES = 50
DIFFERENCES = "differences"
"""The table of single records: whoever reads it sees verdicts of the judge."""

#: Of fewer records an agreement says next to nothing: the interval of a share is then wider than 0.35.
_FEW = 30


def agreement(verdicts: Iterable[Verdict], people: People, name: str) -> Report:
    """How far people agree with the judge that gave these verdicts, and with each other. Raises InputError for a label
    that a record does not have."""
    found = Agreeing()
    for verdict in labelled(verdicts, people, Merged()):
        found.add(verdict, people.reviewers)
    return found.report(people, name)


@dataclass(slots=True)
class Agreeing:
    """Verdicts with people's labels, gathered one after the other; only what is measured of them is kept."""

    cases: list[Case] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)
    sure_of_others: list[float] = field(default_factory=list)

    def add(self, verdict: Verdict, reviewers: Iterable[str]) -> None:
        """Another verdict, people's labels in its record. Raises RecordError for one that fare does not write."""
        annotations = (verdict.record or {}).get("annotations") or {}
        is_reviewed = verdict.status == "ok" and any(annotations.get(name) is not None for name in reviewers)
        if is_reviewed:
            self.cases.append(Case.of(verdict))
        if verdict.confidence is not None:
            (self.sure if is_reviewed else self.sure_of_others).append(verdict.confidence)

    def report(self, people: People, name: str) -> Report:
        """Everybody's agreement with the judge and with each other, and the records that they differ on."""
        labelled = self.cases
        return Report(
            f"people and the judge on {name}",
            {
                "reviewers": ", ".join(people.reviewers) or None,
                "records reviewed": len(labelled),
                "notes": people.notes,
            },
            (
                _with_judge(labelled, people.reviewers),
                *_among_people(labelled, people.reviewers),
                *(people_parts(labelled) if len(people.reviewers) > 1 else ()),
                _differences(labelled, people.reviewers),
            ),
            tuple(self._warnings(people)),
        )

    def _warnings(self, people: People) -> list[str]:
        said = []
        if not self.cases:
            said.append("nobody gave a verdict on these records without having seen that of the judge")
        elif len(self.cases) < _FEW:
            said.append(f"few records were reviewed ({len(self.cases)}): look at the intervals")
        if people.not_blind:
            said.append(
                f"{people.not_blind} verdicts of people were given after they saw the judge's: they are no evidence of "
                "agreement, and are left out"
            )
        if self.sure and self.sure_of_others:
            own, others = (math.fsum(shares) / len(shares) for shares in (self.sure, self.sure_of_others))
            if own < others:
                said.append(
                    f"the judge was less sure of the records that people looked at (mean confidence {own:.2f}) than of "
                    f"the others ({others:.2f}): on all records it may agree with people more often than here"
                )
        return said


def _with_judge(cases: Sequence[Case], reviewers: Sequence[str]) -> Table:
    columns = (
        Column("person", "person"),
        Column("records", "records"),
        Column("undecided", "judge undecided"),
        Column("same", "the same"),
        Column("kappa", "kappa"),
        *((Column("difference", "judge less person"),) if _is_score(cases) else ()),
    )
    rows = []
    for name in reviewers:
        both = [case for case in cases if name in case.annotations]
        told = [case for case in both if case.said is not None]
        pairs = [(case.said, case.annotations[name]) for case in told]
        rows.append((name, len(both), len(both) - len(told), *_compared(pairs, told)))
    note = "Blind verdicts only. The same: of those that the judge decided. Kappa: Cohen's, agreement beyond chance" + (
        ", with quadratic weights." if _is_score(cases) else ". A tie that the judge cannot say counts as different."
    )
    return Table("judge-and-person", "the judge and each person", columns, tuple(rows), note)


def _among_people(cases: Sequence[Case], reviewers: Sequence[str]) -> list[Part]:
    if len(reviewers) < 2:
        return []
    columns = (
        Column("person", "person"),
        Column("other", "and"),
        Column("records", "records"),
        Column("same", "the same"),
        Column("kappa", "kappa"),
        *((Column("difference", "first less second"),) if _is_score(cases) else ()),
    )
    rows = []
    for one, other in combinations(reviewers, 2):
        both = [case for case in cases if one in case.annotations and other in case.annotations]
        pairs = [(case.annotations[one], case.annotations[other]) for case in both]
        rows.append((one, other, len(both), *_compared(pairs, both)))
    return [Table("person-and-person", "people among themselves", columns, tuple(rows), "Blind verdicts only.")]


def _compared(pairs: Sequence[tuple[Label | None, Label | None]], cases: Sequence[Case]) -> tuple[Value, ...]:
    """The share of equal labels, kappa, and of scores the mean difference."""
    clusters = clusters_of(cases)
    same = clustered_proportion([str(one) == str(other) for one, other in pairs], clusters) if pairs else None
    if not _is_score(cases):
        return same, kappa_estimate([str(one) for one, _ in pairs], [str(other) for _, other in pairs], clusters)
    first, second = [float(one or 0) for one, _ in pairs], [float(other or 0) for _, other in pairs]
    kappa: Estimate | None = bootstrap(weighted_kappa(first, second), len(pairs), clusters) if pairs else None
    return same, kappa, mean([a - b for a, b in zip(first, second, strict=True)], clusters)


def _differences(cases: Sequence[Case], reviewers: Sequence[str]) -> Table:
    """Records that not all agree on: where to look again."""
    apart = [case for case in cases if _spread(case, reviewers)]
    columns = (
        Column("record", "record"),
        Column("judge", "judge"),
        Column("confidence", "sure"),
        *(Column(f"person-{number}", name) for number, name in enumerate(reviewers, start=1)),
    )
    apart.sort(key=lambda case: -(case.confidence or 0.0))
    rows = tuple(
        (
            case.id,
            "undecided" if case.said is None else str(case.said),
            case.confidence,
            *(_shown(case.annotations.get(name)) for name in reviewers),
        )
        for case in apart[:_MOST_DIFFERENCES]
    )
    note = "Those first that the judge was surest of." + (
        f" The first {_MOST_DIFFERENCES} of {len(apart)}." if len(apart) > _MOST_DIFFERENCES else ""
    )
    return Table(DIFFERENCES, "records that not all agree on", columns, rows, note)


def _spread(case: Case, reviewers: Sequence[str]) -> bool:
    labels = {str(case.annotations[name]) for name in reviewers if name in case.annotations}
    return len(labels | {str(case.said)}) > 1


def _shown(label: Label | None) -> str | None:
    return None if label is None else str(label)


def _is_score(cases: Sequence[Case]) -> bool:
    return bool(cases) and cases[0].task == "score"
