"""An audit: a judge's verdicts on records as they are and as perturbed, and what that says of the judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from fare_cli.errors import InvalidRecordsError, RecordError
from fare_cli.records import Record, parse
from fare_cli.run.reader import InputPlan
from fare_cli.studies.audit.catalogue import Chosen
from fare_cli.studies.audit.findings import NOISE, Detection, Findings, detection_of_all, detections_of, findings_of
from fare_cli.studies.audit.outcomes import Noticed, Outcome, noticed_in, outcome_of, swap_outcome
from fare_cli.studies.audit.variants import (
    Base,
    PlantedVariant,
    Routed,
    Variant,
    both_orders,
    planted_of,
    variants_of,
)
from fare_cli.studies.judging import SILENT, Judged, StudiedJudge, Talk, at_chance, check_rereadable, judge_all
from fare_cli.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Audit:
    """The outcome of an audit. `facts` say what was judged, and how; `detection` is of all planted errors together,
    None where there were none. `chance` says in words that the judge was not shown to judge better than chance, None
    where it was, or where nothing can tell."""

    judge: str
    facts: Mapping[str, Any]
    findings: Findings
    planted: tuple[Detection, ...]
    detection: Detection | None
    chance: str | None


class _Variants(NamedTuple):
    """All that is asked after the records themselves."""

    perturbed: list[Variant]
    planted: list[PlantedVariant]

    def records(self) -> dict[str, Record]:
        """The records to judge, by id, those made of one record together."""
        found: dict[str, dict[str, Record]] = {}
        for one in self.perturbed:
            found.setdefault(one.base.record.id, {})[one.record.id] = one.record
        for planted in self.planted:
            for record in filter(None, (planted.untouched, planted.record)):
                found.setdefault(planted.base.record.id, {})[record.id] = record
        return {id: record for some in found.values() for id, record in some.items()}


def audit(
    judge: StudiedJudge,
    records: InputPlan,
    chosen: Chosen,
    *,
    limit: int | None = None,
    seed: int = 0,
    again: bool = False,
    max_invalid: float | None = None,
    talk: Talk = SILENT,
) -> Audit:
    """Judges the records, then all their variants, and compares. The judge stays open.

    The first run says where attacks are put, see `perturbation.RULES`; all variants are one second run, those of a
    record side by side, so that what they share is computed once. `seed` chooses among wordings and places. Raises what
    `judge_all` raises, InvalidRecordsError where too few records can be judged or none can be perturbed, RecordError
    for a malformed `translations` or `paraphrases`.
    """
    if not records.records:
        check_rereadable(records)
    first = judge_all(judge, records, limit=limit, again=again, max_invalid=max_invalid, whole=True, talk=talk)
    if first.outcome.problem is not None:
        raise first.outcome.problem
    bases = _bases(first, records.task)
    variants = _variants(judge, records.task, bases, chosen, seed)
    verdicts = _judge_variants(judge, records.task, variants, again, talk)
    outcomes = _outcomes(bases, variants.perturbed, verdicts, chosen)
    noticed, unseen = _noticed(variants.planted, verdicts)
    if not outcomes and not noticed:
        raise InvalidRecordsError("none of the records could be perturbed", "fare audit --list says what needs what")
    invalid = Counter(one.perturbation.name for one in variants.perturbed if one.record.id not in verdicts)
    findings = findings_of(chosen.perturbations, outcomes, invalid)
    return Audit(
        judge=judge.name,
        facts={**_facts(judge, records, first, len(variants.records())), "noise floor": _floor(judge, findings)},
        findings=findings,
        planted=detections_of(chosen.plantings, noticed, unseen),
        detection=detection_of_all(noticed, unseen),
        chance=at_chance([base.verdict for base in bases], [base.record.cluster() for base in bases]),
    )


def _bases(first: Judged, task: str) -> list[Base]:
    return [
        Base(parse(task, verdict.record), verdict)
        for verdict in first.verdicts
        if verdict.status == "ok" and verdict.record is not None
    ]


def _variants(judge: StudiedJudge, task_name: str, bases: Sequence[Base], chosen: Chosen, seed: int) -> _Variants:
    task = judge.task(task_name)
    made = _Variants([], [])
    for base in bases:
        try:
            made.perturbed.extend(variants_of(base, chosen.perturbations, task, seed))
            made.planted.extend(planted_of(base, chosen.plantings, seed))
        except RecordError as error:
            source = base.verdict.source
            where = f"{source.file}, line {source.line}" if source else f"record {base.record.id}"
            raise RecordError(error.kind, f"{where}: {error.message}", error.field) from error
    return made


def _judge_variants(judge: StudiedJudge, task: str, variants: _Variants, again: bool, talk: Talk) -> dict[str, Verdict]:
    """The verdicts that are not invalid, by the id of the variant."""
    records = tuple(variants.records().values())
    if not records:
        return {}
    ways = {one.record.id: one.task for one in variants.perturbed if one.task is not None}
    judged = judge_all(
        judge,
        InputPlan(task=task, files=(), records=records),
        again=again,
        whole=True,
        asked=lambda usual: Routed(usual, ways),
        talk=talk,
    )
    if judged.outcome.problem is not None:
        raise judged.outcome.problem
    return {verdict.id: verdict for verdict in judged.verdicts if verdict.status == "ok"}


def _outcomes(
    bases: Sequence[Base], variants: Sequence[Variant], verdicts: Mapping[str, Verdict], chosen: Chosen
) -> list[Outcome]:
    found = [outcome_of(one, verdicts[one.record.id]) for one in variants if one.record.id in verdicts]
    for one in chosen.perturbations:
        if one.effect == "swap":
            found += [swap_outcome(one, base) for base in bases if both_orders(base)]
    return found


def _noticed(planted: Sequence[PlantedVariant], verdicts: Mapping[str, Verdict]) -> tuple[list[Noticed], Counter[str]]:
    """What was said of planted errors, and how many could not be judged, by name."""
    found, invalid = [], Counter[str]()
    for one in planted:
        untouched = one.base.verdict if one.untouched is None else verdicts.get(one.untouched.id)
        verdict = verdicts.get(one.record.id)
        if verdict is None or untouched is None:
            invalid[one.planting.name] += 1
        else:
            found.append(noticed_in(one, verdict, untouched))
    return found, invalid


def _facts(judge: StudiedJudge, records: InputPlan, first: Judged, variants: int) -> dict[str, Any]:
    identity = judge.identity(records.task)
    counts = first.outcome.summary.counts
    return {
        "judge": judge.name,
        "fingerprint": identity.fingerprint,
        "task": records.task,
        "prompts": identity.prompts_origin,
        "options": asdict(judge.options),
        "records": counts.total,
        "invalid records": counts.invalid,
        "undecided": counts.undecided,
        "files": ", ".join(records.files) or None,
        "all records of the files": first.outcome.complete,
        "variants asked": variants,
        "engine": first.engine,
    }


def _floor(judge: StudiedJudge, findings: Findings) -> str:
    """What the noise floor was measured with, and what it was not."""
    count = {one.name: one.flips.of for one in findings.by_name if one.kind == NOISE}
    parts = [f"{count.get('restated_instruction', 0)} restated instructions"]
    if given := count.get("given_paraphrase"):
        parts.append(f"{given} paraphrases from the data")
    else:
        parts.append("no paraphrases from the data (a field `paraphrases` brings them)")
    if not judge.options.generates:
        parts.append("no new samples, as nothing is sampled in direct mode")
    elif judge.options.temperature == 0:
        parts.append("no new samples, as nothing is sampled at temperature 0")
    else:
        parts.append(f"{count.get('resampling', 0)} new samples")
    return "; ".join(parts)
