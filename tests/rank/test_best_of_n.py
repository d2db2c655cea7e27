"""The curve of best of n is the mean over all subsets, and its ends are known."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.rank.best_of_n import Candidate, best_of_n, found, picked, voted
from fare_cli.rank.final_answers import closing_answer, final_answer
from fare_cli.rank.places import Places, mean_surely_above, places

answers_to_one = st.lists(
    st.builds(Candidate, st.booleans(), st.none() | st.integers(0, 3).map(float), st.sampled_from(["7", "8", None])),
    min_size=1,
    max_size=6,
)


def best_are_right(answers: tuple[Candidate, ...]) -> float:
    """The mean rightness of the most valued, by looking."""
    values = [-1.0 if one.value is None else one.value for one in answers]
    best = [one.right for one, value in zip(answers, values, strict=True) if value == max(values)]
    return sum(best) / len(best)


@settings(max_examples=60)
@given(answers_to_one, st.data())
def test_a_pick_is_the_mean_over_all_subsets(answers: list[Candidate], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(answers)))
    subsets = list(itertools.combinations(answers, n))
    assert picked(answers, n) == pytest.approx(sum(map(best_are_right, subsets)) / len(subsets))
    assert found(answers, n) == pytest.approx(sum(any(one.right for one in each) for each in subsets) / len(subsets))
    assert 0 <= voted(answers, n) <= found(answers, n) + 1e-9


def questions(count: int, value: str, seed: int = 0) -> list[list[Candidate]]:
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        easy = draw.random()
        rights = [draw.random() < easy for _ in range(5)]
        finals = ["7" if right else draw.choice(["1", "2", "3"]) for right in rights]
        values = {"perfect": lambda right: float(right), "random": lambda _: draw.random(), "none": lambda _: None}
        made.append([Candidate(*row) for row in zip(rights, map(values[value], rights), finals, strict=True)])
    return made


def test_a_perfect_judge_is_the_oracle_and_a_random_one_any() -> None:
    for point in best_of_n(questions(200, "perfect")):
        assert point.judge is not None
        assert point.oracle is not None
        assert point.judge.value == pytest.approx(point.oracle.value)
    for point in best_of_n(questions(400, "random")):
        assert point.judge is not None
        assert point.judge.interval is not None
        assert point.random is not None
        assert point.judge.interval.low <= point.random.value <= point.judge.interval.high
    for point in best_of_n(questions(50, "none")):
        assert point.judge is not None
        assert point.random is not None
        assert point.judge.value == pytest.approx(point.random.value)


def test_more_answers_help_the_oracle_and_the_majority_and_one_answer_is_any() -> None:
    points = best_of_n(questions(300, "perfect"))
    assert [point.n for point in points] == [1, 2, 3, 4, 5]
    assert len({round(one.value, 9) for one in (points[0].judge, points[0].majority, points[0].random) if one}) == 1
    oracle = [point.oracle.value for point in points if point.oracle]
    assert oracle == sorted(oracle)
    assert points[4].majority is not None
    assert points[0].majority is not None
    assert points[4].majority.value > points[0].majority.value + 0.03
    assert points[4].gain is not None
    assert points[4].gain.value == pytest.approx(oracle[4] - points[4].majority.value)


def test_without_final_answers_there_is_no_majority_and_without_questions_no_curve() -> None:
    (point,) = best_of_n([[Candidate(True, 1.0)]])
    assert point.majority is None
    assert best_of_n([]) == []


def test_the_majority_of_many_answers_is_estimated_near_its_exact_value() -> None:
    many = [Candidate(number < 9, 0.0, "7" if number < 9 else "8") for number in range(16)]
    # 12,870 subsets of 8: right where 5 or more of the 9 are in, half where 4 are.
    total = sum(1 for _ in itertools.combinations(range(16), 8))
    counts = [sum(one < 9 for one in each) for each in itertools.combinations(range(16), 8)]
    exact = sum((count > 4) + (count == 4) / 2 for count in counts) / total
    assert voted(many, 8) == pytest.approx(exact, abs=0.03)


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("3+4 = <<3+4=7>>7\nA: 7", "7"),
        ("so\n#### 1,000", "1000"),
        ("A: 16.0", "16"),
        ("A: $12.50 dollars", "12.5"),
        ("Answer: -3", "-3"),
        ("The answer is **42**.", "42"),
        ("thus \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{5} no, wait: \\boxed{6}", "6"),
        ("A: 5\nThat was wrong.\nA: 50%", "50"),
        ("Final answer: Blue.", "blue"),
        ("A: .5", "0.5"),
        ("The answer to this problem is 6.", "6"),
        ("**Answer:** 18", "18"),
        ("**Final Answer: 18**", "18"),
        ("### Answer:\n\n18", "18"),
        ("\\boxed{\\frac{\\sqrt{3}}{2}}", "\\frac{\\sqrt{3}}{2}"),
        ("A: 1/2", "1/2"),
        ("A: 3:45.", "3:45"),
        ("A: 6 guns/person", "6"),
        ("The answer is 7, as 3 + 4 = 7.", "7"),
        ("A: 10^{5}", "10^{5}"),
        ("\\boxed{2\\sqrt{3}}", "2\\sqrt{3}"),
        ("\\boxed{50\\%}", "50"),
        ("The answer is $\\boxed{7}$.", "7"),
        ("Answer: £7", "7"),
        ("it is 7", None),
        ("", None),
        ("A:", None),
    ],
)
def test_final_answers(solution: str, answer: str | None) -> None:
    assert final_answer(solution) == answer


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("So 7.\nAnswer: 7", "7"),
        ("So 7.\n\\[\n\\boxed{7} \\text{ m}\n\\]\n", "7"),
        ("**Answer:**\n\n**7**\n", "**7**"),
        ("The answer is 7. That is all.", "7. That is all."),
        ("Answer: 7\n\nQuestion: what is 3 + 3?", None),
        ("Answer: 5\nNo.\nAnswer: 7", "7"),
        ("It is 7.", None),
    ],
)
def test_an_answer_that_closes_a_solution(solution: str, answer: str | None) -> None:
    assert closing_answer(solution) == answer


def test_places_are_ranges_where_systems_are_not_told_apart() -> None:
    above = {(0, 2), (0, 3), (1, 3)}
    found = places(4, lambda one, other: (one, other) in above)
    assert found == [Places(1, 2), Places(1, 3), Places(2, 4), Places(3, 4)]
    assert [str(one) for one in found] == ["1-2", "1-3", "2-4", "3-4"]
    assert str(Places(2, 2)) == "2"


def test_a_mean_is_surely_above_by_the_questions_that_both_answered() -> None:
    low = {f"q{n}": [0.0] for n in range(30)}
    high = {f"q{n}": [1.0] for n in range(30)}
    assert mean_surely_above(high, low)
    assert not mean_surely_above(low, high)
    assert not mean_surely_above(low, low)
    five = {f"q{n}": [1.0] for n in range(5)}
    assert not mean_surely_above(five, low), "5 of 5 come of chance in 6 of 100 cases"
    assert mean_surely_above({**five, "q5": [1.0]}, low)
    mixed = {f"q{n}": [float(n % 3 == 0)] for n in range(30)}
    assert mean_surely_above(mixed, low)
    assert not mean_surely_above({f"x{n}": [1.0] for n in range(30)}, low), "no question in common"
