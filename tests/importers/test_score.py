"""What score importers make of their rows: grades on the scale of the set, each with its rubric."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError
from tests.importers.converting import converted, rows_of, written
from tests.importers.published import FIXTURES


def test_prometheus_prompts_are_cut_into_their_parts() -> None:
    rows = rows_of("prometheus_mt_bench_eval.json")
    records, _ = converted("prometheus", "prometheus_mt_bench_eval.json")
    for record, row in zip(records, rows, strict=True):
        parts = [record[part] for part in ("question", "answer", "reference", "rubric")]
        # Each part stands in the published prompt, in this order, and no heading is left in any.
        places = [row["instruction"].index(part) for part in parts]
        assert places == sorted(places)
        assert places[0] > 0
        assert not any("###" in part for part in parts)
        assert record["rubric"].startswith("[")
        assert "\nScore 5: " in record["rubric"]
        assert record["system"] == row["response_source"]
        assert record["group"] == str(row["idx"])


def test_prometheus_gold_is_the_median_of_the_scores_that_there_are(tmp_path: Path) -> None:
    row = rows_of("prometheus_mt_bench_eval.json")[0]
    scores = ([5, 2, 3], [4, 4, 1], [None, 2, 5], [None, None, None])
    records, skipped = converted("prometheus", written(tmp_path, *(row | {"gpt4_score": given} for given in scores)))
    assert [record["gold"] for record in records] == [3, 4, 3.5]
    assert records[0]["annotations"] == {"gpt4-1": 5, "gpt4-2": 2, "gpt4-3": 3}
    assert skipped == {"no score was given": 1}


def test_biggen_judges_the_responses_of_a_model_and_not_its_placeholder() -> None:
    (record,), skipped = converted("biggen", "biggen_bench_responses.json")
    assert skipped == {"the response is BiGGen-Bench's own placeholder": 1}
    assert record["answer"] == "Hello, World! was printed."
    assert record["system"] == "example-model"
    assert record["reference"] == "Hello, World!"
    assert record["question"].startswith("System: You should act as a Linux terminal")
    assert record["question"].endswith('User: echo "Hello, World!"')
    assert [line[:7] for line in record["rubric"].splitlines()[1:]] == [f"Score {score}" for score in range(1, 6)]
    assert "gold" not in record


def test_llm_rubric_is_joined_on_the_conversation_in_any_order_of_files() -> None:
    files = ("llm_rubric_real_data.json", "llm_rubric_human_judges.tsv")
    records, skipped = converted("llm-rubric", *files)
    assert records == converted("llm-rubric", *reversed(files))[0]
    assert skipped == {"a conversation that nobody has scored": 1}
    elastic, connect = records
    assert "What is elastic ip in azure?" in elastic["answer"]
    assert elastic["scale"] == [1, 4]
    assert (elastic["gold"], elastic["annotations"]) == (1, {"10": 1})
    assert (connect["gold"], connect["annotations"]) == (2, {"15": 2})
    # 0 is not applicable.
    answers = [None, 3, None, None, None, 3, 4, 2]
    assert list(elastic["questionnaire"].items()) == [
        (f"Q{number}", answer) for number, answer in enumerate(answers, start=1)
    ]


@pytest.mark.parametrize(
    ("file", "missing"), [("llm_rubric_real_data.json", "no scores"), ("llm_rubric_human_judges.tsv", "real_data.json")]
)
def test_llm_rubric_says_which_file_is_missing(file: str, missing: str) -> None:
    with pytest.raises(InputError, match=missing):
        converted("llm-rubric", file)


def test_llm_rubric_refuses_scores_of_a_conversation_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "scores.tsv"
    path.write_text((FIXTURES / "llm_rubric_human_judges.tsv").read_text().replace("65c9d78f", "00000000"))
    with pytest.raises(InputError, match=r"scores.tsv, line 3: `text_id` is 00000000.*no conversation has that `_id`"):
        converted("llm-rubric", "llm_rubric_real_data.json", path)


def test_topical_chat_has_a_record_a_metric_on_the_metrics_own_scale() -> None:
    rows = rows_of("topical_chat.json")
    records, _ = converted("topical-chat", "topical_chat.json")
    scales = {record["category"]: record["scale"] for record in records}
    assert scales == {
        "understandability": [0, 1],
        "naturalness": [1, 3],
        "coherence": [1, 3],
        "engagingness": [1, 3],
        "groundedness": [0, 1],
        "overall": [1, 5],
    }
    for record in records:
        (row,) = [row for row in rows if row["system_id"] == record["system"]]
        assert record["gold"] == row["scores"][record["category"]]
        assert record["answer"] == row["system_output"].strip()
        assert row["source"].strip() in record["question"]
        assert row["context"].strip() in record["question"]
    assert len({record["group"] for record in records}) == 1
    assert len({record["id"] for record in records}) == 12


def test_judge_bench_grades_are_means_of_people_on_the_metrics_scale() -> None:
    records, skipped = converted("judge-bench", "judge_bench.json")
    assert [(record["category"], record["gold"], record["scale"]) for record in records] == [
        ("Quality vs. effort", 4.67, [1, 5]),
        ("Faults", 0.5, [0, 6]),
        ("Quality vs. effort", 1.5, [1, 5]),
    ]
    assert records[0]["annotations"] == {"1": 5, "2": 5, "3": 4}
    assert records[2]["annotations"] == {"1": 1, "2": None, "3": 2}
    assert records[0]["answer"] == "Question: 3 + 4? Answer: 7."
    assert records[1]["rubric"] == "How many faults has it?\n6 is the worst score, 0 the best."
    assert skipped == {
        "a metric without whole-number grades": 6,
        "an instance that nobody has judged by the metric": 1,
    }


def test_judge_bench_writes_the_parts_of_an_instance_out(tmp_path: Path) -> None:
    container = json.loads((FIXTURES / "judge_bench.json").read_text())
    container["annotations"] = [container["annotations"][0] | {"prompt": "Is {{ said }} good for {{ asked }}?"}]
    (instance, *_) = container["instances"]
    instance["instance"] = {"asked": "3 + 4?", "said": "7"}
    mean = instance["annotations"]["Quality vs. effort"]
    container["instances"] = [instance, instance | {"annotations": {"Quality vs. effort": mean | {"mean_human": 5.5}}}]
    (record,), skipped = converted("judge-bench", written(tmp_path, container))
    assert record["answer"] == "asked: 3 + 4?\n\nsaid: 7"
    assert record["rubric"].startswith("Is [said] good for [asked]?")
    assert skipped == {"a mean outside the metric's own scale": 1}


def test_openmeva_has_a_record_a_system() -> None:
    records, _ = converted("openmeva", "openmeva.json")
    assert [(record["system"], record["gold"], record["group"]) for record in records] == [
        ("fusion", 4.2, "7"),
        ("s2s", 1.0, "7"),
    ]
    assert records[1]["answer"] == "cake cake cake ."
    assert records[1]["question"] == "[MALE] baked a cake ."


def test_shepherd_grades_are_the_numbers_of_its_labels() -> None:
    records, skipped = converted("shepherd", "shepherd_raw.jsonl")
    assert [(record["category"], record["gold"]) for record in records] == [
        ("justified", 2),
        ("relevant", 1),
        ("justified", 5),
    ]
    assert records[0]["answer"] == "8 + 5 = 12"
    assert records[0]["reference"] == "8 + 5 = 13"
    assert skipped == {"no score was given": 1}


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        (
            "prometheus",
            "prometheus_mt_bench_eval.json",
            {"gpt4_score": [1, "good", 2]},
            '`gpt4_score.1` is "good", not a',
        ),
        ("prometheus", "prometheus_mt_bench_eval.json", {"instruction": "Rate it."}, "`instruction` is no prompt of"),
        (
            "topical-chat",
            "topical_chat.json",
            {"scores": {"fluency": 3}},
            "`scores.fluency` is no metric of Topical-Chat",
        ),
        (
            "topical-chat",
            "topical_chat.json",
            {"scores": {"overall": "high"}},
            '`scores.overall` is "high", not a number',
        ),
    ],
)
def test_another_score_is_refused_with_line_and_field(
    tmp_path: Path, name: str, file: str, change: dict[str, Any], message: str
) -> None:
    rows = rows_of(file)
    path = written(tmp_path, rows[0], rows[1] | change)
    with pytest.raises(InputError) as refused:
        converted(name, path)
    assert str(refused.value).startswith(f"{path}, line 2: {message}")


def test_a_shepherd_label_without_a_grade_is_refused(tmp_path: Path) -> None:
    row = json.loads((FIXTURES / "shepherd_raw.jsonl").read_text().splitlines()[0])
    row["latestLabel"]["jsonResponse"]["CLASSIFICATION_JOB"]["categories"][0]["name"] = "6_PERFECT"
    path = written(tmp_path, row)
    with pytest.raises(InputError) as refused:
        converted("shepherd", path)
    assert str(refused.value).startswith(
        f"{path}, line 1: `latestLabel.jsonResponse.CLASSIFICATION_JOB.categories.0.name` does not begin with a grade"
    )
