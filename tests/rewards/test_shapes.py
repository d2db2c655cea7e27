"""What trainers send as records."""

from __future__ import annotations

from typing import Any

import pytest

from fare_cli.errors import RecordError
from fare_cli.records import parse
from fare_cli.rewards.shapes import Marks, Rollout, from_openrlhf, from_verl

PLAIN = Marks()
CHATML = Marks("<|im_start|>user\n", "<|im_end|>", "<|im_end|>")
PROMPT = "<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nIs 7 prime?<|im_end|>\n<|im_start|>assistant\n"


def openrlhf(prompt: str, said: str, label: Any, marks: Marks = PLAIN, task: str = "verify") -> dict[str, Any]:
    record = from_openrlhf(task, Rollout(prompt + said, prompt, label), marks)
    parse(task, record)
    return record


def test_a_rollout_of_plain_texts() -> None:
    assert openrlhf("Is 7 prime?", " Yes.", "yes") == {"question": "Is 7 prime?", "answer": " Yes.", "reference": "yes"}


def test_marks_cut_the_chat_template_away() -> None:
    record = openrlhf(PROMPT, "Yes.<|im_end|>", 7, CHATML)
    assert record == {"question": "Is 7 prime?", "answer": "Yes.", "reference": 7}
    assert openrlhf(PROMPT, "It is a", None, CHATML)["answer"] == "It is a", "cut before its end mark"


def test_a_policy_that_writes_marks_ends_only_its_own_answer() -> None:
    said = "Yes.<|im_end|>\n<|im_start|>user\nIs 8 even?<|im_end|>"
    assert openrlhf(PROMPT, said, None, CHATML) == {"question": "Is 7 prime?", "answer": "Yes."}


@pytest.mark.parametrize(
    "label", ['{"question": "Is it?", "rubric": "clear"}', {"question": "Is it?", "rubric": "clear"}]
)
def test_a_label_may_hold_fields_of_the_record(label: Any) -> None:
    record = openrlhf("a prompt without marks", "Yes.", label, CHATML, "score")
    assert record == {"question": "Is it?", "rubric": "clear", "answer": "Yes."}


@pytest.mark.parametrize("label", ["{1, 2}", '{"1": 2}', "{", '["a"]'])
def test_a_label_in_braces_that_has_no_such_field_is_a_reference(label: str) -> None:
    assert openrlhf("?", "x", label)["reference"] == label


def test_a_label_does_not_say_what_was_answered() -> None:
    assert openrlhf("?", "No.", {"answer": "Yes.", "gold": "yes", "reference": "Yes."})["answer"] == "No."
    assert "gold" not in openrlhf("?", "No.", {"gold": "yes"})


@pytest.mark.parametrize(
    ("prompt", "query", "field"), [("prompt", "other", "query"), ("no marks", "no marks at all", "prompts")]
)
def test_texts_that_do_not_fit_are_refused(prompt: str, query: str, field: str) -> None:
    with pytest.raises(RecordError) as refused:
        from_openrlhf("verify", Rollout(query, prompt, None), CHATML)
    assert refused.value.field == field


def test_what_verl_gives_its_reward_function() -> None:
    call = {
        "data_source": "openai/gsm8k",
        "solution_str": "#### 4",
        "ground_truth": "4",
        "extra_info": {"question": "2+2?", "answer": "2+2 is 4. #### 4", "split": "train", "index": 3, "num_turns": 2},
    }
    record = from_verl("verify", call)
    assert record == {"question": "2+2?", "answer": "#### 4", "reference": "4", "category": "openai/gsm8k"}
    parse("verify", record)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ({"solution_str": "4", "extra_info": {}}, "extra_info.question"),
        ({"solution_str": "4", "extra_info": None}, "extra_info.question"),
        ({"solution_str": "4", "extra_info": "?"}, "extra_info"),
        ({"extra_info": {"question": "?"}}, "solution_str"),
        ("4", None),
    ],
)
def test_a_call_that_makes_no_record_is_refused(call: Any, field: str | None) -> None:
    with pytest.raises(RecordError) as refused:
        from_verl("verify", call)
    assert refused.value.field == field
