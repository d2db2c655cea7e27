from __future__ import annotations

import contextlib
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.errors import RecordError, UsageError
from fare_cli.records import (
    PairwiseRecord,
    Record,
    ScoreRecord,
    StepRecord,
    VerifyRecord,
    check_field_map,
    parse,
    record_fields,
    record_schema,
)

PAIR = {"question": "Which is larger?", "answer_a": "7", "answer_b": "9"}
STEPS = {"question": "q", "steps": ["one", "two", "three"]}
VERIFY = {"question": "q", "answer": "a"}
SCORE = {"question": "q", "answer": "a", "rubric": "Is it clear?"}
MINIMAL: dict[str, dict[str, Any]] = {"pairwise": PAIR, "step": STEPS, "verify": VERIFY, "score": SCORE}


def refused(task: str, values: Any, **options: Any) -> RecordError:
    with pytest.raises(RecordError) as caught:
        parse(task, values, **options)
    return caught.value


@pytest.mark.parametrize("task", MINIMAL)
def test_only_the_judged_fields_are_needed(task: str) -> None:
    record = parse(task, MINIMAL[task])
    assert record.task == task
    assert record.id == ""
    assert record.gold is None
    assert record.question == MINIMAL[task]["question"]


@pytest.mark.parametrize("task", MINIMAL)
def test_a_missing_or_null_field_is_named_with_what_is_there(task: str) -> None:
    required = {"pairwise": "answer_a", "step": "steps", "verify": "answer", "score": "answer"}[task]
    for values in ({"question": "q", "output": 1}, {"question": "q", "output": 1, required: None}):
        error = refused(task, values)
        assert (error.kind, error.field) == ("missing_field", required)
        assert f"`{required}`" in error.message
        assert "question, output" in error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [("question", 3), ("answer_a", True), ("answer_b", {"x": 1}), ("protocol", ["a"]), ("group", [1]), ("id", {})],
)
def test_a_field_of_the_wrong_type_is_refused_and_named(field: str, value: Any) -> None:
    error = refused("pairwise", {**PAIR, field: value})
    assert (error.kind, error.field) == ("bad_type", field)


@pytest.mark.parametrize("values", [None, 3, "x", [], [PAIR], True])
def test_what_is_no_object_is_refused(values: Any) -> None:
    assert refused("pairwise", values).kind == "bad_type"


def test_an_empty_question_is_refused_and_an_empty_answer_is_not() -> None:
    assert refused("pairwise", {**PAIR, "question": " \n"}).kind == "empty"
    assert parse("pairwise", {**PAIR, "answer_a": ""}).answer_a == ""  # type: ignore[attr-defined]


# Unknown fields and near misses


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("refrence", "reference"),
        ("referance", "reference"),
        ("Reference", "reference"),
        ("protocoll", "protocol"),
        ("contxt", "context"),
        ("glod", "gold"),
        ("catgeory", "category"),
        ("sytem_a", "system_a"),
        ("anotations", "annotations"),
    ],
)
def test_a_near_miss_is_refused_and_both_names_are_told(wrong: str, meant: str) -> None:
    error = refused("pairwise", {**PAIR, wrong: "x"})
    assert (error.kind, error.field) == ("unknown_field", wrong)
    assert f"`{wrong}`" in error.message
    assert f"`{meant}`" in error.message


# From the public sets that people judge: Alpaca-Eval, PRMBench, EVOUNA, HaluEval, Prometheus, PandaLM, When2Call, ...
REAL_FIELDS = [
    "ID",
    "_id",
    "annotator",
    "annotator1",
    "answers",
    "binary",
    "candidate_responses",
    "chatgpt_response",
    "chosen",
    "classification",
    "completion",
    "content",
    "correct_answer",
    "data",
    "error_steps",
    "entry_point",
    "function",
    "generator_1",
    "generator_2",
    "golden_answer",
    "gpt4_score",
    "ground_truth",
    "hallucination",
    "history",
    "idx",
    "improper",
    "input",
    "instruction",
    "is_correct",
    "judge_fid",
    "knowledge",
    "label",
    "messages",
    "mistake_index",
    "model",
    "name",
    "original_question",
    "output_1",
    "output_2",
    "pair_id",
    "preference",
    "prompt",
    "question_id",
    "raw_completion",
    "reason",
    "ref",
    "ref_url",
    "rejected",
    "response",
    "response_source",
    "right_answer",
    "score",
    "score_rubric",
    "scores",
    "source",
    "subset",
    "system_prompt",
    "target",
    "task_id",
    "text_id",
    "tools",
    "topic",
    "turns",
    "user_query",
    "winner",
    "fold",
    "goal",
    "good",
]


@pytest.mark.parametrize("task", MINIMAL)
def test_fields_of_real_data_sets_are_kept_as_they_are(task: str) -> None:
    known = record_fields(task)
    extra = {name: {"any": [1, None]} for name in REAL_FIELDS if name not in known}
    record = parse(task, {**MINIMAL[task], **extra})
    assert record.extra == extra


def test_a_name_like_a_known_one_is_kept_where_the_known_one_is_there() -> None:
    record = parse("verify", {**VERIFY, "answers": "x", "reference": "r", "references": "s"})
    assert record.extra == {"answers": "x", "references": "s"}


def test_a_plural_that_holds_no_text_is_another_field() -> None:
    assert parse("verify", {**VERIFY, "contexts": ["a"]}).extra == {"contexts": ["a"]}
    assert refused("verify", {**VERIFY, "contexts": "a"}).kind == "unknown_field"
    for plural, value in (("scales", [1, 3]), ("golds", 3), ("scale_", [1, 3])):
        assert refused("score", {**SCORE, plural: value}).kind == "unknown_field"


def test_a_near_miss_can_be_mapped_to_what_was_meant() -> None:
    assert parse("verify", {**VERIFY, "refrence": "r"}, field_map={"reference": "refrence"}).reference == "r"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, object(), {1, 2}, b"x", [[float("nan")]]]
)
def test_what_no_line_of_json_can_hold_is_refused_in_unknown_fields(value: Any) -> None:
    error = refused("verify", {**VERIFY, "fine": 1, "odd": value})
    assert (error.kind, error.field) == ("bad_value", "odd")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_is_refused() -> None:
    assert parse("verify", {**VERIFY, "tree": nested(50)}).extra == {"tree": nested(50)}
    assert refused("verify", {**VERIFY, "tree": nested(120)}).field == "tree"
    bomb = nested(5000)
    error = refused("verify", {**VERIFY, "bomb": bomb})
    assert (error.kind, error.field) == ("bad_value", "bomb")
    for field in ("question", "annotations", "gold"):
        assert str(refused("verify", {**VERIFY, field: bomb}).field).startswith(field)


@pytest.mark.parametrize("field", ["id", "question", "answer", "reference", "context", "protocol", "group"])
def test_half_a_surrogate_pair_is_refused_in_known_fields(field: str) -> None:
    error = refused("verify", json.loads(json.dumps({**VERIFY, field: "x\ud800"})))
    assert (error.kind, error.field) == ("bad_value", field)


# Chat messages


def test_a_single_message_is_its_text() -> None:
    record = parse("verify", {"question": [{"role": "user", "content": "2+2?"}], "answer": "4"})
    assert record.question == "2+2?"


def test_a_dialogue_is_written_with_its_speakers() -> None:
    dialogue = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
        {"role": "assistant", "content": "Hello"},
    ]
    record = parse("verify", {"question": dialogue, "answer": "4"})
    assert record.question == "System: Be short.\n\nUser: Hi\nthere\n\nAssistant: Hello"


def test_an_answer_is_what_follows_the_last_user_message() -> None:
    messages = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}]
    record = parse("pairwise", {**PAIR, "answer_a": messages, "answer_b": messages[1:]})
    assert isinstance(record, PairwiseRecord)
    assert (record.answer_a, record.answer_b) == ("4", "4")


def test_an_answer_of_several_messages_keeps_them_apart() -> None:
    messages = [{"role": "assistant", "content": "call"}, {"role": "tool", "content": "4"}]
    record = parse("verify", {"question": "q", "answer": messages})
    assert isinstance(record, VerifyRecord)
    assert record.answer == "Assistant: call\n\nTool: 4"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": "q"}],
        [{"role": "assistant", "content": None}],
        [{"role": "assistant"}],
        [{"content": "x"}],
        ["x"],
        [{"role": "assistant", "content": [{"type": "image"}]}],
    ],
)
def test_messages_without_an_answer_are_refused(messages: Any) -> None:
    assert refused("verify", {"question": "q", "answer": messages}).field == "answer"


def test_numbers_are_taken_where_an_answer_is_expected() -> None:
    record = parse("verify", {"question": "q", "answer": 7, "reference": 7.5})
    assert isinstance(record, VerifyRecord)
    assert (record.answer, record.reference) == ("7", "7.5")
    for number in (float("nan"), float("-inf"), True):
        assert refused("verify", {**VERIFY, "reference": number}).field == "reference"


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("field", ["id", "gold", "reference", "scale", "annotations", "odd", "rubric"])
def test_a_number_of_any_size_is_no_crash(digits: int, field: str) -> None:
    for value in (10**digits, [10**digits, 10**digits], {10**digits: "x"}):
        with contextlib.suppress(RecordError):
            parse("score", {**SCORE, field: value})


# Gold and annotations


@pytest.mark.parametrize(
    ("task", "given", "label"),
    [
        ("pairwise", "a", "A"),
        ("pairwise", " B ", "B"),
        ("pairwise", "TIE", "tie"),
        ("verify", True, "yes"),
        ("verify", False, "no"),
        ("verify", "No", "no"),
        ("verify", "true", "yes"),
        ("step", -1, -1),
        ("step", "2", 2),
        ("step", 1.0, 1),
        ("score", 3, 3),
        ("score", 4.5, 4.5),
    ],
)
def test_gold_and_annotations_are_brought_into_one_form(task: str, given: Any, label: Any) -> None:
    record = parse(task, {**MINIMAL[task], "gold": given, "annotations": {"ann": given, "bob": None}})
    assert record.gold == label
    assert record.annotations == {"ann": label, "bob": None}
    assert parse(task, {**MINIMAL[task], "annotations": [given]}).annotations == {"1": label}


@pytest.mark.parametrize(
    ("task", "gold"),
    [
        ("pairwise", "C"),
        ("pairwise", 1),
        ("verify", "maybe"),
        ("verify", 1),
        ("step", 3),
        ("step", -2),
        ("step", 1.5),
        ("step", True),
        ("step", "one"),
        ("score", "5"),
        ("score", 6),
        ("score", True),
        ("score", float("nan")),
        ("score", 10**400),
    ],
)
def test_a_label_that_the_task_does_not_know_is_refused(task: str, gold: Any) -> None:
    error = refused(task, {**MINIMAL[task], "gold": gold})
    assert (error.kind, error.field) == ("bad_value", "gold")
    assert refused(task, {**MINIMAL[task], "annotations": {"ann": gold}}).field == "annotations.ann"


# Steps


def test_an_answer_is_split_into_steps() -> None:
    text = "First.\n  indented\r\n\n\nSecond.\n"
    lines = parse("step", {"question": "q", "answer": text}, split="lines")
    paragraphs = parse("step", {"question": "q", "answer": text}, split="paragraphs")
    assert isinstance(lines, StepRecord)
    assert isinstance(paragraphs, StepRecord)
    assert lines.steps == ["First.", "  indented", "Second."]
    assert paragraphs.steps == ["First.\n  indented", "Second."]
    one = parse("step", {"question": "q", "answer": "a\u2028b\x0cc"}, split="lines")
    assert isinstance(one, StepRecord)
    assert one.steps == ["a\u2028b\x0cc"]


def test_without_split_an_answer_is_no_steps() -> None:
    error = refused("step", {"question": "q", "answer": "a"})
    assert (error.kind, error.field) == ("missing_field", "steps")
    assert "--split" in error.message


def test_steps_go_before_an_answer_which_is_kept() -> None:
    record = parse("step", {**STEPS, "answer": "the end"}, split="lines")
    assert isinstance(record, StepRecord)
    assert (record.steps, record.extra) == (STEPS["steps"], {"answer": "the end"})


@pytest.mark.parametrize("steps", [[], "one", [1], [None], {}, ["a"] * 1001])
def test_steps_are_a_list_of_texts(steps: Any) -> None:
    assert str(refused("step", {"question": "q", "steps": steps}).field).startswith("steps")


# Rubrics, criteria, scales


def test_a_rubric_may_describe_scores_and_is_ordered_by_them() -> None:
    record = parse("score", {**SCORE, "scale": [1, 10], "rubric": {"10": "best", "2": "poor"}})
    assert isinstance(record, ScoreRecord)
    assert list(record.rubric.items()) == [("2", "poor"), ("10", "best")]  # type: ignore[union-attr]


def test_criteria_come_as_a_mapping_or_a_list() -> None:
    values = {"question": "q", "answer": "a"}
    record = parse("score", {**values, "criteria": {"clear": "Is it?", "deep": {"1": "no", "5": "yes"}}})
    as_list = [{"name": "clear", "rubric": "Is it?"}, {"name": "deep", "rubric": {"5": "yes", "1": "no"}}]
    assert record == parse("score", {**values, "criteria": as_list})


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"rubric": ""}, "rubric"),
        ({"rubric": {}}, "rubric"),
        ({"rubric": {"6": "x"}}, "rubric"),
        ({"rubric": {"good": "x"}}, "rubric"),
        ({"rubric": {"1": 2}}, "rubric"),
        ({"rubric": None}, "rubric"),
        ({"criteria": {"a": "b"}}, "criteria"),
        ({"rubric": None, "criteria": {}}, "criteria"),
        ({"rubric": None, "criteria": {"": "x"}}, "criteria"),
        ({"rubric": None, "criteria": {"a": 1}}, "criteria.a"),
        ({"rubric": None, "criteria": [{"name": "a", "rubric": "x"}, {"name": "a", "rubric": "y"}]}, "criteria"),
        ({"scale": [5, 1]}, "scale"),
        ({"scale": [1, 101]}, "scale"),
        ({"scale": [1]}, "scale"),
        ({"scale": [1, 5.5]}, "scale"),
        ({"scale": [False, True]}, "scale"),
        ({"scale": "1-5"}, "scale"),
    ],
)
def test_what_cannot_be_scored_by_is_refused(values: dict[str, Any], field: str) -> None:
    assert refused("score", {**SCORE, **values}).field == field


def test_a_scale_has_up_to_a_hundred_scores() -> None:
    assert isinstance(parse("score", {**SCORE, "scale": [1, 100], "gold": 99.5}), ScoreRecord)


# Field maps


def test_a_field_map_follows_dotted_paths_and_list_indexes() -> None:
    values = {"prompt": "q", "choices": [{"text": "one"}, {"text": "two"}], "a.b": "dotted"}
    field_map = {"question": "prompt", "answer_a": "choices.0.text", "answer_b": "choices.1.text", "context": "a.b"}
    record = parse("pairwise", values, field_map=field_map)
    assert isinstance(record, PairwiseRecord)
    assert (record.question, record.answer_a, record.answer_b, record.context) == ("q", "one", "two", "dotted")
    assert record.extra == {"choices": values["choices"]}


def test_fields_can_change_places() -> None:
    record = parse("pairwise", PAIR, field_map={"answer_a": "answer_b", "answer_b": "answer_a"})
    assert isinstance(record, PairwiseRecord)
    assert (record.answer_a, record.answer_b) == ("9", "7")


@pytest.mark.parametrize("path", ["lable", "choices.2", "choices.x", "question.x", "choices.0.nothing"])
def test_a_mapped_field_that_is_not_there_is_an_error(path: str) -> None:
    error = refused("pairwise", {**PAIR, "choices": [{}, {}]}, field_map={"gold": path})
    assert (error.kind, error.field) == ("missing_field", "gold")
    assert path in error.message


def test_a_mapped_null_is_as_if_the_field_were_not_there() -> None:
    assert parse("pairwise", {**PAIR, "label": None}, field_map={"gold": "label"}).gold is None


def test_a_map_to_an_unknown_field_is_a_usage_error_with_the_nearest_name() -> None:
    check_field_map("pairwise", {"answer_a": "chosen"})
    with pytest.raises(UsageError) as caught:
        check_field_map("pairwise", {"anwser_a": "chosen"})
    assert "anwser_a" in caught.value.message
    assert "answer_a" in str(caught.value.hint)


# Identity and canonical form


def test_the_content_id_is_of_what_the_judge_is_shown() -> None:
    plain = parse("pairwise", PAIR)
    assert len(plain.content_id()) == 16
    for other in ({"gold": "A"}, {"id": "7"}, {"note": "x"}, {"group": "g"}):
        assert parse("pairwise", {**PAIR, **other}).content_id() == plain.content_id()
    for other in ({"context": "x"}, {"answer_b": "8"}, {"reference": "r"}, {"protocol": "p"}):
        assert parse("pairwise", {**PAIR, **other}).content_id() != plain.content_id()


def test_records_of_one_group_or_else_of_one_question_are_one_cluster() -> None:
    def cluster(**fields: Any) -> str:
        return parse("verify", {"question": "q", "answer": "a", **fields}).cluster()

    assert cluster(answer="b", reference="r", id="other") == cluster()
    assert cluster(question="p") != cluster()
    assert cluster(group="g") == cluster(group="g", question="p") != cluster(group="h")
    # A group may have any name, that of a question's cluster too.
    assert cluster(group=cluster().removeprefix("question ")) != cluster()


def test_records_of_two_tasks_never_share_a_content_id() -> None:
    values = {**VERIFY, "rubric": "r"}
    assert parse("verify", values).content_id() != parse("score", values).content_id()


def test_with_id_leaves_the_rest() -> None:
    record = parse("pairwise", {**PAIR, "note": [1]})
    assert record.with_id("x").id == "x"
    assert record.with_id("x").extra == {"note": [1]}
    assert record.id == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "x"]), "content": json_values})
)
names = sorted({name for task in MINIMAL for name in record_fields(task)})


@given(
    st.sampled_from(sorted(MINIMAL)),
    st.dictionaries(st.sampled_from(names) | st.text(max_size=12), json_values | messages, max_size=8),
    st.booleans(),
    st.sampled_from([None, "lines", "paragraphs"]),
)
def test_anything_becomes_a_record_or_a_record_error(task: str, values: Any, whole: bool, split: Any) -> None:
    record: Record | RecordError
    try:
        record = parse(task, {**MINIMAL[task], **values} if whole else values, split=split)
    except RecordError as error:
        record = error
    if isinstance(record, RecordError):
        assert record.kind in {"bad_type", "bad_value", "empty", "missing_field", "unknown_field"}
        assert record.message.encode()
        return
    line = json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False)
    assert line.encode()
    assert parse(task, json.loads(line)) == record
    assert record.content_id() == parse(task, json.loads(line)).content_id()


@pytest.mark.parametrize("task", MINIMAL)
def test_the_schema_of_a_record_takes_what_parse_takes(task: str) -> None:
    schema = record_schema(task)
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema).is_valid
    chat = [{"role": "user", "content": "q"}]
    for values in (MINIMAL[task], {**MINIMAL[task], "question": chat, "reference": 7, "gold": None, "own": {}}):
        assert check(values)
        parse(task, values)
    for values in ({"question": "q"}, {**MINIMAL[task], "question": 3}, {**MINIMAL[task], "context": [1]}):
        assert not check(values)
        refused(task, values)
