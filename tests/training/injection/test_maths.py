"""Errors in worked solutions are errors, stand where they are said to, and cannot be told by their form."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from fare_cli.importers.reading import read_rows
from training.form.shortcuts import Pair, shortcuts
from training.injection.gsm8k import FAMILIES, inject_maths
from training.injection.item import Injection
from training.injection.maths import KINDS
from training.injection.solution import Unusable, parse_solution, run_on, written

ROWS = Path(__file__).parent.parent / "fixtures" / "gsm8k.jsonl"
_SHOWN = re.compile(r"(\d[\d.,]*) ?([-+*/]) ?(\d[\d.,]*) ?= ?\$?(\d[\d.,]*\d|\d)")


@pytest.fixture(scope="module")
def injections() -> list[Injection]:
    return inject_maths(read_rows([str(ROWS)]), 0, Counter())


def test_nearly_every_solution_gets_an_error_and_every_kind_is_there(injections: list[Injection]) -> None:
    assert len(injections) >= 155
    assert {one.kind for one in injections} == set(KINDS)


def _final(text: str) -> Fraction:
    return Fraction(text.rpartition("The answer is ")[2].rstrip(".").replace(",", ""))


def test_the_wrong_answer_is_wrong_and_the_right_one_is_the_published_one(injections: list[Injection]) -> None:
    published = {
        f"gsm8k-{line}": Fraction(json.loads(text)["answer"].rpartition("#### ")[2].replace(",", ""))
        for line, text in enumerate(ROWS.read_text().splitlines(), start=1)
    }
    for one in injections:
        assert _final(one.right) == published[one.group]
        assert (_final(one.wrong) != published[one.group]) == (one.kind != "swapped")
        assert ("verify" in one.tasks) == (one.kind != "swapped")


def test_the_first_wrong_step_is_the_first_that_differs(injections: list[Injection]) -> None:
    for one in injections:
        assert len(one.right_steps) == len(one.wrong_steps)
        pairs = zip(one.right_steps, one.wrong_steps, strict=True)
        assert one.step == next(number for number, (right, wrong) in enumerate(pairs) if right != wrong)
        assert str(one.step) in one.on_wrong


def _holds(step: str) -> bool | None:
    """Whether the one equation that a step shows is true; None where it shows none, or several, or in words."""
    found = _SHOWN.findall(step)
    if len(found) != 1 or sum(map(step.count, "+-*/=")) != 2 or {"%", "x", "X", "×"} & set(step):
        return None
    left, sign, right, result = found[0]
    one, two, three = (Fraction(text.replace(",", "").rstrip(".")) for text in (left, right, result))
    return {"+": one + two == three, "-": one - two == three, "*": one * two == three, "/": one == two * three}[sign]


def test_a_wrong_result_is_the_only_false_equation_that_is_written_down(injections: list[Injection]) -> None:
    seen = Counter[bool]()
    for one in (one for one in injections if one.kind != "swapped"):
        for number, steps in enumerate(zip(one.right_steps, one.wrong_steps, strict=True)):
            right, wrong = map(_holds, steps)
            # In a few published texts the equation shown is not the one that was marked.
            if right and wrong is not None:
                assert wrong != (one.kind == "result" and number == one.step), one
                seen[wrong] += 1
    assert seen[True] > 50
    assert seen[False] > 10


def test_a_changed_value_runs_on_through_the_steps_that_use_it() -> None:
    solution = parse_solution(
        "Ann has 48 clips and half as many pins. How many things?",
        "She has 24 pins because 48/2 = <<48/2=24>>24.\nThe 24 pins and 48 clips are 48+24 = <<48+24=72>>72.\n#### 72",
    )
    from training.injection.maths import _with_result

    slip = _with_result(solution, 0, Fraction(26), "24")
    assert slip.wrong.texts == (
        "She has 26 pins because 48/2 = 26.",
        "The 26 pins and 48 clips are 48+26 = 74.",
    )


def test_a_result_that_may_be_a_number_of_the_question_is_not_changed() -> None:
    """Else "He shovels 5 driveways because 35/7 = 6" would tell the error without any thought."""
    solution = parse_solution(
        "He has $35 to earn at $7 a driveway and gets an allowance of $5. How many?",
        "He shovels 5 driveways because 35/7 = <<35/7=5>>5.\n#### 5",
    )
    with pytest.raises(Unusable):
        run_on(solution, {}, {0: Fraction(6)})


def test_no_mark_is_left_in_either_text(injections: list[Injection]) -> None:
    assert not [one for one in injections if "<<" in one.right + one.wrong or "####" in one.right + one.wrong]


def test_the_same_seed_gives_the_same_errors_and_another_one_others(injections: list[Injection]) -> None:
    assert inject_maths(read_rows([str(ROWS)]), 0, Counter()) == injections
    assert inject_maths(read_rows([str(ROWS)]), 1, Counter()) != injections


def _naive(seed: int) -> list[Pair]:
    """One result of each solution replaced by some number about as large; nothing runs on."""
    pairs = []
    for line, text in enumerate(ROWS.read_text().splitlines(), start=1):
        row = json.loads(text)
        rng = random.Random(f"{seed}/{line}")
        steps = [*parse_solution(row["question"], row["answer"]).texts]
        right = "\n".join(steps)
        place = rng.randrange(len(steps))
        numbers = list(re.finditer(r"\d+", steps[place]))
        if numbers:
            last = numbers[-1]
            new = str(int(last[0]) + rng.choice([number for number in range(-9, 30) if number]))
            steps[place] = steps[place][: last.start()] + new + steps[place][last.end() :]
            pairs.append(Pair(str(line), row["question"], right, "\n".join(steps)))
    return pairs


def test_form_does_not_tell_and_would_with_naive_numbers(injections: list[Injection]) -> None:
    """160 pairs leave an interval of 8 points to either side; a baseline may miss chance by that and no more."""
    found = shortcuts([one.pair for one in injections])
    assert found is not None
    for name, share in found._asdict().items():
        assert share.interval.low <= 0.5, name
        assert abs(share.cases / share.of - 0.5) < 0.12, name
    naive = shortcuts(_naive(0))
    assert naive is not None
    assert naive.number_repeat.interval.low > 0.65
    assert naive.bag_of_words.interval.low > 0.5


def test_a_dropped_step_is_balanced_by_a_doubled_one(injections: list[Injection]) -> None:
    kinds = Counter(one.kind for one in injections)
    assert ("dropped", "doubled") in FAMILIES
    assert abs(kinds["dropped"] - kinds["doubled"]) <= 0.5 * (kinds["dropped"] + kinds["doubled"])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("It is 3.", "no line with ####"),
        ("It is 3.\n#### 3", "no calculation is marked"),
        ("1+1 = <<1+1=3>>3\n#### 3", "a calculation that does not hold"),
        ("1+1 = <<1+1=2>>2\n#### 3", "the last result is not the answer"),
        ("1/0 = <<1/0=2>>2\n#### 2", "a formula that cannot be computed"),
        ("2**9 = <<2**9=512>>512\n#### 512", "a formula that cannot be computed"),
    ],
)
def test_what_cannot_be_checked_is_left_out_with_its_reason(answer: str, reason: str) -> None:
    with pytest.raises(Unusable, match=re.escape(reason)):
        parse_solution("How many?", answer)


@pytest.mark.parametrize(
    ("value", "like", "text"),
    [
        (Fraction(26), "24", "26"),
        (Fraction(5, 2), "1.50", "2.50"),
        (Fraction(1234), "2,500", "1,234"),
        (Fraction(1234), "2500", "1234"),
        (Fraction(1, 4), ".75", ".25"),
    ],
)
def test_a_number_is_written_like_the_one_that_it_replaces(value: Fraction, like: str, text: str) -> None:
    assert written(value, like) == text


@pytest.mark.parametrize(("value", "like"), [(Fraction(1, 3), "2.5"), (Fraction(5, 2), "3"), (Fraction(-1), "3")])
def test_a_number_that_cannot_be_written_so_is_refused(value: Fraction, like: str) -> None:
    with pytest.raises(Unusable):
        written(value, like)
