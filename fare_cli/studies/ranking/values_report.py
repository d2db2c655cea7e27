"""Systems ranked by what the judge says of each of their answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from fare_cli.meta.bootstrap import Estimate, mean
from fare_cli.meta.clusters import clustered_proportion
from fare_cli.rank.answers import Answer, cluster_of
from fare_cli.rank.difficulty import Answered, Difficulties, fit_difficulties
from fare_cli.rank.places import mean_surely_above, places
from fare_cli.report.model import Plot, Point, Report, Series, Table, Value
from fare_cli.studies.judging import at_chance
from fare_cli.studies.ranking.asking import Valued
from fare_cli.studies.ranking.parts import PLACES_NOTE, Facts, chance_warning, standing_plot, table, title
from fare_cli.verdicts import Verdict

#: So many of the hardest and of the easiest questions are listed.
_SHOWN_ITEMS = 5
_EXCERPT = 60


def values_report(valued: Valued, task: str, facts: Facts) -> Report:
    """Systems by what the judge says of their answers one by one; for verify with the difficulty of the questions."""
    rated = [(answer, verdict) for answer, verdict in valued.all() if verdict.status == "ok"]
    verdicts = [verdict for _, verdict in valued.all()]
    names = list(dict.fromkeys(str(answer.system) for answer, _ in rated))
    by_system = {name: [(answer, verdict) for answer, verdict in rated if answer.system == name] for name in names}
    difficulties = None
    if task == "verify":
        difficulties = fit_difficulties(
            [
                Answered(str(answer.system), cluster_of(answer.record), verdict.verdict == "yes")
                for answer, verdict in rated
            ]
        )
    chance = at_chance(verdicts)
    parts = [*_value_parts(by_system, task, difficulties)]
    if difficulties is not None:
        parts += _difficulty_parts(valued, difficulties)
    return Report(
        title=title(f"Ranking of {len(names)} systems by {facts.judge}, answer by answer", chance),
        facts={
            **facts.facts,
            "answers": f"{len(rated)} of {len(verdicts)} judged, to {len(valued.questions)} questions",
        },
        parts=tuple(parts),
        warnings=chance_warning(chance),
    )


def _value_parts(
    by_system: Mapping[str, Sequence[tuple[Answer, Verdict]]], task: str, difficulties: Difficulties | None
) -> Iterator[Table | Plot]:
    points = {name: _by_question(judged, task) for name, judged in by_system.items()}
    names = sorted(by_system, key=lambda name: -_average(points[name]))
    standing = places(len(names), lambda one, other: mean_surely_above(points[names[one]], points[names[other]]))
    golden = any(verdict.correct is not None for judged in by_system.values() for _, verdict in judged)
    rows, drawn = [], []
    for place, name in zip(standing, names, strict=True):
        judged = by_system[name]
        clusters = [cluster_of(answer.record) for answer, _ in judged]
        row: list[Value] = [str(place), name, len(judged)]
        if task == "verify":
            said = clustered_proportion([verdict.verdict == "yes" for _, verdict in judged], clusters)
            drawn.append(Estimate(said.share or 0.0, said.interval))
            row.append(said)
            row.append(None if difficulties is None else difficulties.abilities[name])
            if golden:
                row.append(clustered_proportion([verdict.gold == "yes" for _, verdict in judged], clusters))
        else:
            drawn.append(mean([verdict.points() or 0.0 for _, verdict in judged], clusters) or Estimate(0.0, None))
            row.append(drawn[-1])
        rows.append(tuple(row))
    heads = [("place", "place"), ("system", "system"), ("answers", "answers")]
    heads += (
        [("right", "right, says the judge"), ("elo", "Elo (95%)")]
        if task == "verify"
        else [("score", "expected score (95%)")]
    )
    heads += [("gold", "right in truth")] if golden and task == "verify" else []
    note = f"Intervals respect that answers to one question belong together. {PLACES_NOTE}"
    yield table("ranking", "Systems by what the judge says of each answer", heads, rows, note)
    label = "share judged right" if task == "verify" else "expected score"
    yield standing_plot("standing", "Systems", label, names, drawn)


def _difficulty_parts(valued: Valued, found: Difficulties) -> Iterator[Table | Plot]:
    verdicts = dict(zip((question.key for question in valued.questions), valued.verdicts, strict=True))
    texts = {question.key: question.answers[0].record.question for question in valued.questions}
    order = sorted(found.items, key=lambda key: -found.items[key].value)
    listed = order if len(order) <= 2 * _SHOWN_ITEMS else [*order[:_SHOWN_ITEMS], *order[-_SHOWN_ITEMS:]]
    rows = []
    for key in listed:
        said = [verdict for verdict in verdicts[str(key)] if verdict.status == "ok"]
        yes = sum(verdict.verdict == "yes" for verdict in said)
        rows.append((_excerpt(texts[str(key)]), f"{yes} of {len(said)}", found.items[key]))
    heads = [("question", "question"), ("right", "right"), ("elo", "Elo (95%)")]
    yield table(
        "difficulty", "The hardest and the easiest questions", heads, rows,
        "Rasch model by the judge's verdicts: a system has even odds on a question of its own Elo. "
        f"Difficulties have a standard deviation of {found.spread:.0f} Elo.",
    )  # fmt: skip
    points = tuple(Point(number, found.items[key].value) for number, key in enumerate(order, start=1))
    yield Plot(
        "difficulties",
        "Difficulty of all questions",
        "question, the hardest first",
        "Elo",
        (Series("questions", points, "line"),),
    )


def _by_question(judged: Sequence[tuple[Answer, Verdict]], task: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for answer, verdict in judged:
        points = float(verdict.verdict == "yes") if task == "verify" else verdict.points() or 0.0
        found[cluster_of(answer.record)].append(points)
    return found


def _average(points: Mapping[str, Sequence[float]]) -> float:
    values = [value for values in points.values() for value in values]
    return sum(values) / len(values)


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else f"{line[: _EXCERPT - 3]}..."
