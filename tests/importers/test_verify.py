"""What verify importers make of their rows: yes and no as published, answers without a judgment left out."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError
from tests.importers.converting import converted, rows_of, written
from tests.importers.published import FIXTURES


def test_gsm8k_has_four_solutions_a_question_with_and_without_reference() -> None:
    rows = rows_of("gsm8k_solutions.jsonl")
    without, _ = converted("gsm8k-solutions", "gsm8k_solutions.jsonl")
    with_it, _ = converted("gsm8k-solutions-reference", "gsm8k_solutions.jsonl")
    systems = ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"]
    assert [record["system"] for record in without] == systems * len(rows)
    for record, other in zip(without, with_it, strict=True):
        (row,) = [row for row in rows if row["question"] == record["question"]]
        # `A: 18` is the last line of a right solution and of the worked one.
        right = record["answer"].splitlines()[-1] == row["ground_truth"].splitlines()[-1]
        assert record["gold"] == ("yes" if right else "no")
        assert "reference" not in record
        assert other == record | {"reference": row["ground_truth"]}
    assert len({record["group"] for record in without}) == len(rows)
    assert {record["gold"] for record in without} == {"yes", "no"}


def test_evouna_has_five_answers_a_question() -> None:
    rows = rows_of("evouna_tq.json")
    records, skipped = converted("evouna", "evouna_tq.json")
    proper = [row for row in rows if not row["improper"]]
    assert skipped == {"a question that EVOUNA calls improper": 1}
    assert len(records) == 5 * len(proper) == 10
    for record in records:
        (row,) = [row for row in proper if row["question"] == record["question"]]
        assert record["answer"] == row[f"answer_{record['system']}"]
        assert record["gold"] == {True: "yes", False: "no"}[row[f"judge_{record['system']}"]]
        assert record["reference"] == row["golden_answer"]


def test_evouna_leaves_out_what_is_not_judged_and_what_is_empty() -> None:
    records, skipped = converted("evouna", "evouna_nq.json")
    assert skipped == {"an answer that nobody has judged": 1, "an empty answer": 1}
    assert [record["system"] for record in records] == ["fid", "gpt35", "chatgpt", "gpt4"] * 2


def test_nq301_is_joined_on_the_question_in_any_order_of_files() -> None:
    files = ("nq301_human.tsv", "nq301_zeroshot.jsonl")
    records, _ = converted("nq301", *files)
    assert records == converted("nq301", *reversed(files))[0]
    assert records[0]["reference"] == "FedExField in Landover, Maryland / the Washington metropolitan area"
    kelvin = next(record for record in records if record["answer"] == "373.15 K")
    assert kelvin["gold"] == "yes"
    assert kelvin["annotations"] == {"annotator1": "yes", "annotator2": "no", "annotator3": "yes"}
    assert records[0]["annotations"]["annotator3"] is None
    assert [record["group"] for record in records] == ["nq301-1"] * 5 + ["nq301-2"] * 6 + ["nq301-3"]
    assert len({record["id"] for record in records}) == len(records)


@pytest.mark.parametrize(
    ("file", "missing"),
    [("nq301_human.tsv", "no known answers"), ("nq301_zeroshot.jsonl", "NQ301_human.tsv")],
)
def test_nq301_says_which_file_is_missing(file: str, missing: str) -> None:
    with pytest.raises(InputError, match=missing):
        converted("nq301", file)


def test_nq301_skips_a_question_without_known_answers(tmp_path: Path) -> None:
    known = written(tmp_path, *rows_of("nq301_zeroshot.jsonl")[:2])
    records, skipped = converted("nq301", "nq301_human.tsv", known)
    assert len(records) == 6
    assert skipped == {"a question without an entry among the known answers": 6}


def test_nq301_answers_in_quotation_marks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "human.tsv"
    path.write_text(
        (FIXTURES / "nq301_human.tsv").read_text() + '3\tq\t"Title (Part 2)" by Doe is one.\tNo\tNo\tNo\t\n'
    )
    known = written(tmp_path, {"question": "q", "answer": ["Title"]})
    ((record,), _) = converted("nq301", path, known)
    assert "(Part 2)" in record["answer"]
    assert record["answer"].endswith("by Doe is one.")


def test_truthfulqa_has_every_listed_answer_but_the_reference() -> None:
    with (FIXTURES / "truthfulqa.csv").open(newline="") as file:
        rows = {row["Question"]: row for row in csv.DictReader(file)}
    records, skipped = converted("truthfulqa", "truthfulqa.csv")
    for record in records:
        row = rows[record["question"]]
        column = "Correct Answers" if record["gold"] == "yes" else "Incorrect Answers"
        assert record["answer"] in row[column].split("; ")
        assert record["answer"] != record["reference"] == row["Best Answer"]
    assert skipped == {"the answer is the reference itself": len(rows)}
    listed = sum(
        len(row[column].split("; ")) for row in rows.values() for column in ("Correct Answers", "Incorrect Answers")
    )
    assert len(records) == listed - len(rows)
    assert {record["category"] for record in records} == {"Misconceptions"}


def test_truthfulqa_skips_an_answer_in_both_lists(tmp_path: Path) -> None:
    with (FIXTURES / "truthfulqa.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    records, skipped = converted(
        "truthfulqa",
        written(
            tmp_path, row | {"Best Answer": "No.", "Correct Answers": "No; Perhaps", "Incorrect Answers": "Perhaps;Yes"}
        ),
    )
    assert [(record["answer"], record["gold"]) for record in records] == [("Yes", "no")]
    assert skipped == {"the answer is the reference itself": 1, "the answer is listed as right and as wrong": 2}


def test_truthfulqa_judge_has_each_answer_once_and_none_with_both_labels() -> None:
    records, skipped = converted("truthfulqa-judge", "truthfulqa_finetune_truth.jsonl")
    labels = {(row["prompt"], row["completion"]) for row in rows_of("truthfulqa_finetune_truth.jsonl")}
    for record in records:
        assert (f"Q: {record['question']}\nA: {record['answer']}\nTrue:", f" {record['gold']}") in labels
        assert "reference" not in record
    assert [record["gold"] for record in records] == ["no", "yes", "no"]
    assert skipped == {
        "the same answer with the same label again": 1,
        "the same answer is labelled both yes and no": 3,
        "an empty answer": 1,
    }


def test_halueval_general_a_hallucination_is_a_wrong_answer() -> None:
    rows = rows_of("halueval_general.json")
    records, _ = converted("halueval-general", "halueval_general.json")
    assert [record["gold"] for record in records] == [{"no": "yes", "yes": "no"}[row["hallucination"]] for row in rows]
    assert {record["gold"] for record in records} == {"yes", "no"}
    assert all("wrong if any part" in record["protocol"] for record in records)


def test_halueval_qa_has_two_answers_a_question() -> None:
    records, _ = converted("halueval-qa", "halueval_qa.json")
    for row, right, wrong in zip(rows_of("halueval_qa.json"), records[::2], records[1::2], strict=True):
        assert (right["answer"], right["gold"]) == (row["right_answer"], "yes")
        assert (wrong["answer"], wrong["gold"]) == (row["hallucinated_answer"], "no")
        assert right["context"] == wrong["context"] == row["knowledge"]
        assert right["group"] == wrong["group"]


def test_mathcheck_judges_outcomes() -> None:
    records, skipped = converted("mathcheck-outcome", "mathcheck.json")
    assert [(record["gold"], record["category"]) for record in records] == [
        ("yes", "seed_question"),
        ("no", "distractor_insertion_question"),
    ]
    assert records[1]["answer"].endswith("The answer is 37.")
    assert skipped == {"a row of another MathCheck task": 5}


def test_judge_bench_labels_become_answers_to_the_metrics_prompt() -> None:
    records, skipped = converted("judge-bench-labels", "judge_bench.json")
    first = [record for record in records if record["question"].find("3 + 4") >= 0]
    assert [(record["category"], record["answer"], record["gold"]) for record in first] == [
        ("Contradiction", "yes", "no"),
        ("Topic", "sums", "yes"),
        ("Topic", "cities", "no"),
        ("Topic", "neither", "no"),
    ]
    assert first[0]["question"].startswith("Question: 3 + 4? Answer: 7.\nDoes it contradict itself?")
    assert first[0]["question"].endswith("The answer is one of: yes, no.")
    assert first[0]["annotations"] == {"1": "no", "2": "no", "3": "yes"}
    assert len({record["group"] for record in records}) == 2
    assert skipped == {"a metric without labels to choose from": 6}


def test_judge_bench_fills_the_parts_of_an_instance_in_once(tmp_path: Path) -> None:
    container = json.loads((FIXTURES / "judge_bench.json").read_text())
    container["annotations"] = [container["annotations"][2] | {"prompt": "{{ asked }} -> {{ said }}: contradiction?"}]
    container["instances"][0]["instance"] = {"asked": "{{ said }}", "said": "7"}
    container["instances"][1]["instance"] = {"asked": "Rome?", "said": None}
    records, skipped = converted("judge-bench-labels", written(tmp_path, container))
    assert [record["question"].splitlines()[0] for record in records] == ["{{ said }} -> 7: contradiction?"]
    assert skipped == {"an instance of which a part is null": 1}


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        (
            "gsm8k-solutions",
            "gsm8k_solutions.jsonl",
            {"6b_finetuning": {"solution": "7"}},
            "`6b_finetuning.is_correct` is",
        ),
        (
            "truthfulqa-judge",
            "truthfulqa_finetune_truth.jsonl",
            {"completion": "yes"},
            '`completion` is "yes", and " yes"',
        ),
        ("truthfulqa-judge", "truthfulqa_finetune_truth.jsonl", {"prompt": "Q: a"}, "`prompt` is not `Q: ...`"),
        ("halueval-general", "halueval_general.json", {"hallucination": "No"}, '`hallucination` is "No", and "no"'),
        ("halueval-qa", "halueval_qa.json", {"knowledge": None}, "`knowledge` is null, not text"),
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


def test_a_label_in_a_container_is_refused_with_its_whole_path(tmp_path: Path) -> None:
    container = json.loads((FIXTURES / "judge_bench.json").read_text())
    container["instances"][1]["annotations"]["Topic"]["majority_human"] = "music"
    path = written(tmp_path, container)
    with pytest.raises(InputError) as refused:
        converted("judge-bench-labels", path)
    assert str(refused.value) == (
        f"{path}, line 1: `instances.1.annotations.Topic.majority_human` is "
        '"music", and "sums", "cities", "neither" are known'
    )
