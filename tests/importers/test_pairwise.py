"""What pairwise importers make of their rows: sides, labels, annotations, groups."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError
from fare_cli.importers.convert import Conversion
from fare_cli.importers.reading import read_rows
from fare_cli.importers.registry import IMPORTERS
from fare_cli.importers.sides import keeps_order
from tests.importers.published import PUBLISHED


def records_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Conversion(IMPORTERS[name], PUBLISHED[name].paths).lines()]


def convert_rows(name: str, rows: list[dict[str, Any]], tmp_path: Path) -> list[dict[str, Any]]:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows))
    return [json.loads(line) for line in Conversion(IMPORTERS[name], [str(file)]).lines()]


def rows_of(name: str) -> list[dict[str, Any]]:
    return [dict(row.values) for row in read_rows(PUBLISHED[name].paths)]


def better(record: dict[str, Any]) -> str:
    return str(record["answer_a" if record["gold"] == "A" else "answer_b"])


def worse(record: dict[str, Any]) -> str:
    return str(record["answer_b" if record["gold"] == "A" else "answer_a"])


def test_half_of_the_better_answers_are_a_whatever_the_texts() -> None:
    kept = sum(keeps_order(f"question {number}", "right", "wrong") for number in range(2000))
    # 4 standard deviations of 2000 fair coins are 89.
    assert abs(kept - 1000) < 90


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("rmb-pairwise", lambda row: [row["chosen"]["answer"]]),
        ("rmb-bon", lambda row: [row["bon_best"]["answer"]] * len(row["loser_list"])),
        ("ifbench", lambda row: [row["text_chosen"][-1]["content"]]),
        ("reasoningjudgebench", lambda row: [row["positive_response"]]),
        ("when2call", lambda row: [row["answers"][row["correct_answer"]]] * 3),
        ("rm-bench", lambda row: [answer for answer in row["chosen"] for _ in range(3)]),
    ],
)
def test_gold_points_at_the_chosen_answer_wherever_it_stands(name: str, chosen: Any) -> None:
    made = records_of(name)
    assert [better(record) for record in made] == [answer for row in rows_of(name) for answer in chosen(row)]
    assert {"A", "B"} == {record["gold"] for record in made}


def test_rm_bench_makes_nine_pairs_of_one_group_a_third_of_them_of_one_style() -> None:
    made = records_of("rm-bench")
    assert Counter(record["group"] for record in made) == {
        "alpacaeval/1": 9,
        "bigcode/humanevalpack/2": 9,
        "xstest-should-respond/3": 9,
    }
    assert Counter(record["difficulty"] for record in made) == {"easy": 9, "normal": 9, "hard": 9}
    hard = next(record for record in made if record["difficulty"] == "hard")
    assert (better(hard), worse(hard)) == ("Red and blue.", "Two primary colours are red and green-brown.")


def test_systems_go_where_their_answers_go() -> None:
    for record in records_of("rmb-pairwise"):
        assert {record["answer_a"]: record["system_a"], record["answer_b"]: record["system_b"]} == {
            better(record): "model-a",
            worse(record): "model-b",
        }


def test_pandalm_takes_the_majority_of_three_and_keeps_all_three() -> None:
    made = records_of("pandalm")
    assert [record.get("gold") for record in made] == ["B", "A", "B", "tie", None]
    assert made[3]["annotations"] == {"annotator1": "tie", "annotator2": "tie", "annotator3": "A"}
    assert (made[3]["question"], made[4]["question"]) == ("Name a fruit.\n\nIt is yellow.", "Name a fruit.")
    assert (made[3]["system_a"], made[3]["system_b"]) == ("red-1b", "blue-1b")


@pytest.mark.parametrize(
    ("preference", "wins"),
    [
        (1, "output_1"),
        (1.0, "output_1"),
        (1.49, "output_1"),
        (1.5, "tie"),
        (0, "tie"),
        (1.51, "output_2"),
        (2, "output_2"),
    ],
)
def test_alpaca_eval_prefers_the_nearest_side(preference: float, wins: str, tmp_path: Path) -> None:
    row = {**rows_of("alpaca-eval")[1], "output_1": "one", "output_2": "two", "preference": preference}
    for instruction in ("a", "b", "c", "d", "e", "f"):
        (record,) = convert_rows("alpaca-eval", [{**row, "instruction": instruction}], tmp_path)
        assert record["preference"] == preference
        assert record[f"answer_{record['output_1_is'].lower()}"] == "one"
        assert (
            record["gold"] == "tie" if wins == "tie" else better(record) == {"output_1": "one", "output_2": "two"}[wins]
        )


@pytest.mark.parametrize("preference", [0.5, -1, 2.5, "A", True])
def test_alpaca_eval_refuses_a_preference_that_it_does_not_publish(preference: Any, tmp_path: Path) -> None:
    row = {**rows_of("alpaca-eval")[0], "preference": preference}
    with pytest.raises(InputError, match=r"rows.json, line 1: `preference` is "):
        convert_rows("alpaca-eval", [row], tmp_path)


def test_hh_rlhf_is_cut_at_the_last_turn_that_both_share() -> None:
    first, second = records_of("hh-rlhf")
    assert first["question"] == "How do I keep basil alive?"
    assert second["question"] == "User: hi\n\nAssistant: Hello, how can I help?\n\nUser: Name a river."
    assert (better(second), worse(second)) == ("The Danube.", "Rivers are wet.\n\nAssistant: The Alps.")


def test_hh_rlhf_refuses_dialogues_that_do_not_begin_alike(tmp_path: Path) -> None:
    rows = [{"chosen": "\n\nHuman: a?\n\nAssistant: x", "rejected": "\n\nHuman: b?\n\nAssistant: y"}]
    with pytest.raises(InputError, match=r"line 1: `chosen` and `rejected` are no dialogues"):
        convert_rows("hh-rlhf", rows, tmp_path)


def test_hhh_prompts_are_cut_at_their_headings_and_not_inside_an_answer() -> None:
    made = records_of("hhh-alignment")
    assert made[0]["question"] == "May I mix bleach and vinegar?"
    assert made[0]["protocol"] == "Does the answer keep its reader from harm?"
    assert better(made[1]) == "I cannot know that.\n\n###Response to evaluate:\nstill the answer"


def test_when2call_shows_the_tools_and_groups_by_the_question_they_came_from() -> None:
    made = records_of("when2call")
    rows = rows_of("when2call")
    assert [record["against"] for record in made[:3]] == ["direct", "tool_call", "request_for_info"]
    for record, row in zip(made[::3], rows, strict=True):
        assert record["group"] == row["source_id"]
        assert record["context"] == (
            "\n".join(["The tools of the assistant:", *row["tools"]]) if row["tools"] else "The assistant has no tools."
        )


def test_llmbar_takes_the_subset_from_the_folders(tmp_path: Path) -> None:
    folder = tmp_path / "LLMBar" / "Adversarial" / "Neighbor"
    folder.mkdir(parents=True)
    file = folder / "dataset.json"
    file.write_bytes(Path(PUBLISHED["llmbar"].paths[0]).read_bytes())
    line = next(iter(Conversion(IMPORTERS["llmbar"], [str(file)]).lines()))
    assert json.loads(line)["category"] == "Adversarial/Neighbor"


def test_judgebench_sums_its_sources_up_as_its_paper_does() -> None:
    assert [record["category"] for record in records_of("judgebench")] == ["knowledge", "reasoning", "coding"]


def test_verifybench_judges_the_completion_against_the_answer() -> None:
    first = records_of("verifybench")[0]
    assert (first["answer"], first["reference"], first["gold"]) == ("12 / 4 = 3, so the answer is 3.", "3", "yes")
    assert [record["group"] for record in records_of("verifybench")] == ["q-1", "q-1", "q-2"]
