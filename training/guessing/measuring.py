"""How right guesses are, measured as `fare eval` measures a judge: the same figures with the same intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate, bootstrap
from fare_cli.meta.clusters import clustered_proportion, of_those
from fare_cli.meta.score import pearson
from fare_cli.meta.steps import NONE_WRONG, measure_steps
from fare_cli.meta.verify import auroc, balanced_accuracy
from fare_cli.records import Record
from fare_cli.report.model import Bar, Column, Forest, Table, Value
from training.guessing.baselines import Tried
from training.guessing.records import place, scale_of

_NOTES = {
    "pairwise": "Balanced accuracy: the mean of those where A is better and where B is. AUROC: of preferring A.",
    "verify": "Balanced accuracy: the mean of those on right and on wrong answers. AUROC: of what speaks for yes.",
    "step": "F1: the harmonic mean of the two accuracies (ProcessBench, Zheng et al. 2024).",
    "score": "Accuracy: the very score, where gold is a whole one. Pearson: of the expected score and gold, both from "
    "0, the lowest of the scale, to 1.",
}


class _Figures(NamedTuple):
    """Names of the figures of a task; the figure at `headline` is the one that is drawn."""

    names: tuple[str, ...]
    headline: int
    measured: Callable[[Tried], tuple[Value, ...]]
    by_chance: Callable[[Sequence[Record]], tuple[Value, ...]]


def tables(name: str, task: str, tried: Sequence[Tried], records: Sequence[Record]) -> tuple[Table, Forest]:
    """The figures of every baseline on the records of one set and task, and a drawing of one of them."""
    figures = _OF_TASK[records[0].task]
    columns = [
        ("baseline", "baseline"),
        ("records", "records"),
        *((one.replace(" ", "_"), one) for one in figures.names),
    ]
    chance = figures.by_chance(records)
    rows: list[tuple[Value, ...]] = [("chance", len(records), *chance)]
    rows += [(one.baseline, len(one.records), *figures.measured(one)) for one in tried]
    questions = len({record.cluster() for record in records})
    title = f"{name}: {task} ({len(records):,} records of {questions:,} questions)"
    own = f"{name}-{task}"
    table = Table(own, title, tuple(Column(*one) for one in columns), tuple(rows), _NOTES[records[0].task])
    drawn = [_bar(str(row[0]), row[2 + figures.headline]) for row in rows[1:]]
    line = chance[figures.headline]
    assert isinstance(line, float)
    bars = tuple(bar for bar in drawn if bar is not None)
    return table, Forest(f"{own}-plot", title, figures.names[figures.headline], bars, line, "chance")


def _bar(label: str, value: Value) -> Bar | None:
    if isinstance(value, Proportion) and value.share is not None:
        return Bar(label, value.share, *value.interval)
    return Bar(label, value.value, *(value.interval or ())) if isinstance(value, Estimate) else None


def _two_labels(tried: Tried, positive: str) -> tuple[Value, ...]:
    said, gold = [guess.label == positive for guess in tried.guesses], [one.gold == positive for one in tried.records]
    clusters = _clusters(tried.records)
    scores = [guess.score for guess in tried.guesses]
    known = [score for score in scores if score is not None]
    return (
        clustered_proportion([one == other for one, other in zip(said, gold, strict=True)], clusters),
        bootstrap(balanced_accuracy(said, gold), len(gold), clusters),
        bootstrap(auroc(known, gold), len(gold), clusters) if len(known) == len(gold) else None,
    )


def _steps(tried: Tried) -> tuple[Value, ...]:
    said, gold = [int(guess.label) for guess in tried.guesses], [int(record.gold) for record in tried.records]
    found = measure_steps(said, gold, _clusters(tried.records))
    return _unless_none(found.on_erroneous), _unless_none(found.on_correct), found.f1


def _unless_none(found: Proportion) -> Proportion | None:
    return found if found.of else None


def _scores(tried: Tried) -> tuple[Value, ...]:
    clusters = _clusters(tried.records)
    whole = [number for number, record in enumerate(tried.records) if float(record.gold).is_integer()]
    hits = [float(tried.guesses[number].label) == tried.records[number].gold for number in whole]
    said = [place(one, guess.score or 0.0) for one, guess in zip(tried.records, tried.guesses, strict=True)]
    gold = [place(record, record.gold) for record in tried.records]
    return (
        _unless_none(clustered_proportion(hits, of_those(whole, clusters))),
        bootstrap(pearson(said, gold), len(gold), clusters),
    )


def _clusters(records: Sequence[Record]) -> list[str]:
    return [record.cluster() for record in records]


def _step_chance(records: Sequence[Record]) -> tuple[Value, ...]:
    """Every label of a solution is as probable as any other; -1 is one of them."""
    on_erroneous, on_correct = (
        _mean([1 / (len(vars(record)["steps"]) + 1) for record in records if (record.gold == NONE_WRONG) is is_right])
        for is_right in (False, True)
    )
    if on_erroneous is None or on_correct is None:
        return on_erroneous, on_correct, 0.0
    return on_erroneous, on_correct, 2 * on_erroneous * on_correct / (on_erroneous + on_correct)


def _score_chance(records: Sequence[Record]) -> tuple[Value, ...]:
    sizes = [high - low + 1 for record in records for low, high in [scale_of(record)]]
    return _mean([1 / size for size in sizes]), 0.0


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


_TWO = ("accuracy", "balanced accuracy", "AUROC")
_OF_TASK = {
    "pairwise": _Figures(_TWO, 0, lambda tried: _two_labels(tried, "A"), lambda _: (0.5, 0.5, 0.5)),
    "verify": _Figures(_TWO, 1, lambda tried: _two_labels(tried, "yes"), lambda _: (0.5, 0.5, 0.5)),
    "step": _Figures(("accuracy, a step is wrong", "accuracy, no step is wrong", "F1"), 2, _steps, _step_chance),
    "score": _Figures(("accuracy", "Pearson"), 1, _scores, _score_chance),
}
