"""On real solutions of four models to 200 questions: what is known of them is found by every way of ranking."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from fare_cli.rank.best_of_n import Candidate, best_of_n
from fare_cli.rank.bradley_terry import fit
from fare_cli.rank.clones import copy_check
from fare_cli.rank.davidson import Comparison
from fare_cli.rank.difficulty import Answered, fit_difficulties
from fare_cli.rank.final_answers import final_answer

ROWS: list[dict[str, tuple[bool, str]]] = [
    json.loads(line) for line in Path(__file__).with_name("gsm8k_solutions.jsonl").read_text("utf-8").splitlines()
]
SYSTEMS = tuple(ROWS[0])
RIGHT = {name: sum(row[name][0] for row in ROWS) for name in SYSTEMS}
BEST_FIRST = sorted(SYSTEMS, key=lambda name: -RIGHT[name])


def by_gold() -> list[Comparison]:
    """A judge that knows who is right, and calls two right or two wrong solutions a tie."""
    rows = []
    for question, row in enumerate(ROWS):
        for one, other in itertools.combinations(SYSTEMS, 2):
            apart = row[one][0] - row[other][0]
            result = {1: "first", -1: "second", 0: "tie"}[apart]
            rows.append(Comparison(one, other, result, question))  # type: ignore[arg-type]
    return rows


def test_strengths_are_in_the_order_of_right_answers_and_copies_move_nobody() -> None:
    rows = by_gold()
    strengths = fit(SYSTEMS, rows)
    assert [SYSTEMS[index] for index in strengths.order] == BEST_FIRST
    assert strengths.surely_above(strengths.order[0], strengths.order[-1])
    found = copy_check(strengths, rows)
    assert found is not None
    assert found.stable
    assert abs(found.elo) < 10
    assert found.win_rate > 0.01


def test_abilities_are_in_that_order_and_hard_questions_are_those_that_few_solved() -> None:
    found = fit_difficulties(
        [Answered(name, question, row[name][0]) for question, row in enumerate(ROWS) for name in SYSTEMS]
    )
    assert found is not None
    assert sorted(SYSTEMS, key=lambda name: -found.abilities[name].value) == BEST_FIRST
    solved = {question: sum(row[name][0] for name in SYSTEMS) for question, row in enumerate(ROWS)}
    by_solved = [{found.items[q].value for q, count in solved.items() if count == many} for many in range(5)]
    for harder, easier in itertools.pairwise(by_solved):
        assert min(harder) > max(easier)


def test_best_of_n_on_them() -> None:
    points = best_of_n(
        [[Candidate(row[name][0], None, final_answer(row[name][1])) for name in SYSTEMS] for row in ROWS]
    )
    last = points[-1]
    assert last.n == 4
    assert last.oracle is not None
    assert last.oracle.value == pytest.approx(sum(any(right for right, _ in row.values()) for row in ROWS) / 200)
    assert last.random is not None
    assert last.random.value == pytest.approx(sum(RIGHT.values()) / 800)
    assert last.majority is not None
    assert last.random.value < last.majority.value < last.oracle.value


def test_all_final_answers_are_found() -> None:
    assert all(final_answer(text) is not None for row in ROWS for _, text in row.values())
