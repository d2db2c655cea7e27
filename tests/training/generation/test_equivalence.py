"""Equal answers are equal however they are written, and what was not decided is not called different."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator

import pytest

from fare_cli.errors import EnvironmentFault
from fare_cli.rank.final_answers import marked_answer
from tests.rank.test_real_solutions import ROWS
from training.generation.equivalence import Equivalence


@pytest.fixture(scope="module")
def equivalence() -> Iterator[Equivalence]:
    with Equivalence() as made:
        yield made


@pytest.mark.parametrize(
    ("known", "said", "outcome"),
    [
        ("18", "$18.00", "same"),
        ("1,000", "1000 dollars", "same"),
        ("1/2", "0.5", "same"),
        ("0.5", "\\frac{1}{2}", "same"),
        ("50", "50%", "same"),
        ("0.5", "50%", "same"),
        ("18", "x = 18", "same"),
        ("18", "3 * 6 = 18 apples", "same"),
        ("2x+1", "1 + 2x", "same"),
        ("\\sqrt{12}", "2\\sqrt{3}", "same"),
        ("B", "(B)", "same"),
        ("(1, 2)", "(1,2)", "same"),
        ("18", "19", "different"),
        ("7", "-7", "different"),
        ("18", "1.8", "different"),
        ("(1, 2)", "(2, 1)", "different"),
        ("B", "C", "different"),
        ("x = 3", "4", "different"),
        ("33", "33.33", "rounded"),
        ("3.33", "10/3", "rounded"),
        ("18", "18.5", "rounded"),
        ("18", "18.51", "different"),
        ("B", "18", "unreadable"),
        ("18", "2x", "unreadable"),
        ("18", "eighteen", "unreadable"),
        ("Paris", "Paris", "unreadable"),
        ("18", "\\frac{1}{2", "unreadable"),
    ],
)
def test_how_answers_compare(equivalence: Equivalence, known: str, said: str, outcome: str) -> None:
    assert equivalence.compare(known, said) == outcome


def test_the_published_labels_of_four_models_solutions_are_found_again(equivalence: Equivalence) -> None:
    found: Counter[tuple[str, bool]] = Counter()
    for row in ROWS[:100]:
        right = next((text for is_right, text in row.values() if is_right), None)
        if right is not None:
            known = marked_answer(right)
            assert known is not None
            found.update((equivalence.compare(known, marked_answer(text) or ""), label) for label, text in row.values())
    assert found["same", False] == found["different", True] == 0
    assert found["same", True] > 100
    assert found["different", False] > 100
    assert found.total() - found["same", True] - found["different", False] <= 3


def test_an_answer_that_would_take_for_ever_is_given_up_and_the_next_one_compared() -> None:
    with Equivalence(limit_s=1.0) as equivalence:
        assert equivalence.compare("18", "18") == "same"
        first = equivalence._child
        assert equivalence.compare("18", "10^{10^{10}}") == "undecided"
        assert equivalence.compare("18", "18") == "same"
        assert equivalence._child is not first, "it was not the alarm of math-verify that ended it"


def test_a_child_that_died_is_replaced() -> None:
    with Equivalence() as equivalence:
        assert equivalence.compare("18", "18") == "same"
        assert equivalence._child is not None
        equivalence._child.kill()
        equivalence._child.join()
        assert equivalence.compare("18", "18") == "undecided"
        assert equivalence.compare("18", "18") == "same"


def test_without_math_verify_nothing_is_graded(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    missing = {"math_verify"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in missing else find(name, *rest))
    with pytest.raises(EnvironmentFault, match="needs math-verify"):
        Equivalence()
