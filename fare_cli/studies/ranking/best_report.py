"""Whose answers were the best, and what picking the best is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fare_cli.rank.best import By, Chosen, Standing
from fare_cli.rank.best_of_n import Candidate, CurvePoint, best_of_n
from fare_cli.rank.final_answers import final_answer
from fare_cli.report.model import Plot, Report, Series, Table
from fare_cli.studies.judging import at_chance
from fare_cli.studies.ranking.parts import Facts, chance_warning, point, table, title
from fare_cli.verdicts import Verdict


def best_report(
    chosen: Sequence[Chosen],
    standings: Sequence[Sequence[Standing | None]],
    by: By,
    verdicts: Sequence[Verdict],
    facts: Facts,
) -> Report:
    """How often who was chosen, and where gold is known what choosing is worth."""
    chance = at_chance(verdicts)
    systems = Counter(str(one.answer.system) for one in chosen if one.status == "ok" and one.answer.system is not None)
    heads = [("system", "system"), ("chosen", "chosen"), ("of", "of questions")]
    parts: list[Table | Plot] = []
    if systems:
        parts.append(
            table(
                "chosen",
                "Whose answer was chosen",
                heads,
                [(name, count, len(chosen)) for name, count in systems.most_common()],
                "",
            )
        )
    parts += curve_parts(_curve(chosen, standings, by), by)
    unjudged = sum(one.status != "ok" for one in chosen)
    return Report(
        title=title(f"The best of the answers to {len(chosen)} questions by {facts.judge}", chance),
        facts={**facts.facts, "questions": len(chosen), "without a judged answer": unjudged},
        parts=tuple(parts),
        warnings=chance_warning(chance),
    )


def _curve(chosen: Sequence[Chosen], standings: Sequence[Sequence[Standing | None]], by: By) -> list[CurvePoint]:
    questions, clusters = [], []
    for one, found in zip(chosen, standings, strict=True):
        answers = one.question.answers
        if all(answer.record.gold in ("yes", "no") for answer in answers):
            questions.append(
                [
                    Candidate(
                        answer.record.gold == "yes",
                        None if standing is None else standing.rounds * 2 + standing.value,
                        final_answer(answer.text),
                    )
                    for answer, standing in zip(answers, found, strict=True)
                ]
            )
            clusters.append(one.question.key)
    points = best_of_n(questions, clusters)
    # What a tournament of n would give does not follow from that of all.
    return points[-1:] if by == "pairwise" else points


def curve_parts(points: Sequence[CurvePoint], by: By) -> list[Table | Plot]:
    """The curve as a table and a plot; nothing without points."""
    if not points:
        return []
    columns = ["judge", "majority", "oracle", "random", "gain"]
    if points[0].majority is None:
        columns = ["judge", "oracle", "random"]
    titles = {
        "judge": "the judge's pick",
        "majority": "majority vote",
        "oracle": "oracle",
        "random": "a random pick",
        "gain": "judge - majority",
    }
    rows = [(point.n, *(getattr(point, name) for name in columns)) for point in points]
    heads = [("n", "n"), *((name, titles[name]) for name in columns)]
    note = (
        "Share of questions with a right answer when n answers are there: the mean over all subsets of n. Oracle: any "
        "of them is right."
    )
    drawn = []
    for name in columns:
        values = [(point.n, getattr(point, name)) for point in points]
        if name != "gain":
            drawn.append(
                Series(titles[name], tuple(point(n, value) for n, value in values if value is not None), "line")
            )
    return [
        table("best_of_n", "Best of n", heads, rows, note),
        Plot("best_of_n_curve", "Best of n", "n", "share right", tuple(drawn)),
    ]
