"""The alternative annotator test: the paper's formulas written out on the same rows, and its promises kept.

Run once on the 52 judges and 9 data sets of the authors' repository (nitaytech/AltTest), it gives the winning rate and
the advantage probability that they publish, all to the two digits given.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from fare_cli.meta.alternative_annotator import alternative_annotator_test
from tests.simulating import answers, judged


def by_the_paper(judge: list[Any], people: list[dict[str, Any]], epsilon: float, numeric: bool) -> tuple[float, float]:
    """Winning rate and advantage by sections 3 and 4 of the paper, with Benjamini & Yekutieli's thresholds."""
    p_values, advantages = [], []
    for name in sorted({name for labels in people for name in labels}):
        gaps, wins = [], []
        for said, labels in zip(judge, people, strict=True):
            others = [label for other, label in labels.items() if other != name]
            if name not in labels or not others:
                continue
            if numeric:
                scores = [
                    -math.sqrt(sum((one - other) ** 2 for other in others) / len(others))
                    for one in (said, labels[name])
                ]
            else:
                scores = [sum(one == other for other in others) / len(others) for one in (said, labels[name])]
            wins.append(scores[0] >= scores[1])
            gaps.append((scores[1] >= scores[0]) - (scores[0] >= scores[1]))
        mean, spread = np.mean(gaps), np.std(gaps, ddof=1) / math.sqrt(len(gaps))
        p_values.append(float(t.cdf((mean - epsilon) / spread, len(gaps) - 1)))
        advantages.append(np.mean(wins))
    harmonic = sum(1 / rank for rank in range(1, len(p_values) + 1))
    ranked = sorted(p_values)
    passing = [rank for rank, p in enumerate(ranked, start=1) if p <= rank / len(ranked) * 0.05 / harmonic]
    return (max(passing) if passing else 0) / len(ranked), float(np.mean(advantages))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.1, 0.2]), st.booleans(), st.floats(0.3, 0.9))
def test_winning_rate_and_advantage_are_the_papers(seed: int, epsilon: float, numeric: bool, good: float) -> None:
    draw = random.Random(seed)
    truths = [draw.randint(1, 4) for _ in range(45)]

    def seen(truth: int, reliability: float) -> int:
        return truth if draw.random() < reliability else draw.randint(1, 4)

    judge = [seen(truth, good) for truth in truths]
    people = [
        {name: seen(truth, reliability) for name, reliability in zip("abcd", (0.8, 0.6, 0.6, 0.4), strict=True)}
        for truth in truths
    ]
    for labels in people[:5]:
        del labels["d"]
    found = alternative_annotator_test(judge, people, epsilon=epsilon, numeric=numeric)
    assert found is not None
    assert (found.winning_rate, found.advantage) == pytest.approx(by_the_paper(judge, people, epsilon, numeric))
    assert found.passed == (found.winning_rate >= 0.5)
    assert [one.records for one in found.against] == [45, 45, 45, 40]


def people_of(truths: list[str], draw: random.Random, reliability: float) -> list[dict[str, Any]]:
    other = {"yes": "no", "no": "yes"}
    return [{name: truth if draw.random() < reliability else other[truth] for name in "abc"} for truth in truths]


@pytest.mark.parametrize(("accuracy", "passes"), [(0.95, True), (0.5, False)])
def test_a_good_simulated_judge_passes_and_a_poor_one_does_not(accuracy: float, passes: bool) -> None:
    records = answers(150)
    judge = [one.verdict for one in judged("verify", records, accuracy=accuracy)]
    people = people_of([record["gold"] for record in records], random.Random(1), 0.85)
    found = alternative_annotator_test(judge, people, epsilon=0.15)
    assert found is not None
    assert found.passed == passes
    # Equally close, or on the side of the two others: both of them right, or both wrong, or one of each.
    both, neither = 0.85**2, 0.15**2
    ahead = 1 - accuracy * 0.15 * neither - (1 - accuracy) * 0.85 * both
    assert found.advantage == pytest.approx(ahead, abs=0.05)


def test_a_judge_that_is_behind_by_epsilon_passes_once_in_20_times_at_most() -> None:
    """People at 0.9, whom the judge trails by just as much as epsilon grants: no annotator is beaten but by chance."""
    draw = random.Random(9)
    epsilon = 0.1
    # A person is on the side of the truth of the two others more often: (0.9 - q) x (0.81 - 0.01) = epsilon.
    quality = 0.9 - epsilon / 0.8
    won = 0
    for _ in range(200):
        truths = [draw.choice(["yes", "no"]) for _ in range(60)]
        judge = [truth if draw.random() < quality else "neither" for truth in truths]
        judge = [
            label if label != "neither" else ("no" if truth == "yes" else "yes")
            for label, truth in zip(judge, truths, strict=True)
        ]
        found = alternative_annotator_test(judge, people_of(truths, draw, 0.9), epsilon=epsilon)
        assert found is not None
        won += found.passed
    assert won / 200 <= 0.07


def test_too_few_annotators_or_records_have_no_test() -> None:
    draw = random.Random(1)
    truths = [draw.choice(["yes", "no"]) for _ in range(40)]
    people = people_of(truths, draw, 0.8)
    assert alternative_annotator_test(truths, [{"a": one["a"], "b": one["b"]} for one in people], epsilon=0.1) is None
    assert alternative_annotator_test(truths[:29], people[:29], epsilon=0.1) is None
    assert alternative_annotator_test([], [], epsilon=0.1) is None
    few: list[dict[str, Any]] = [{**one, "d": "yes" if number < 29 else None} for number, one in enumerate(people)]
    found = alternative_annotator_test(truths, few, epsilon=0.1)
    assert found is not None
    assert found.left_out == ("d",)
    assert [one.annotator for one in found.against] == ["a", "b", "c"]
    # Records without a label of the judge, or of a single person, say nothing.
    gaps = [None if number % 4 == 0 else truth for number, truth in enumerate(truths)]
    found = alternative_annotator_test(gaps, people, epsilon=0.1)
    assert found is not None
    assert [one.records for one in found.against] == [30, 30, 30]


def test_people_who_never_differ_leave_the_mean_to_decide() -> None:
    people = [{"a": "yes", "b": "yes", "c": "yes"}] * 30
    same = alternative_annotator_test(["yes"] * 30, people, epsilon=0.1)
    assert same is not None
    assert (same.winning_rate, same.advantage) == (1.0, 1.0)
    never = alternative_annotator_test(["no"] * 30, people, epsilon=0.1)
    assert never is not None
    assert (never.winning_rate, never.advantage) == (0.0, 0.0)
    level = alternative_annotator_test(["yes"] * 30, people, epsilon=0.0)
    assert level is not None
    assert level.winning_rate == 0.0
