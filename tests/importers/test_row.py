"""Typed access to the fields of a published row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fare_cli.errors import InputError
from fare_cli.importers.row import Row


def row(**values: object) -> Row:
    return Row("data/set.jsonl", 7, values)


def test_a_field_is_found_by_its_path_and_a_dotted_name_goes_first() -> None:
    values = row(**{"a.b": "dotted", "a": {"b": "nested", "list": [{"c": 3}]}})
    assert values.text("a.b") == "dotted"
    assert values.whole("a.list.0.c") == 3
    assert not values.has("a.list.1.c")
    assert not values.has("a.b.c")


def test_numbers_may_be_written_as_text() -> None:
    assert row(step="3").whole("step") == 3
    assert row(step="-1").whole("step") == -1
    assert row(step=2.0).whole("step") == 2
    assert row(mean="2.5").number("mean") == 2.5


def test_a_choice_knows_true_from_1() -> None:
    meanings = {1: "number", "1": "text"}
    assert row(label=1).choice("label", meanings) == "number"
    assert row(label="1").choice("label", meanings) == "text"
    with pytest.raises(InputError, match="`label` is true, and 1 are known"):
        row(label=True).choice("label", {1: "A"})


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda row: row.text("none"), "`none` is missing; the row has label, steps"),
        (lambda row: row.text("label"), "`label` is a number, not text"),
        (lambda row: row.texts("steps"), "`steps.1` is a number, not text"),
        (lambda row: row.items("label"), "`label` is a number, not a list"),
        (lambda row: row.object("steps"), "`steps` is a list, not an object"),
        (lambda row: row.whole("label"), "`label` is 1.5, not a whole number"),
        (lambda row: row.number("steps.0"), '`steps.0` is "one", not a number'),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_field(ask: Callable[[Row], object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        ask(row(label=1.5, steps=["one", 2]))
    assert str(caught.value) == f"data/set.jsonl, line 7: {message}"
