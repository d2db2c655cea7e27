"""A judge among people: alpha as Krippendorff's library has it, kappas by hand, and people of known reliability."""

from __future__ import annotations

import random
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from fare_cli.meta.annotators import Level, alpha, human_ceiling, measure_agreement
from tests.simulating import answers, judged

LEVELS = st.sampled_from(["nominal", "ordinal", "interval"])


@given(st.lists(st.lists(st.integers(1, 4), max_size=4), min_size=2, max_size=12), LEVELS)
def test_alpha_is_that_of_the_library(labels: list[list[int]], level: Level) -> None:
    paired = [label for given in labels if len(given) > 1 for label in given]
    if len({*paired}) < 2:
        return
    counts = [[given.count(label) for label in range(1, 5)] for given in labels]
    expected = krippendorff.alpha(value_counts=counts, value_domain=[1, 2, 3, 4], level_of_measurement=level)
    assert alpha(labels, level)(np.ones(len(labels), np.intp)) == pytest.approx(expected, abs=1e-9)
    # A record drawn twice is two records.
    with np.errstate(invalid="ignore", divide="ignore"):
        assert alpha(labels, level)(np.full(len(labels), 2)) == pytest.approx(
            alpha(labels * 2, level)(np.ones(2 * len(labels), np.intp))
        )


def test_alpha_of_krippendorffs_own_example() -> None:
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: 12 units, 4 observers."""
    rows = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
    units = list(zip(*(row.split() for row in rows), strict=True))
    labels = [[int(one) for one in unit if one != "."] for unit in units]
    everything = np.ones(12, np.intp)
    assert alpha(labels, "nominal")(everything) == pytest.approx(0.743, abs=5e-4)
    assert alpha(labels, "ordinal")(everything) == pytest.approx(0.815, abs=5e-4)
    assert alpha(labels, "interval")(everything) == pytest.approx(0.849, abs=5e-4)


def people_of(truths: list[str], draw: random.Random, reliability: float, names: str = "abc") -> list[dict[str, Any]]:
    """Labels of people who each see the truth with the same reliability."""
    other = {"yes": "no", "no": "yes"}
    return [{name: truth if draw.random() < reliability else other[truth] for name in names} for truth in truths]


def holds(found: Any, true: float) -> bool:
    return bool(found.interval.low < true < found.interval.high)


def test_agreement_of_a_simulated_judge_with_people_of_known_reliability_is_recovered() -> None:
    """Two that see the truth with p and q, half of it yes, have kappa and alpha (2p - 1)(2q - 1)."""
    draw = random.Random(1)
    records = answers(700)
    judge = [one.verdict for one in judged("verify", records, accuracy=0.8, seed=2)]
    people = people_of([record["gold"] for record in records], draw, 0.9)
    found = measure_agreement(judge, people)
    assert holds(found.kappa_judge, 0.6 * 0.8)
    assert holds(found.kappa_people, 0.8 * 0.8)
    assert holds(found.alpha_people, 0.8 * 0.8)
    assert holds(found.alpha_with_judge, (3 * 0.64 + 3 * 0.48) / 6)
    for name, kappa in found.kappa_with.items():
        assert kappa == pytest.approx(cohen_kappa_score(judge, [labels[name] for labels in people]))
    ceiling = human_ceiling(judge, people)
    # Two others agree on the truth, or on its opposite, or one each, which is worth a half.
    assert ceiling.measure == "accuracy"
    assert holds(ceiling.people, 0.9 * 0.81 + 0.1 * 0.01 + 0.5 * 0.18)
    assert holds(ceiling.judge, 0.8 * 0.81 + 0.2 * 0.01 + 0.5 * 0.18)
    assert holds(ceiling.difference, -0.1 * 0.8)


def test_scores_of_people_are_numbers() -> None:
    """People and judge see a true score of variance 1 with errors of variance 0.5 and 0.25."""
    draw = random.Random(2)
    truths = [draw.gauss(3, 1) for _ in range(600)]
    people = [{name: truth + draw.gauss(0, 0.5**0.5) for name in "abc"} for truth in truths]
    judge = [truth + draw.gauss(0, 0.5) for truth in truths]
    ceiling = human_ceiling(judge, people, level="interval")
    assert ceiling.measure == "correlation"
    assert holds(ceiling.people, 1 / (1.5 * 1.25) ** 0.5)
    assert holds(ceiling.judge, 1 / (1.25 * 1.25) ** 0.5)
    assert holds(ceiling.difference, 0.8 - 1 / (1.5 * 1.25) ** 0.5)
    found = measure_agreement(judge, people, level="interval")
    assert holds(found.alpha_people, 1 / 1.5)
    assert holds(found.alpha_with_judge, (3 / 1.5 + 3 / (1.5 * 1.25) ** 0.5) / 6)


def test_kappa_of_scores_has_quadratic_weights() -> None:
    draw = random.Random(6)
    judge = [draw.randint(1, 5) for _ in range(80)]
    people = [{"a": min(5, score + draw.randint(0, 2))} for score in judge]
    expected = cohen_kappa_score(judge, [one["a"] for one in people], weights="quadratic", labels=[1, 2, 3, 4, 5])
    for level in ("ordinal", "interval"):
        found = measure_agreement(judge, people, level=level)  # type: ignore[arg-type]
        assert found.kappa_with["a"] == pytest.approx(expected)


def test_a_left_out_person_by_hand() -> None:
    found = human_ceiling(
        ["x", "y", None], [{"a": "x", "b": "x", "c": "y"}, {"a": "y", "b": "x"}, {"a": "x", "b": "x"}]
    )
    # Against the others: a and b of the first have one x and one y, c has two x. Of the second, each has the other.
    assert found.people is not None
    assert found.people.value == pytest.approx((0.5 + 0.5 + 0 + 0 + 0) / 5)
    assert found.judge is not None
    assert found.judge.value == pytest.approx((0.5 + 0.5 + 1 + 0 + 1) / 5)


def test_missing_labels_are_left_out() -> None:
    draw = random.Random(3)
    truths = [draw.choice(["yes", "no"]) for _ in range(100)]
    people = people_of(truths, draw, 0.9)
    gaps: list[dict[str, Any]] = [
        {**labels, "d": None, "b": labels["b"] if number < 29 else None} for number, labels in enumerate(people)
    ]
    found = measure_agreement(truths, gaps)
    assert set(found.kappa_with) == {"a", "c"}  # b labelled 29 records, one too few
    assert found.kappa_with["a"] == pytest.approx(cohen_kappa_score(truths, [labels["a"] for labels in gaps]))
    nobody = measure_agreement([None] * 3, [{}, {"a": None}, {"a": "yes"}])
    assert nobody == ({}, None, None, None, None)
    assert human_ceiling([None] * 3, [{}, {"a": "yes", "b": "no"}, {}]).people is None
    with pytest.raises(ValueError):
        measure_agreement(["yes"], [])


def test_copies_in_a_cluster_do_not_narrow_any_interval() -> None:
    draw = random.Random(4)
    truths = [draw.choice(["yes", "no"]) for _ in range(60)]
    people, judge = people_of(truths, draw, 0.8), [labels["a"] for labels in people_of(truths, draw, 0.7)]
    one, copied = measure_agreement(judge, people), measure_agreement(judge * 5, people * 5, list(range(60)) * 5)
    for name in ("kappa_judge", "kappa_people"):
        assert getattr(copied, name).interval == pytest.approx(getattr(one, name).interval)
    # Alpha is by n - 1 labels, so copies move its value a little.
    assert copied.alpha_people is not None
    assert one.alpha_people is not None
    assert copied.alpha_people.interval == pytest.approx(one.alpha_people.interval, abs=0.01)
    ceilings = human_ceiling(judge, people), human_ceiling(judge * 5, people * 5, list(range(60)) * 5)
    assert ceilings[0].difference is not None
    assert ceilings[1].difference is not None
    assert ceilings[1].difference.interval == pytest.approx(ceilings[0].difference.interval)
