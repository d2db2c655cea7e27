"""What quantising does to verdicts: the same records judged with the source and with each quantised model."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.errors import InvalidRecordsError, UsageError
from fare_cli.gguf.header import read_header
from fare_cli.gguf.quantize import bits_per_weight
from fare_cli.judge import Judge
from fare_cli.meta.agreement import Proportion, proportion, records_needed
from fare_cli.report.words import share_in_words
from fare_cli.run.reader import InputPlan
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.judging import SILENT, Judged, Talk, agreeing, at_chance, check_rereadable, judge_all
from fare_cli.studies.same_records import Comparison, compare
from fare_cli.verdicts import Verdict

#: Of the verdicts, at most so many may flip for a type to be recommended, unless a limit was given.
TOLERATED_FLIPS = 0.05


@dataclass(frozen=True, slots=True)
class Standing:
    """What one model is, what it said of the records, and how fast here.

    `right` and `agreeing` (both orders of a pair said the same) are None where that was not asked. The speeds are those
    of this very run; None where replies of an earlier run were used.
    """

    name: str
    type: str
    file: str
    bytes: int
    sha256: str
    bits_per_weight: float
    invalid: int
    right: Proportion | None
    agreeing: Proportion | None
    records_per_minute: float | None
    prompt_tokens_per_s: float | None


@dataclass(frozen=True, slots=True)
class Quantised:
    """A quantised model and how it compares with the source."""

    standing: Standing
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class QuantisingReport:
    """The outcome of a check. `chance` says in words that the source was not shown to judge better than chance, None
    where it was (or where nothing can tell); `advice` is the recommendation and its reason, in words."""

    made: str
    task: str
    options: dict[str, Any]
    prompts: str
    records: tuple[dict[str, str], ...]
    judged: int
    machine: dict[str, Any]
    tolerated_flips: float
    source: Standing
    quantised: tuple[Quantised, ...]
    chance: str | None
    advice: str

    @property
    def title(self) -> str:
        """For people: what was quantised, and whether it can judge at all."""
        title = f"{self.source.name}, quantised: what became of its verdicts"
        return title if self.chance is None else f"{title} (a judge not shown to be better than chance)"

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {"title": self.title, **_plain(self)}


class Subject(NamedTuple):
    """A judge to be checked, and the type its weights are in."""

    judge: Judge
    type: str


def check_quantised(
    source: Subject,
    quantised: Sequence[Subject],
    records: InputPlan,
    *,
    limit: int | None = None,
    again: bool = False,
    max_invalid: float | None = None,
    tolerated_flips: float = TOLERATED_FLIPS,
    talk: Talk = SILENT,
) -> QuantisingReport:
    """Judges the records with the source and with each quantised model, one after the other, and compares.

    Replies are kept in the cache folder, so that an interrupted check goes on where it was and the next type needs only
    its own; `again` asks everything anew, which alone gives all speeds. Raises InputError for records that can be read
    only once, UsageError for judges that differ in more than their weights, InvalidRecordsError where the source cannot
    judge the records, or a quantised model loses more than `max_invalid` of them.
    """
    check_rereadable(records)
    _check_alike(source, quantised, records.task)
    with source.judge:
        before = judge_all(source.judge, records, limit=limit, again=again, max_invalid=max_invalid, talk=talk)
    if before.outcome.problem is not None:
        raise before.outcome.problem
    rows = []
    for subject in quantised:
        with subject.judge:
            after = judge_all(subject.judge, records, limit=limit, again=again, talk=talk)
        rows.append(Quantised(_standing(subject, after), compared(before.verdicts, after.verdicts)))
    chance = at_chance(before.verdicts)
    return QuantisingReport(
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        task=records.task,
        options=_plain(source.judge.options),
        prompts=source.judge.identity(records.task).prompts_origin,
        records=tuple({"file": name, "sha256": _sha256(Path(name))} for name in records.files),
        judged=len(before.verdicts),
        machine={"machine": platform.machine(), "cores": os.cpu_count(), **before.engine},
        tolerated_flips=tolerated_flips,
        source=_standing(source, before),
        quantised=tuple(rows),
        chance=chance,
        advice=advise(rows, tolerated_flips, chance),
    )


def compared(before: Sequence[Verdict], after: Sequence[Verdict]) -> Comparison:
    """How two judges' verdicts on the same records, in the same order, differ."""
    return compare([(Case.of(one), Case.of(other)) for one, other in zip(before, after, strict=True)])


def advise(rows: Sequence[Quantised], tolerated: float, chance: str | None) -> str:
    """Which type to take, and why, in words.

    The smallest file whose flips are at most the tolerated share, by the upper end of Wilson's interval. The fastest of
    those is named too.
    """
    rule = f"at most {tolerated:.1%} of the verdicts flip, by the upper end of the 95% interval"
    if chance is not None:
        return "No type is recommended: flips of a judge at chance say nothing about one that judges."
    enough = records_needed(tolerated)
    compared = max((row.comparison.flips.of for row in rows), default=0)
    if compared < enough:
        return (
            f"Too few records to recommend a type: {compared} were compared, and to show that {rule}, "
            f"{enough} are needed even if none flips."
        )
    good = [row for row in rows if row.comparison.flips.interval.high <= tolerated]
    if not good:
        least = min(rows, key=lambda row: row.comparison.flips.interval.high)
        return (
            f"No type is recommended: of none could be shown that {rule}. The nearest is {least.standing.type}, "
            f"{share_in_words(least.comparison.flips)}."
        )
    smallest = min(good, key=lambda row: row.standing.bytes)
    text = f"{smallest.standing.type} is recommended: the smallest file of which was shown that {rule}."
    timed = [(row.standing.records_per_minute, row) for row in good if row.standing.records_per_minute is not None]
    if len(timed) == len(good) > 1:
        fastest = max(timed, key=lambda pair: pair[0])[1]
        if fastest is not smallest:
            text += f" The fastest of those here is {fastest.standing.type}."
    return text


def check_lost(report: QuantisingReport, max_invalid: float) -> None:
    """Raises InvalidRecordsError where a quantised model cannot judge more of the source's records than allowed."""
    for row in report.quantised:
        lost = row.comparison.lost
        if lost.cases > max_invalid * lost.of:
            raise InvalidRecordsError(
                f"{row.standing.type}: {lost.cases} of {lost.of} records that the source judged could not be judged "
                "any more",
                "such a model is broken: quantise with more bits",
            )


def _check_alike(source: Subject, quantised: Sequence[Subject], task: str) -> None:
    wanted = source.judge.identity(task)
    for subject in quantised:
        found = subject.judge.identity(task)
        if (found.prompts, found.options) != (wanted.prompts, wanted.options):
            raise UsageError(
                f"{found.model} has prompts or settings of its own, other than those of {wanted.model}",
                "judge both with the same: --prompts DIR",
            )


def _standing(subject: Subject, judged: Judged) -> Standing:
    model, summary = subject.judge.model, judged.outcome.summary
    timed = summary.asking.reused == 0
    return Standing(
        name=model.name,
        type=subject.type,
        file=str(model.path),
        bytes=model.path.stat().st_size,
        sha256=model.sha256,
        bits_per_weight=bits_per_weight(read_header(model.path)),
        invalid=summary.counts.invalid,
        right=proportion(summary.counts.correct, summary.counts.scored) if summary.counts.scored else None,
        agreeing=agreeing(judged.verdicts),
        records_per_minute=summary.records_per_minute if timed else None,
        prompt_tokens_per_s=summary.asking.prompt_tokens / max(summary.judged_s, 1e-9) if timed else None,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """JSON values of dataclasses and named tuples, by their fields' names; a Proportion has its share too."""
    if isinstance(value, Proportion):
        return {"share": value.share, **{name: _plain(inner) for name, inner in value._asdict().items()}}
    if hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
