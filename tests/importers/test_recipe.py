"""Recipes: what they make of rows, and what they say when they are wrong."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError, UsageError
from fare_cli.importers.convert import Conversion
from fare_cli.importers.recipe import mapped, read_recipe


def convert(recipe: str, rows: list[dict[str, Any]] | str, tmp_path: Path) -> list[dict[str, Any]]:
    file = tmp_path / "mine.toml"
    file.write_text(recipe)
    data = tmp_path / "rows"
    data.write_text(rows if isinstance(rows, str) else json.dumps(rows))
    conversion = Conversion(read_recipe(file).importer(), [str(data)])
    made = [json.loads(line) for line in conversion.lines()]
    return [*made, {"skipped": dict(conversion.skipped)}] if conversion.skipped else made


def test_a_map_takes_fields_from_inside_and_keeps_all_others(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps([{"messages": [{"role": "user", "content": "2+2?"}], "reply": "4", "ok": True, "n": 1}]))
    recipe = mapped("verify", {"question": "messages.0.content", "answer": "reply", "gold": "ok"})
    (line,) = Conversion(recipe.importer(), [str(file)]).lines()
    assert json.loads(line) == {
        "id": "verify-1",
        "question": "2+2?",
        "answer": "4",
        "gold": "yes",
        "messages": [{"role": "user", "content": "2+2?"}],
        "n": 1,
    }


def test_a_map_to_a_field_that_no_record_has_names_the_near_one() -> None:
    with pytest.raises(UsageError) as error:
        mapped("pairwise", {"answr_a": "x"})
    assert error.value.hint == "did you mean answer_a?"


def test_labels_are_written_as_json_writes_them(tmp_path: Path) -> None:
    recipe = """
        task = "pairwise"
        [map]
        gold = "winner"
        [labels]
        1 = "A"
        "2.0" = "B"
        true = "tie"
        null = "tie"
        both = "tie"
    """
    row = {"question": "?", "answer_a": "x", "answer_b": "y"}
    made = convert(recipe, [{**row, "winner": label} for label in (1, 2.0, True, None, "both", "1")], tmp_path)
    assert [record["gold"] for record in made] == ["A", "B", "tie", "tie", "tie", "A"]
    with pytest.raises(InputError, match=r"line 2: `winner` is 3, and \[labels\] has 1, 2.0, true, null, both"):
        convert(recipe, [{**row, "winner": 1}, {**row, "winner": 3}], tmp_path)


def test_labels_hold_for_every_annotator(tmp_path: Path) -> None:
    recipe = 'task = "verify"\n[map]\nannotations = "votes"\n[labels]\ngood = "yes"\nbad = "no"\n'
    row = {"question": "?", "answer": "x"}
    made = convert(recipe, [{**row, "votes": ["good", "bad", None]}, {**row, "votes": {"ann": "good"}}], tmp_path)
    assert [record["annotations"] for record in made] == [{"1": "yes", "2": "no", "3": None}, {"ann": "yes"}]


@pytest.mark.parametrize("base", [0, 1])
def test_steps_are_counted_from_the_index_base(base: int, tmp_path: Path) -> None:
    recipe = f'task = "step"\nindex_base = {base}\n[labels]\n"N/A" = -1\n'
    rows = [{"question": "?", "steps": ["a", "b"], "gold": label} for label in (base, str(base + 1), "N/A")]
    assert [record["gold"] for record in convert(recipe, rows, tmp_path)] == [0, 1, -1]


def test_a_step_before_the_first_is_refused_rather_than_taken_for_none(tmp_path: Path) -> None:
    rows = [{"question": "?", "steps": ["a", "b"], "gold": 0}]
    with pytest.raises(
        InputError, match=r"line 1: `gold` is 0, and steps count from 1; \[labels\] can say what it means"
    ):
        convert('task = "step"\nindex_base = 1\n', rows, tmp_path)


def test_a_recipe_cuts_answers_into_steps(tmp_path: Path) -> None:
    recipe = 'task = "step"\nsplit = "lines"\n[map]\nanswer = "solution"\n'
    (record,) = convert(recipe, [{"question": "?", "solution": "one\ntwo\n"}], tmp_path)
    assert record["steps"] == ["one", "two"]


def test_a_table_becomes_records_with_a_rubric_and_numbers_as_labels(tmp_path: Path) -> None:
    recipe = """
        task = "score"
        name = "clarity"
        [map]
        question = "prompt"
        answer = "reply"
        gold = "stars"
        [constants]
        rubric = "How clear is it?"
        scale = [1, 4]
        [skip]
        stars = ["0", "n/a"]
    """
    table = "prompt,reply,stars,reference\nWhy?,Because.,3,\nWho?,Ann.,0,\nWhen?,Now.,,\nWhere?,Here.,2.5,There.\n"
    made = convert(recipe, table, tmp_path)
    assert made[-1] == {"skipped": {"stars is 0": 1}}
    assert [(record["id"], record.get("gold"), record.get("reference")) for record in made[:-1]] == [
        ("clarity-2", 3.0, None),
        ("clarity-4", None, None),
        ("clarity-5", 2.5, "There."),
    ]
    assert {json.dumps([record["rubric"], record["scale"]]) for record in made[:-1]} == {'["How clear is it?", [1, 4]]'}


def test_sides_are_balanced_where_the_better_answer_comes_first(tmp_path: Path) -> None:
    recipe = """
        task = "pairwise"
        balance_sides = true
        [map]
        answer_a = "chosen"
        answer_b = "rejected"
        system_a = "by"
        [constants]
        gold = "A"
        annotations = {ann = "A", bo = "tie"}
    """
    rows = [{"question": f"{n}?", "chosen": "good", "rejected": "bad", "by": "ours"} for n in range(200)]
    made = convert(recipe, rows, tmp_path)
    for record in made:
        side = record["gold"].lower()
        assert (record[f"answer_{side}"], record[f"system_{side}"]) == ("good", "ours")
        assert record["annotations"] == {"ann": record["gold"], "bo": "tie"}
    golds = Counter(record["gold"] for record in made)
    # 4 standard deviations of 200 fair coins are 28.
    assert abs(golds["A"] - 100) < 28


def test_a_missing_field_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows, line 1: `winner` is missing; the row has question"):
        convert('task = "verify"\n[map]\ngold = "winner"\n', [{"question": "?"}], tmp_path)


@pytest.mark.parametrize(
    ("recipe", "message", "hint"),
    [
        ('task = "pairwise"\n[lables]\n', "`lables` is not known", "did you mean labels?"),
        ('tasks = "pairwise"\n', "`tasks` is not known", "did you mean task?"),
        ('task = "pairwise"\n[map]\nanswr_a = "x"\n', "`map.answr_a` is not known", "did you mean answer_a?"),
        ('task = "score"\n[constants]\nrubrik = "x"\n', "`constants.rubrik` is not known", "did you mean rubric?"),
        ('task = "rank"\n', "`task`: Input should be 'pairwise', 'step', 'verify' or 'score'", None),
        ("[map]\n", "`task` is missing", 'for example task = "pairwise"'),
        ('task = "step"\nindex_base = 2\n', "`index_base`: Input should be 0 or 1", None),
        ('task = "verify"\nindex_base = 1\n', "`index_base` is for step records, and these are verify", None),
        ('task = "verify"\nsplit = "lines"\n', "`split` is for step records, and these are verify", None),
        ('task = "verify"\nbalance_sides = true\n', "`balance_sides` is for pairwise records", None),
        (
            'task = "verify"\n[map]\ngold = "x"\n[constants]\ngold = "yes"\n',
            "`gold` is in [map] and in [constants]",
            None,
        ),
        ('task = "verify"\n[map]\nquestion = ["a"]\n', "`map.question`: Input should be a valid string", None),
        ("task = verify\n", "is not TOML: ", None),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(recipe: str, message: str, hint: str | None, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(recipe)
    with pytest.raises(UsageError) as error:
        read_recipe(file)
    assert error.value.message.startswith(f"{file}")
    assert message in error.value.message
    assert error.value.hint == hint


def test_a_recipe_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_recipe(tmp_path / "none.toml")
