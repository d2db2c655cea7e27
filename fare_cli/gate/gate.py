"""The gate: from verdict files to one outcome, and a report that says why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from fare_cli.errors import ExitCode, UsageError
from fare_cli.gate.baseline import ChangedRecord, Comparison, Paired, compare, pair_up, repeats_noise, said_by
from fare_cli.gate.check import OUTCOMES, Check, check_level
from fare_cli.gate.measures import MEASURES, GateLimit, Measure, check_task, read_drop, scale_of, worst_cases
from fare_cli.gate.noise import noise_from
from fare_cli.gate.reading import GatedRun
from fare_cli.gate.sequential import check_in_order
from fare_cli.meta.agreement import CONFIDENCE
from fare_cli.meta.paired import Noise
from fare_cli.report.model import Column, Report, Table
from fare_cli.studies.evaluating.case import Case, judged
from fare_cli.studies.limits import worst

# A report names this many of the records that changed; counts are of all.
_NAMED = 200
# As many records as GitHub shows annotations of a step.
_BLAMED = 10


@dataclass(frozen=True, slots=True)
class GatePlan:
    """What a gate is asked. `max_drop` and `noise`, as the command line gives them, are about the baseline.
    `undecided` says what to make of an interval that straddles its limit, None leaves it undecided. `max_invalid` is a
    share of the records."""

    limits: tuple[GateLimit, ...]
    baseline: GatedRun | None = None
    max_drop: str | None = None
    noise: str | None = None
    confidence: float = CONFIDENCE
    undecided: Literal["pass", "fail"] | None = None
    max_invalid: float = 0.01


class Blamed(NamedTuple):
    """A record that counts against a run, and what was said of it."""

    case: Case
    words: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate found: `outcome` is OK, GATE or UNDECIDED, and follows from the checks and from what was to be made
    of undecided ones. `changed` are the records that changed against the baseline, the worst first; `blamed` some of
    those that count most against the run where it does not pass."""

    run: GatedRun
    plan: GatePlan
    checks: tuple[Check, ...]
    outcome: ExitCode
    changed: tuple[ChangedRecord, ...] = ()
    blamed: tuple[Blamed, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """`pass`, `fail` or `undecided`."""
        return OUTCOMES[self.outcome]

    @property
    def title(self) -> str:
        """The outcome in one line."""
        taken = any(one.outcome is ExitCode.UNDECIDED for one in self.checks) and self.plan.undecided == self.word
        return f"gate: {self.word}" + (" (undecided, and taken so)" if taken else "")

    def report(self) -> Report:
        """The result as tables, for people and machines."""
        facts: dict[str, Any] = {
            "outcome": self.word,
            "exit code": int(self.outcome),
            "verdicts": self.run.name,
            "baseline": None if self.plan.baseline is None else self.plan.baseline.name,
            "task": self.run.task,
            "records": len(self.run.cases),
            "invalid records": len(self.run.invalid),
            "confidence": self.plan.confidence,
            "undecided is taken as": self.plan.undecided,
            "fingerprint": self.run.fingerprint,
            **self.run.facts,
        }
        tables = [_checks_table(self.checks, self.plan.confidence)]
        if self.changed:
            tables.append(_changed_table(self.changed))
        return Report(self.title, facts, tuple(tables), self.warnings)


def gate(run: GatedRun, plan: GatePlan) -> GateResult:
    """Holds a run to its limits, and against the baseline if there is one.

    Without a baseline every limit is about the run as it is. With one, only changes count: whether the first limit's
    measure (or that of the task) has got worse, and a limit that the baseline breaks just the same is not held against
    the run. Raises UsageError for limits that do not fit the verdicts, and what `baseline` raises.
    """
    check_task(plan.limits, run.task)
    if not plan.limits and plan.baseline is None:
        raise UsageError("the gate has no limit", "for example --min-win-rate 50%, or --baseline FILE")
    warnings = _warnings(run)
    if plan.baseline is None:
        checks = _levels(run, plan)
        return GateResult(
            run,
            plan,
            tuple(checks),
            _outcome(checks, plan),
            blamed=tuple(_blamed_by_level(run, plan, checks)),
            warnings=tuple(warnings),
        )
    paired = pair_up(plan.baseline, run, max_invalid=plan.max_invalid)
    compared, noise_words = _compared(plan, plan.baseline, paired, run)
    checks = [*(one.check for one in compared), *_levels_with(plan.baseline, run, paired, plan)]
    warnings += [*noise_words, *_pairing_warnings(paired, compared)]
    by_id = {one.after.id: one for comparison in reversed(compared) for one in comparison.records}
    changed = sorted(by_id.values(), key=lambda one: one.better)
    return GateResult(
        run,
        plan,
        tuple(checks),
        _outcome(checks, plan),
        tuple(changed),
        tuple(
            Blamed(one.after, f"{one.before_said} before, {one.after_said} now")
            for one in changed[:_BLAMED]
            if one.better < 0
        ),
        tuple(warnings),
    )


def _outcome(checks: Sequence[Check], plan: GatePlan) -> ExitCode:
    found = worst(checks)
    if found is ExitCode.UNDECIDED and plan.undecided is not None:
        return ExitCode.OK if plan.undecided == "pass" else ExitCode.GATE
    return found


def _blamed_by_level(run: GatedRun, plan: GatePlan, checks: Sequence[Check]) -> Iterator[Blamed]:
    """The records that are worst by the first limit that is not kept."""
    for limit, check in zip(plan.limits, checks, strict=True):
        if check.outcome is not ExitCode.OK:
            for case in worst_cases(limit.measure, judged(run.cases))[:_BLAMED]:
                gold = "" if case.gold is None else f", gold is {case.gold}"
                yield Blamed(case, f"{said_by(case)}{gold}")
            return


def _levels(run: GatedRun, plan: GatePlan) -> list[Check]:
    if run.order is not None:
        return check_in_order(plan.limits, run.cases, run.order, confidence=plan.confidence)
    return [check_level(limit, run.cases, confidence=plan.confidence) for limit in plan.limits]


# From the best to the worst.
_RANKED = (ExitCode.OK, ExitCode.UNDECIDED, ExitCode.GATE)


def _levels_with(baseline: GatedRun, run: GatedRun, paired: Paired, plan: GatePlan) -> list[Check]:
    """The limits; one that was kept no better on the baseline is no doing of the change. What the judge was shown twice
    as it is counts as the baseline has it."""
    known = {pair.after.id: pair.before for pair in paired.pairs if not pair.changed}
    as_changed = replace(
        run, cases=tuple(known.get(case.id, case) if case.invalid is None else case for case in run.cases)
    )
    checks = []
    for before, after in zip(_levels(baseline, plan), _levels(as_changed, plan), strict=True):
        if after.outcome is not ExitCode.OK and _RANKED.index(after.outcome) <= _RANKED.index(before.outcome):
            as_before = f"{after.records}; {after.decided} now, {before.decided} on the baseline ({before.shown})"
            after = after._replace(outcome=ExitCode.OK, records=as_before)
        checks.append(after)
    return checks


def _compared(plan: GatePlan, baseline: GatedRun, paired: Paired, run: GatedRun) -> tuple[list[Comparison], list[str]]:
    measures = list(dict.fromkeys(limit.measure for limit in plan.limits)) or [_own_measure(run.task)]
    max_drop = 0.0 if plan.max_drop is None else read_drop(plan.max_drop, measures)
    found, words = [], []
    for measure in measures:
        noise, said = _noise(plan, baseline, paired, measure)
        words += said
        found.append(compare(measure, paired.pairs, noise, max_drop=max_drop, confidence=plan.confidence))
    return found, list(dict.fromkeys(words))


def _own_measure(task: str) -> Measure:
    return next(measure for measure in MEASURES if measure.task == task)


def _noise(plan: GatePlan, baseline: GatedRun, paired: Paired, measure: Measure) -> tuple[Noise, list[str]]:
    """How often the judge flips by itself, and what is to be said of that."""
    if plan.noise is not None:
        scale = scale_of(measure, judged(baseline.cases))
        return noise_from(plan.noise, measure, scale, baseline, max_invalid=plan.max_invalid), []
    found = repeats_noise(measure, paired.pairs)
    if found is None or not found.flip_rate:
        if not any(pair.changed for pair in paired.pairs):
            return Noise(0.0), []
        # A judge that draws nothing at random never flips on the same words, and may on others.
        return Noise(0.0), [
            "how often this judge changes its verdict on other words that mean the same is not known, and counts as "
            "never: --noise takes it from fare audit"
        ]
    return found, []


def _warnings(run: GatedRun) -> list[str]:
    found = judged(run.cases)
    if all(case.cluster is None for case in found):
        return [
            "the verdicts came without their records (--no-record): intervals take every record as independent, and "
            "with a baseline every record as changed"
        ]
    return []


def _pairing_warnings(paired: Paired, compared: Sequence[Comparison]) -> list[str]:
    said = []
    if paired.lost:
        named = "; ".join(f"{id}: {reason}" for id, reason in list(paired.lost.items())[:3])
        said.append(f"{len(paired.lost)} records of the baseline cannot be compared ({named})")
    if paired.new:
        said.append(f"{paired.new} records are not in the baseline and are not compared")
    flips = max((one.unchanged_flips for one in compared), default=0)
    if flips:
        said.append(
            f"{flips} verdicts are other ones on records that did not change: that is the judge's noise, and does not "
            "count"
        )
    return said


def _checks_table(checks: Sequence[Check], confidence: float) -> Table:
    columns = (
        Column("limit", "limit"),
        Column("outcome", "outcome"),
        Column("value", f"found ({100 * confidence:g}% interval)"),
        Column("records", "records"),
    )
    rows = tuple((one.name, one.decided, one.figure, one.records) for one in checks)
    return Table("limits", "Limits", columns, rows)


def _changed_table(changed: Sequence[ChangedRecord]) -> Table:
    columns = (
        Column("id", "id"),
        Column("place", "record"),
        Column("before", "before"),
        Column("after", "after"),
        Column("change", "change"),
    )
    rows = tuple(
        (one.after.id, one.after.place, one.before_said, one.after_said, "better" if one.better > 0 else "worse")
        for one in changed[:_NAMED]
    )
    note = f"The first {_NAMED} of {len(changed):,}." if len(changed) > _NAMED else ""
    return Table("changed", "Records that changed, the worst first", columns, rows, note)
