"""What an input may look like, and where a line that cannot be used stands and why."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from fare_cli.rank.answers import Material, known_without_asking, pairs_of, read_material, system_names
from fare_cli.run.reader import InputPlan

ONE_A_LINE = [
    {"question": "2+2?", "answer": "4", "system": "good", "gold": "yes"},
    {"question": "2+2?", "answer": "5", "system": "bad", "gold": "no"},
    {"question": "2+3?", "answer": "5", "system": "bad", "gold": "yes"},
]
TOGETHER = [
    {
        "question": "2+2?",
        "answers": [{"system": "good", "answer": "4", "gold": True}, {"system": "bad", "answer": "5"}],
    },
    {"question": "2+3?", "answers": {"bad": "5"}},
]


def write(path: Path, values: Iterable[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values), encoding="utf-8")
    return path


def read(tmp_path: Path, values: Iterable[Any], by: str = "pairwise", **settings: Any) -> Material:
    plan = InputPlan("score", (str(write(tmp_path / "in.jsonl", values)),), settings.pop("map", {}))
    return read_material(plan, by, **settings)


@pytest.mark.parametrize("values", [ONE_A_LINE, TOGETHER])
def test_answers_come_one_a_line_or_together(tmp_path: Path, values: list[Any]) -> None:
    material = read(tmp_path, values)
    assert material.invalid == []
    assert list(material.questions) == ["2+2?", "2+3?"]
    assert [answer.text for answer in material.answers] == ["4", "5", "5"]
    assert system_names(material) == ["good", "bad"]
    (pair,) = pairs_of(material)
    record = pair.record()
    assert {record.system_a, record.system_b} == {"good", "bad"}
    assert record.group == pair.cluster == "2+2?"


def test_a_line_with_id_and_plain_texts_is_a_group_of_its_own(tmp_path: Path) -> None:
    values = [{"id": "x", "question": "2+2?", "answers": ["4", "5", "4"]}]
    material = read(tmp_path, values, "verify", systems=False)
    assert list(material.questions) == ["x"]
    assert [answer.record.id for answer in material.answers] == ["x/1", "x/2", "x/3"]
    assert list(material.questions["x"].texts()) == ["4", "5"]


def test_gold_of_a_pair_is_the_right_one_or_the_higher_score(tmp_path: Path) -> None:
    (pair,) = pairs_of(read(tmp_path, ONE_A_LINE[:2]))
    record = pair.record()
    assert (record.answer_a if record.gold == "A" else record.answer_b) == "4"
    scored = [
        {"question": "q", "answer": str(score), "system": f"s{score}", "rubric": "r", "gold": score}
        for score in (1, 4, 4)
    ]
    records = [one.record() for one in pairs_of(read(tmp_path, [*scored[:2], {**scored[2], "answer": "four"}]))]
    assert [one.gold is None for one in records] == [one.answer_a != "1" and one.answer_b != "1" for one in records]


def test_which_answer_is_a_is_drawn_evenly_and_by_the_seed(tmp_path: Path) -> None:
    values = [{"question": f"q{n}", "answers": {"x": f"x{n}", "y": f"y{n}"}} for n in range(200)]
    material = read(tmp_path, values)
    first = [pair.record().system_a for pair in pairs_of(material, seed=1)]
    assert first == [pair.record().system_a for pair in pairs_of(material, seed=1)]
    assert first != [pair.record().system_a for pair in pairs_of(material, seed=2)]
    assert 70 < first.count("x") < 130


def test_equal_texts_are_not_asked(tmp_path: Path) -> None:
    material = read(tmp_path, [{"question": "q", "answers": {"x": "1", "y": "1", "z": "2"}}])
    (pair,) = pairs_of(material)
    assert sorted(sorted(contest) for contest in pair.contests) == [["x", "z"], ["y", "z"]]
    (known,) = known_without_asking(material)
    assert (known.first, known.second, known.result) == ("x", "y", "same")


def test_pairs_are_taken_as_they_are(tmp_path: Path) -> None:
    pair = {"question": "q", "answer_a": "1", "answer_b": "2", "system_a": "x", "system_b": "y"}
    same = {**pair, "answer_b": "1", "system_b": "z"}
    material = read(tmp_path, [pair, {**pair, "answer_a": "2", "answer_b": "1", "system_b": "w"}, same])
    assert material.shape == "pairs"
    pairs = pairs_of(material)
    assert [one.contests for one in pairs] == [(("x", "y"),), (("x", "w"),)]
    assert [one.weight for one in pairs] == [0.5, 0.5], "the same two texts weigh once"
    assert [(one.first, one.second) for one in known_without_asking(material)] == [("x", "z")]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"question": "q", "answer": "1"}, "`system` is missing: who gave the answer (see --map) (missing_field)"),
        ({"question": "q", "system": "x"}, "`answer` is missing; the record has question, system (see --map)"),
        (
            {"question": "other", "group": "g", "answer": "1", "system": "x"},
            "`question` is not that of the same group in line 1",
        ),
        ({"question": "q", "answer_a": "1", "answer_b": "2"}, "this line holds pairs, the first line holds answers"),
        ({"question": "q", "answers": "1"}, "`answers` is a list of texts or objects"),
        ({"question": "q", "answers": []}, "`answers` is a list of texts or objects"),
        ({"question": "q", "answers": {"x": "1", "y": None}}, "`answer` is missing"),
        ({"id": "taken", "question": "q", "answer": "1", "system": "x"}, "id 'taken' is taken by line 1"),
        ([1], "a record is a JSON object"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_the_others_are_used(tmp_path: Path, bad: Any, message: str) -> None:
    good = {"id": "taken", "group": "g", "question": "q", "answer": "1", "system": "x"}
    material = read(tmp_path, [good, bad, {"question": "r", "answer": "1", "system": "x"}])
    assert len(material.answers) == 2
    (said,) = material.invalid
    assert said.startswith(f"{tmp_path / 'in.jsonl'}, line 2: ")
    assert message in said


def test_a_pair_without_systems_or_of_one_with_itself_is_named(tmp_path: Path) -> None:
    pair = {"question": "q", "answer_a": "1", "answer_b": "2", "system_a": "x", "system_b": "y"}
    material = read(tmp_path, [pair, {**pair, "system_b": None}, {**pair, "system_b": "x"}, "{"])
    assert len(material.given) == 1
    assert "line 2: `system_b` is missing" in material.invalid[0]
    assert "line 3: both answers are of system 'x'" in material.invalid[1]
    assert len(material.invalid) == 3


def test_fields_are_mapped_and_lines_limited(tmp_path: Path) -> None:
    values = [{"q": f"q{n}", "by": "x", "reply": {"text": "1"}} for n in range(5)]
    settings = {"map": {"question": "q", "system": "by", "answer": "reply.text"}}
    material = read(tmp_path, values, "verify", limit=3, **settings)
    assert material.lines == 3
    assert [answer.system for answer in material.answers] == ["x", "x", "x"]
