"""What step importers make of their rows: the labelled step is the wrong one, whatever it was counted from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError
from fare_cli.importers.solution import unnumbered
from tests.importers.converting import converted, rows_of, written
from tests.importers.published import FIXTURES

_BEYOND = "the wrong step is beyond the last one"


def wrong_step(record: dict[str, Any]) -> str | None:
    return None if record["gold"] == -1 else record["steps"][record["gold"]]


def test_processbench_counts_from_0() -> None:
    records, _ = converted("processbench", "processbench.json")
    assert [wrong_step(record) for record in records] == [
        "She gives away 5, so 24 - 5 = 18 apples are left.",
        None,
        "The primes are 11, 13, 15, 17 and 19.",
    ]
    assert [record["category"] for record in records] == ["gsm8k", "math", "omnimath"]
    assert records[0]["system"] == records[2]["system"] == "Example-7B-Instruct"


def test_prmbench_counts_from_1() -> None:
    records, _ = converted("prmbench", "prmbench_test.jsonl")
    by_category = {record["category"]: record for record in records}
    # p was 0.29 and becomes 0.58 in the fifth of six steps.
    assert wrong_step(by_category["confidence"]) == "This simplifies to $2p=0.58$. So $p=0.58$."
    assert wrong_step(by_category["circular"]) == (
        "Assume a pencil costs 29 cents. Then verify this against the original equations."
    )
    assert by_category["multi_solutions"]["gold"] == -1


def test_prmbench_has_the_original_solution_once_a_question_and_says_where_redundancy_counts() -> None:
    records, _ = converted("prmbench", "prmbench_test.jsonl")
    (original,) = [record for record in records if record["category"] == "correct"]
    redundant = next(record for record in records if record["category"] == "redundency")
    assert original["gold"] == -1
    assert len(original["steps"]) == 6
    assert original["steps"][-1] == "That means a pencil costs 29 cents."
    assert original["group"] == redundant["group"] == "prm_test_p1_0"
    told = {record["category"] for record in records if "redundant" in record.get("protocol", "")}
    assert told == {"redundency", "circular"}


def test_prmbench_skips_a_row_that_names_a_step_beyond_the_end() -> None:
    (row,) = rows_of("prmbench_train.jsonl")
    assert max(row["error_steps"]) > len(row["modified_process"]) >= min(row["error_steps"])
    records, skipped = converted("prmbench", "prmbench_test.jsonl", "prmbench_train.jsonl")
    assert skipped == {_BEYOND: 1}
    assert len(records) == 5


def test_mr_gsm8k_counts_from_1_and_its_own_numbers_are_taken_off() -> None:
    records, _ = converted("mr-gsm8k", "mr_gsm8k.json")
    published = rows_of("mr_gsm8k.json")
    for record, row in zip(records, published, strict=True):
        number = row["model_output_solution_first_error_step"]
        (labelled,) = [step for step in row["model_output_steps"] if step.startswith(f"Step {number}:")]
        assert wrong_step(record) == labelled.removeprefix(f"Step {number}:").strip()
        assert not any(step.startswith("Step") for step in record["steps"])


def test_mr_gsm8k_skips_a_label_that_contradicts_the_correctness(tmp_path: Path) -> None:
    row = rows_of("mr_gsm8k.json")[0]
    right = {"model_output_solution_correctness": "correct"}
    none = {"model_output_solution_first_error_step": "N/A"}
    records, skipped = converted("mr-gsm8k", written(tmp_path, row, row | right, row | none, row | right | none))
    assert [record["gold"] for record in records] == [0, -1]
    assert skipped == {"the solution is called right and a wrong step is named, or wrong and none is": 2}


def test_mr_ben_counts_steps_from_1() -> None:
    records, _ = converted("mr-ben", "mr_ben_math.json")
    ((name, rows),) = json.loads((FIXTURES / "mr_ben_math.json").read_text()).items()
    assert {record["group"] for record in records} == {name}
    for record, row in zip(records, rows, strict=True):
        number = row["Model_Solution_First_Error_Step"]
        assert (number == "N/A") == (record["gold"] == -1)
        if number != "N/A":
            (labelled,) = [step for step in row["Model_Solution_Steps"] if step.startswith(f"Step {number}:")]
            assert labelled.endswith(wrong_step(record) or "?")
        assert record["question"].startswith(row["Question"])
        assert row["Options"].strip() in record["question"]


def test_mr_ben_finds_the_wrong_line_of_code_by_its_text() -> None:
    records, skipped = converted("mr-ben", "mr_ben_coding.json")
    ((_, rows),) = json.loads((FIXTURES / "mr_ben_coding.json").read_text()).items()
    assert skipped == {"the wrong line is blank": 1}
    assert [wrong_step(record) for record in records] == [row["Model_Solution_First_Error_Step"] for row in rows[1:]]
    assert all(step.strip() for record in records for step in record["steps"])


@pytest.mark.parametrize(
    ("line", "skipped"),
    [
        ("    total += 2", {"the wrong line is in the code more than once": 1}),
        ("    total += 3", {"the wrong line is not in the code": 1}),
        ("    total -= 1  ", {}),
    ],
)
def test_mr_ben_skips_a_line_that_names_no_step(tmp_path: Path, line: str, skipped: dict[str, int]) -> None:
    ((_, rows),) = json.loads((FIXTURES / "mr_ben_coding.json").read_text()).items()
    code = "def total():\n\n    total += 2\n    total -= 1\n    total += 2\n    total -= 10\n"
    changed = rows[1] | {"Model_Solution_Steps": code, "Model_Solution_First_Error_Step": line}
    records, found = converted("mr-ben", written(tmp_path, changed, rows[2]))
    assert found == skipped
    assert [record["gold"] for record in records[:-1]] == ([] if skipped else [2])


def test_bigbench_mistake_counts_from_0_and_null_is_none() -> None:
    names = ("dyck_languages", "word_sorting", "multistep_arithmetic")
    records, _ = converted("bigbench-mistake", *(f"bigbench_mistake_{name}.jsonl" for name in names))
    # 8 - 8 + 2 is 2.
    assert [wrong_step(record) for record in records if record["category"] == "multistep_arithmetic"] == [
        "Let's calculate B = (-2 * -4 - 8 + 2) = (8 - 8) = 0.",
        None,
    ]
    assert [record["category"] for record in records] == [name for name in names for _ in range(2)]
    assert [record["gold"] == -1 for record in records] == [False, True] * 3
    assert [("protocol" in record) for record in records] == [True] * 4 + [False] * 2


def test_reasoneval_tells_invalid_from_redundant_steps() -> None:
    records, _ = converted("reasoneval", "reasoneval_invalid.json", "reasoneval_redundant.json")
    assert [wrong_step(record) for record in records] == [
        None,
        "$6+2=9$, so $x=9$.",
        "I know my tables, and this is a multiplication.",
        None,
    ]
    assert records[1]["steps"][0] == "Bring the number to the right:\n$x=6+2$."
    assert [record["category"] for record in records] == ["invalid", "invalid", "redundant", "redundant"]
    assert ["protocol" in record for record in records] == [False, False, True, True]
    assert len({record["id"] for record in records}) == 4


def test_mathcheck_looks_the_printed_number_up() -> None:
    records, skipped = converted("mathcheck-process", "mathcheck.json")
    assert [wrong_step(record) for record in records] == [
        "He buys 5 more.",
        "3 shelves of 8 books are 21 books.\nThe answer is 25.",
    ]
    assert records[0]["steps"][2].startswith("$24 + 5 = 29$ books.")
    assert records[1]["steps"][0] == "Count the shelves: 3."
    assert skipped == {
        "a row of another MathCheck task": 4,
        "the wrong step's number is not in the solution, or more than once": 1,
    }


def test_mathcheck_skips_questions_with_an_image(tmp_path: Path) -> None:
    rows = rows_of("mathcheck.json")
    records, skipped = converted("mathcheck-process", written(tmp_path, rows[3], rows[3] | {"image": "images/3.jpg"}))
    assert len(records) == 1
    assert skipped == {"the question needs an image": 1}


def test_who_and_when_counts_messages_from_0() -> None:
    records, _ = converted("who-and-when", "who_and_when.jsonl")
    (row,) = rows_of("who_and_when.jsonl")
    (record,) = records
    assert wrong_step(record) == f"{row['mistake_agent']}: {row['history'][int(row['mistake_step'])]['content']}"
    assert len(record["steps"]) == len(row["history"])


def test_who_and_when_knows_the_hand_crafted_logs(tmp_path: Path) -> None:
    log = {
        "question": "When did the museum open?",
        "question_ID": "example-1",
        "history": [
            {"role": "human", "content": "When did the museum open?"},
            {"role": "Orchestrator (thought)", "content": "I ask the web surfer."},
            {"role": "WebSurfer", "content": "I clicked the wrong link."},
        ],
        "mistake_agent": "WebSurfer",
        "mistake_step": "2",
    }
    ((record,), _) = converted("who-and-when", written(tmp_path, log))
    assert wrong_step(record) == "WebSurfer: I clicked the wrong link."


def test_agentprocessbench_steps_are_the_messages_of_the_assistant() -> None:
    records, _ = converted("agentprocessbench", "agentprocessbench.jsonl")
    # The message labelled -1 is the seventh of all and the third of the assistant.
    assert [wrong_step(record) for record in records] == ["It is the Ample.", None]
    assert records[0]["steps"][0] == '[call] search({"query": "Exampletown river"})\n[tool] Nothing found.'
    assert records[1]["steps"] == ["Do you mean the novel?\n[user] Yes.", "Jo Doe wrote it."]
    assert records[0]["question"].endswith("Which river runs through Exampletown?")


def test_agentprocessbench_refuses_a_label_for_a_message_of_another(tmp_path: Path) -> None:
    row = rows_of("agentprocessbench.jsonl")[1]
    row["step_labels"]["3"] = -1
    with pytest.raises(InputError, match=r"line 1: `step_labels\.3` labels no message of the assistant"):
        converted("agentprocessbench", written(tmp_path, row))


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        ("processbench", "processbench.json", {"label": -2}, "`label` is -2, and ProcessBench knows -1"),
        ("processbench", "processbench.json", {"label": "two"}, '`label` is "two", not a whole number'),
        (
            "mr-gsm8k",
            "mr_gsm8k.json",
            {"model_output_solution_first_error_step": 0},
            "`model_output_solution_first_error_step` is 0, and this data set counts steps from 1",
        ),
        ("mr-gsm8k", "mr_gsm8k.json", {"model_output_steps": "Step 1"}, "`model_output_steps` is text, not a list"),
        ("reasoneval", "reasoneval_redundant.json", {"rating": [1, 1, 0]}, "`rating` rates 3 steps of"),
        ("reasoneval", "reasoneval_redundant.json", {"rating": [2, 1]}, "`rating.0` is 2, and 1, 0 are known"),
        ("mathcheck-process", "mathcheck.json", {"task_type": "guessing"}, '`task_type` is "guessing"'),
    ],
)
def test_another_label_is_refused_with_line_and_field(
    tmp_path: Path, name: str, file: str, change: dict[str, Any], message: str
) -> None:
    rows = rows_of(file)
    path = written(tmp_path, rows[0], rows[1] | change)
    with pytest.raises(InputError) as refused:
        converted(name, path)
    assert str(refused.value).startswith(f"{path}, line 2: {message}")


def test_only_a_steps_own_number_is_taken_off() -> None:
    assert unnumbered(
        ["Step 1: 3 apples", "2. Then 4", "2. and again", "**Step 4:** $5", "5.5 is left", "Step 6:"]
    ) == [
        "3 apples",
        "Then 4",
        "2. and again",
        "$5",
        "5.5 is left",
        "Step 6:",
    ]
