"""What is clearly one expression is read as that, and nothing else is read at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.rank.final_answers import marked_answer
from training.generation.answers import behind_equals, expression

GSM8K = Path(__file__).parent.parent / "fixtures" / "gsm8k.jsonl"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("18", "18"),
        ("**18.**", "18"),
        ("$18.00", "18.00"),
        ("\\$1,000 a week", "1000"),
        ("£12,345.67", "12345.67"),
        ("1{,}000", "1000"),
        ("20 minutes/day", "20"),
        ("18 \\text{ dollars}", "18"),
        ("18-hour", "18"),
        ("1/2 cup", "1/2"),
        ("50 percent", "50\\%"),
        ("50\\%", "50\\%"),
        ("−5", "-5"),
        ("90°", "90"),
        ("18^{\\circ}", "18"),
        ("\\(\\dfrac{1}{2}\\)", "\\dfrac{1}{2}"),
        ("\\text{(B)}", "(B)"),
        ("x = 3", "x = 3"),
        ("(1,2)", "(1,2)"),
        ("2x+1", "2x+1"),
    ],
)
def test_one_expression_is_read(text: str, read: str) -> None:
    assert expression(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "", " $ ", "Paris", "blue", "one", "3:45", "2 1/2", "1 000", "3,5", "1.5e3", "18!",
        "5 million", "3 dozen", "18 or 20", "18 or more", "7 out of ten", "2 and a half",
        "1 \\text{ hour } 30 \\text{ min}", "7, as 3 + 4 = 7", "It was 18", "$5 $6", "√2", "1" * 201,
    ],
)  # fmt: skip
def test_nothing_else_is_read(text: str) -> None:
    assert expression(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5 * 3 = 15 dollars", " 15 dollars"),
        ("Total = 15", " 15"),
        ("x <= 5", "x <= 5"),
        ("7, as 3 + 4 = 7", "7, as 3 + 4 = 7"),
        ("8 because 3 + 4 = 7", "8 because 3 + 4 = 7"),
        ("x = 1, y = 2", "x = 1, y = 2"),
    ],
)
def test_behind_an_equals_sign_stands_the_answer_if_nothing_else_is_said(text: str, said: str) -> None:
    assert behind_equals(text) == said


@given(st.integers(-(10**9), 10**9), st.sampled_from(["", "$", "€"]), st.sampled_from(["", " apples", " km/h", "."]))
def test_every_whole_number_is_read_with_whatever_stands_around_it(number: int, sign: str, unit: str) -> None:
    assert expression(f"{sign}{number:,}{unit}") == str(number)


@given(st.text())
def test_any_text_is_one_expression_or_none(text: str) -> None:
    read = expression(text)
    assert read is None or (read and "$" not in read and "\n" not in read.strip())


def test_all_answers_of_gsm8k_are_read() -> None:
    rows = [json.loads(line) for line in GSM8K.read_text("utf-8").splitlines()]
    known = [marked_answer(row["answer"]) for row in rows]
    assert len(known) == 160
    assert all(one is not None and expression(one) is not None for one in known)
