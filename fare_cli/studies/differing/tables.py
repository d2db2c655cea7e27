"""The report on two sides: who judged, how far the verdicts differ, in which direction, where, and on which records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fare_cli.meta.agreement import Interval, Proportion
from fare_cli.meta.bootstrap import Estimate, paired_difference
from fare_cli.meta.clusters import clustered_proportion
from fare_cli.report.model import Column, Report, Table, Value
from fare_cli.report.words import share_in_words
from fare_cli.studies.differing.difference import Difference, Side, sure_of
from fare_cli.studies.differing.judges import differing, judges_table
from fare_cli.studies.differing.repeats import repeat_rows, repeat_warnings, why
from fare_cli.studies.evaluating.case import Case, clusters_of
from fare_cli.studies.evaluating.parts import measures_table
from fare_cli.studies.judging import label_of
from fare_cli.studies.limits import Ruling
from fare_cli.studies.same_records import Pair, probabilities

#: So many records, and directions, are shown unless all are asked for.
MOST_SHOWN = 30

_OPEN = frozenset({"tie", "undecided"})
"""What a pair is called where neither answer won."""


def report_on(found: Difference, rulings: Sequence[Ruling] = (), *, show_all: bool = False) -> Report:
    """Everything that is to be said of a difference, with what became of limits on it."""
    most = None if show_all else MOST_SHOWN
    tables = [
        *_limits(rulings),
        judges_table(found.parts, (found.before.name, found.after.name)),
        _changes(found),
        *_directions(found, most),
        *_categories(found),
        *_records(found, most),
        *_not_compared(found, most),
    ]
    return Report(_title(found), _facts(found), tuple(tables), tuple(_warnings(found)))


def _title(found: Difference) -> str:
    flips = found.comparison.flips
    apart = differing(found.parts)
    judges = f"; not the same: {', '.join(apart)}" if apart else ""
    if not flips.of:
        return f"no record was judged by both{judges}"
    counts = f"{share_in_words(flips)} of the verdicts flipped" if flips.cases else f"no verdict of {flips.of} flipped"
    return f"{counts}{judges}"


def _facts(found: Difference) -> dict[str, Any]:
    joined = found.joined
    return {
        "task": found.before.task,
        "before": _side_in_words(found.before),
        "after": _side_in_words(found.after),
        "records in both": len(joined.pairs),
        f"only in {found.before.name}": len(joined.only_before) or None,
        f"only in {found.after.name}": len(joined.only_after) or None,
        "another record under the same id": len(joined.changed) or None,
        "not asked again": found.not_asked or None,
    }


def _side_in_words(side: Side) -> str:
    fingerprints = ", ".join(side.judge.fingerprints[:3]) or "not known"
    return f"{side.name}: {len(side.cases):,} verdicts, judge {side.judge.identity.get('model', '')} {fingerprints}"


def _warnings(found: Difference) -> Iterator[str]:
    for side in (found.before, found.after):
        yield from (f"{side.name}: {text}" for text in side.warnings)
    judged = found.joined.judged
    if any(None in (one.content, other.content) for one, other in judged):
        yield (
            "verdicts came without their records (--no-record): records are taken for the same by their ids alone, and "
            "every one for independent"
        )
    golds = sum(one.gold != other.gold for one, other in judged)
    if golds:
        yield f"{golds} records have another gold label on the other side: they do not count for accuracy"
    yield from repeat_warnings(found)


def _limits(rulings: Sequence[Ruling]) -> list[Table]:
    if not rulings:
        return []
    columns = (Column("limit", "limit"), Column("outcome", "outcome"), Column("found", "found"))
    rows = tuple((one.limit.words, one.kept, one.words) for one in rulings)
    return [Table("limits", "Limits", columns, rows)]


def _changes(found: Difference) -> Table:
    made = found.comparison
    rows: list[tuple[str, Value]] = [
        ("records that both judged", made.flips.of),
        ("the same verdict", _others_of(made.flips)),
        ("another verdict (flipped)", made.flips),
        ("kappa", made.kappa),
        *_certainty(found),
        *_of_task(found),
        ("both orders agree, change", made.agreeing_change),
        ("accuracy, change", made.right_change),
        ("became invalid", made.lost if made.lost.cases else None),
        ("could be judged now", made.mended or None),
        *repeat_rows(found),
    ]
    note = (
        "Intervals are 95% and take the records of one question as one. The probability is that of what was held most "
        "probable before; a change above 0 is a rise. What became invalid is no flip."
    )
    return measures_table("changes", "How far the verdicts differ", rows, note)


def _others_of(share: Proportion) -> Proportion:
    """The share of all that are not these."""
    return Proportion(share.of - share.cases, share.of, Interval(1 - share.interval.high, 1 - share.interval.low))


def _certainty(found: Difference) -> list[tuple[str, Value]]:
    made = found.comparison
    if made.shift is None:
        return []
    both = [probabilities(*pair) for pair in found.joined.judged]
    moves = [abs(known[1] - known[0]) for known in both if known is not None]
    return [
        ("probability, mean change", made.shift.signed),
        ("probability, mean size of the change", made.moved),
        ("probability, largest change", max(moves)),
    ]


def _of_task(found: Difference) -> list[tuple[str, Value]]:
    pairs = found.joined.judged
    if found.before.task == "pairwise":
        return [
            ("became a tie or undecided", _share(pairs, lambda one, two: one not in _OPEN and two in _OPEN)),
            ("no longer a tie or undecided", _share(pairs, lambda one, two: one in _OPEN and two not in _OPEN)),
        ]
    if found.before.task == "step":
        return [
            ("a step is held wrong now, none before", _share(pairs, lambda one, two: one == "-1" != two)),
            ("no step is held wrong now, one before", _share(pairs, lambda one, two: one != "-1" == two)),
        ]
    if found.before.task == "score":
        return [("expected score, mean change", _score_change(pairs))]
    return []


def _share(pairs: Sequence[Pair], holds: Callable[[str, str], bool]) -> Proportion:
    clusters = clusters_of([one for one, _ in pairs])
    return clustered_proportion([holds(label_of(one), label_of(two)) for one, two in pairs], clusters)


def _score_change(pairs: Sequence[Pair]) -> Estimate | None:
    """In points of the scale; None where a side has another scale or none."""
    known = [pair for pair in pairs if None not in (pair[0].expected_score, pair[1].expected_score)]
    scales = {case.scale for pair in known for case in pair}
    if len(scales) != 1 or (scale := scales.pop()) is None or scale[0] == scale[1]:
        return None
    low, width = scale[0], scale[1] - scale[0]
    before, after = ([((pair[side].expected_score or low) - low) / width for pair in known] for side in (0, 1))
    change = paired_difference(before, after, clusters_of([one for one, _ in known]))
    if change is None or change.interval is None:
        return None if change is None else Estimate(width * change.value, None)
    return Estimate(width * change.value, Interval(*(width * end for end in change.interval)))


def _directions(found: Difference, most: int | None) -> list[Table]:
    """How often each verdict became each other one."""
    counts = Counter((label_of(one), label_of(two)) for one, two in found.flipped)
    before = Counter(label_of(one) for one, _ in found.joined.judged)
    columns = (
        Column("before", "before"),
        Column("after", "after"),
        Column("records", "records"),
        Column("of", "of all that were so before"),
    )
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = tuple((one, two, count, before[one]) for (one, two), count in ranked[:most])
    return [Table("directions", "Flips by direction", columns, rows, _left_out(len(rows), len(ranked)))] if rows else []


def _categories(found: Difference) -> list[Table]:
    """A row for each category; nothing where records have fewer than two."""
    by_category: dict[str, list[Pair]] = {}
    for pair in found.joined.judged:
        by_category.setdefault(pair[0].category or "(none)", []).append(pair)
    if len(by_category) < 2:
        return []
    columns = (Column("category", "category"), Column("records", "records"), Column("flips", "flipped (95% interval)"))
    rows = tuple(
        (name, len(pairs), _share(pairs, lambda one, two: one != two)) for name, pairs in sorted(by_category.items())
    )
    return [Table("categories", "Flips by category", columns, rows)]


def _records(found: Difference, most: int | None) -> list[Table]:
    """The records that differ: flips, the surest first, then those that only one side could judge."""
    pairs = [*found.flipped, *found.lost, *found.mended]
    if not pairs:
        return []
    columns = [
        Column("id", "id"),
        Column("place", "record"),
        Column("question", "question"),
        Column("before", "before"),
        Column("after", "after"),
        Column("sure_before", "sure before"),
        Column("sure_after", "sure after"),
    ]
    if found.repeats:
        columns += [Column("margin", "margin, nats"), Column("moved", "moved, nats"), Column("why", "why")]
    rows = tuple(_row(found, pair) for pair in pairs[:most])
    note = "The flips that both were the surest of come first. " + _left_out(len(rows), len(pairs))
    return [Table("records", "Records that differ", tuple(columns), rows, note.strip())]


def _row(found: Difference, pair: Pair) -> tuple[Value, ...]:
    before, after = pair
    row: tuple[Value, ...] = (
        before.id,
        before.place,
        found.before.questions.get(before.id, ""),
        _said(before),
        _said(after),
        sure_of(before),
        sure_of(after),
    )
    if not found.repeats:
        return row
    again = found.repeats[before.id]
    return (*row, again.margin, again.moved, why(found.parts, again))


def _said(case: Case) -> str:
    return label_of(case) if case.invalid is None else f"invalid: {case.invalid}"


def _not_compared(found: Difference, most: int | None) -> list[Table]:
    """What stands on one side only, and ids under which there are two records, by name."""
    joined = found.joined
    named = [
        *((id, "another record under the same id") for id in joined.changed),
        *((id, f"only in {found.before.name}") for id in joined.only_before),
        *((id, f"only in {found.after.name}") for id in joined.only_after),
    ]
    columns = (Column("id", "id"), Column("why", "why"))
    rows = tuple(named[:most])
    note = _left_out(len(rows), len(named))
    return [Table("not_compared", "Records that were not compared", columns, rows, note)] if rows else []


def _left_out(shown: int, of: int) -> str:
    return f"The first {shown} of {of:,}; --all shows all." if shown < of else ""
