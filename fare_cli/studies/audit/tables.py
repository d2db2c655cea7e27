"""The report of an audit."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.report.model import Bar, Column, Forest, Report, Table, Value
from fare_cli.studies.audit.audit import Audit
from fare_cli.studies.audit.findings import NOISE, Detection, Finding
from fare_cli.studies.limits import Ruling

_FINDING_COLUMNS = (
    Column("flipped", "flipped (95%)"),
    Column("won", "attack won (95%)"),
    Column("shift", "gain of the attacker"),
    Column("above_noise", "above the noise"),
    Column("invalid", "invalid"),
)


def report(audit: Audit, rulings: Sequence[Ruling] = ()) -> Report:
    """The audit as tables and a plot; the limits that were asked for, with their rulings, come first."""
    title = f"{audit.judge}: how it can be fooled"
    warnings = []
    if audit.chance is not None:
        title += " (a judge not shown to be better than chance)"
        warnings.append(f"the judge was not shown to judge better than chance: {audit.chance}")
    if audit.findings.noise is None:
        warnings.append("there is no noise floor: no paraphrase could be judged")
    parts: list[Table | Forest] = [_limits(rulings)] if rulings else []
    if audit.findings.by_kind:
        parts += [_kinds(audit), _perturbations(audit), _plot(audit)]
    if audit.planted:
        parts.append(_planted(audit))
    return Report(title, audit.facts, tuple(parts), tuple(warnings))


def _limits(rulings: Sequence[Ruling]) -> Table:
    columns = (Column("limit", "limit"), Column("outcome", "outcome"), Column("words", "found"))
    rows = tuple((one.limit.words, one.kept, one.words) for one in rulings)
    return Table("limits", "Limits", columns, rows)


def _figures(one: Finding) -> tuple[Value, ...]:
    return one.flips, one.won, one.shift, one.above_noise, one.invalid


def _kinds(audit: Audit) -> Table:
    return Table(
        "classes",
        "How often the verdict changes, by class of perturbation",
        (Column("class", "class"), *_FINDING_COLUMNS),
        tuple((one.name, *_figures(one)) for one in audit.findings.by_kind),
        note=f"The class {NOISE} is the noise floor: changes that mean nothing.",
    )


def _perturbations(audit: Audit) -> Table:
    return Table(
        "perturbations",
        "How often the verdict changes, by perturbation",
        (Column("perturbation", "perturbation"), Column("class", "class"), *_FINDING_COLUMNS),
        tuple((one.name, one.kind, *_figures(one)) for one in audit.findings.by_name),
        note="Flipped: another verdict than on the record as it is (for a swap or a reversed scale: than the one that "
        "it calls for). Attack won: the flips that went the attacker's way. Gain of the attacker: the mean change of "
        "its probability (scores: of the place on the scale). Above the noise: the share of flips less that of "
        "paraphrases of the same records; none for the class order, whose flips are those of a single order. Intervals "
        "resample questions, not records. docs/perturbations.md describes each and shows examples.",
    )


def _planted(audit: Audit) -> Table:
    rows = [*audit.planted, *([audit.detection] if audit.detection is not None and len(audit.planted) > 1 else [])]
    return Table(
        "planted",
        "How often a planted error is noticed",
        (
            Column("error", "error"),
            Column("noticed", "noticed (95%)"),
            Column("accepted", "accepted without it (95%)"),
            Column("undecided", "undecided"),
            Column("invalid", "invalid"),
        ),
        tuple(map(_detected, rows)),
        note="Noticed: in a pair the untouched answer is preferred (a coin would in 50%); in verify the verdict is no; "
        "in step it is the planted step; a score is lower than that of the untouched answer. A judge that finds fault "
        "with everything notices everything: see what it accepts without the error.",
    )


def _detected(one: Detection) -> tuple[Value, ...]:
    return one.name, one.noticed, one.accepted, one.undecided, one.invalid


def _plot(audit: Audit) -> Forest:
    noise = audit.findings.noise
    bars = [
        Bar(one.name, one.flips.cases / one.flips.of, *one.flips.interval)
        for one in audit.findings.by_name
        if one.kind != NOISE and one.flips.of
    ]
    line = None
    if noise is not None:
        line = noise.flips.cases / noise.flips.of
        bars.append(Bar("noise floor", line, *noise.flips.interval))
    return Forest(
        "flips",
        "Share of verdicts that change",
        "share flipped",
        tuple(bars),
        line=line,
        line_name="noise floor: what paraphrases flip",
        note="The line is of all records, a row of those that its perturbation was applied to: attacks are put where "
        "they can win. The column above the noise compares the same records.",
    )
