"""A run compared with a baseline: what one judge says of the same questions, answered before and after a change."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fare_cli.errors import ExitCode, InputError, InvalidRecordsError
from fare_cli.gate.check import Check
from fare_cli.gate.measures import Measure, Scale, figure_in_words, scale_of
from fare_cli.gate.reading import GatedRun
from fare_cli.meta.agreement import Interval
from fare_cli.meta.bootstrap import Estimate
from fare_cli.meta.paired import Noise, noisy_difference
from fare_cli.studies.evaluating.case import Case, clusters_of
from fare_cli.studies.limits import outcome
from fare_cli.studies.same_records import by_id


class Pair(NamedTuple):
    """A record before and after."""

    before: Case
    after: Case

    @property
    def changed(self) -> bool:
        """Whether the judge was shown something else. Without their records nobody knows, and verdicts count as they
        are."""
        before, after = self.before.content, self.after.content
        return None in (before, after) or before != after


class Paired(NamedTuple):
    """The records that can be compared. `lost`: those that the baseline has judged and the run has not, or has under
    another question or gold label, by id with the reason. `new`: how many only the run has."""

    pairs: list[Pair]
    lost: dict[str, str]
    new: int


class ChangedRecord(NamedTuple):
    """A record whose verdict changed with what the judge was shown. `better` is above 0 for the better."""

    after: Case
    before_said: str
    after_said: str
    better: float


class Comparison(NamedTuple):
    """`check` decides; `records` are those that changed, the worst first. `unchanged_flips` counts other verdicts on
    what the judge was shown twice as it is: nothing but its noise."""

    check: Check
    records: list[ChangedRecord]
    unchanged_flips: int


def pair_up(before: GatedRun, after: GatedRun, *, max_invalid: float) -> Paired:
    """The records of both runs, by id.

    Raises InputError for runs of two tasks or two judges, and where no id is in both; InvalidRecordsError where more
    than `max_invalid` of the baseline's records are lost: a change that drops what it fails at must not pass.
    """
    _check_comparable(before, after)
    ours = by_id(before.cases)
    theirs = by_id(after.cases)
    if not ours.keys() & theirs.keys():
        raise InputError(
            f"{after.name} and {before.name} have no record in common",
            "records are compared by `id`: give each one that stays the same when its answer changes",
        )
    pairs, lost = [], {}
    for id, case in ours.items():
        if case.invalid is not None:
            continue
        found = theirs.get(id)
        reason = _not_comparable(case, found)
        if reason is None and found is not None:
            pairs.append(Pair(case, found))
        else:
            lost[id] = str(reason)
    judged = len(pairs) + len(lost)
    if len(lost) > max_invalid * judged or not pairs:
        first, reason = next(iter(lost.items()))
        raise InvalidRecordsError(
            f"{len(lost)} of {judged} records of the baseline cannot be compared, more than --max-invalid allows",
            f"the first one: {first}: {reason}",
        )
    return Paired(pairs, lost, len(theirs.keys() - ours.keys()))


def compare(measure: Measure, pairs: Sequence[Pair], noise: Noise, *, max_drop: float, confidence: float) -> Comparison:
    """Whether a measure has got worse by more than `max_drop`: GATE where the whole interval of the change says so, OK
    where none of it does, or where no verdict has changed with what the judge was shown. Shares are of 1, scores in
    points. Raises InvalidRecordsError where no pair has a part in the measure."""
    counting = [pair for pair in pairs if _values(measure, pair) is not None]
    if not counting:
        raise InvalidRecordsError(f"--baseline has nothing to compare {measure.name} on", "no record has gold")
    scale = scale_of(measure, [case for pair in counting for case in pair])
    before, after = ([_good(measure, scale, pair[side]) for pair in counting] for side in (0, 1))
    changed = [pair.changed for pair in counting]
    found = noisy_difference(
        before, after, changed, noise, clusters_of([pair.before for pair in counting]), confidence=confidence
    )
    assert found is not None
    records = [
        ChangedRecord(pair.after, said_by(pair.before), said_by(pair.after), y - x)
        for pair, x, y in zip(counting, before, after, strict=True)
        if pair.changed and x != y
    ]
    flips = sum(x != y and not pair.changed for pair, x, y in zip(counting, before, after, strict=True))
    records.sort(key=lambda one: one.better)
    return Comparison(_check(measure, scale, found, records, len(counting), max_drop), records, flips)


def repeats_noise(measure: Measure, pairs: Sequence[Pair]) -> Noise | None:
    """How often verdicts differ on what the judge was shown twice as it is, and by how much; None without any such
    record."""
    same = [pair for pair in pairs if not pair.changed and _values(measure, pair) is not None]
    if not same:
        return None
    scale = scale_of(measure, [case for pair in same for case in pair])
    moved = [_good(measure, scale, pair.after) - _good(measure, scale, pair.before) for pair in same]
    flips = [one for one in moved if one]
    size = math.sqrt(sum(one * one for one in flips) / len(flips)) if flips else 1.0
    return Noise(len(flips) / len(same), size)


def said_by(case: Case) -> str:
    """A verdict in a word or two."""
    if case.task == "score" and case.expected_score is not None:
        return f"{case.expected_score:.2f}"
    return case.verdict or "undecided"


def _check(
    measure: Measure,
    scale: Scale,
    found: Estimate,
    records: Sequence[ChangedRecord],
    of: int,
    max_drop: float,
) -> Check:
    width = scale.high - scale.low
    interval = found.interval
    if not records:
        decided = ExitCode.OK
    elif interval is None:
        decided = ExitCode.UNDECIDED
    else:
        decided = outcome(interval, at_least=-max_drop / width)
    figure = _as_measured(measure, found, width)
    shown = figure_in_words(measure, figure) if records else "no verdict changed"
    worse = sum(one.better < 0 for one in records)
    counts = f"{worse:,} worse and {len(records) - worse:,} better of {of:,} records"
    name = f"{measure.name} against the baseline" + (f", max-drop={_drop(measure, max_drop)}" if max_drop else "")
    return Check(name, decided, figure if records else None, shown, counts)


def _drop(measure: Measure, value: float) -> str:
    return f"{100 * value:g}%" if measure.is_share else f"{value:g}"


def _as_measured(measure: Measure, found: Estimate, width: float) -> Estimate:
    """A change for the better, from -1 to 1, as the change of the measure itself."""
    sign = width if measure.side == "min" else -width
    if found.interval is None:
        return Estimate(sign * found.value, None)
    return Estimate(sign * found.value, Interval(*sorted(sign * end for end in found.interval)))


def _values(measure: Measure, pair: Pair) -> tuple[float, float] | None:
    before, after = measure.value(pair.before), measure.value(pair.after)
    return None if before is None or after is None else (before, after)


def _good(measure: Measure, scale: Scale, case: Case) -> float:
    """How good a verdict is by the measure, from 0 to 1."""
    share = scale.share(measure.value(case) or 0.0)
    return share if measure.side == "min" else 1 - share


def _check_comparable(before: GatedRun, after: GatedRun) -> None:
    if before.task != after.task:
        raise InputError(f"the baseline {before.name} is of {before.task}, and {after.name} is of {after.task}")
    if before.fingerprint != after.fingerprint:
        raise InputError(
            f"the baseline {before.name} was made by another judge ({_judge(before)}; {after.name} by {_judge(after)})",
            "judge both with the same model, prompts and options",
        )
    for run in (before, after):
        if run.stopped:
            raise InputError(
                f"{run.name} was stopped by its gate: what it has judged is no fair sample for a comparison",
                "judge all records, without --gate",
            )


def _judge(run: GatedRun) -> str:
    return " ".join(filter(None, (str(run.identity.get("model", "")), run.fingerprint)))


_REASONS: tuple[tuple[Callable[[Case, Case], bool], str], ...] = (
    (lambda before, after: after.invalid is not None, "it could not be judged"),
    (lambda before, after: None not in (before.cluster, after.cluster) and before.cluster != after.cluster,
     "its question is another one"),
    (lambda before, after: before.gold != after.gold, "its gold label is another one"),
)  # fmt: skip


def _not_comparable(before: Case, after: Case | None) -> str | None:
    if after is None:
        return "it is missing"
    return next((reason for applies, reason in _REASONS if applies(before, after)), None)
