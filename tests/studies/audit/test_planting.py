"""Planted errors: really there, in the right place, and only in answers that are right."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.records import PairwiseRecord, Record, StepRecord, VerifyRecord, parse
from fare_cli.studies.audit.catalogue import named
from fare_cli.studies.audit.planting import PLANTED, Planted, Planting
from tests.studies.audit.records import records


def planted(name: str, task: str, **values: object) -> Planted | None:
    one = named(name)
    assert isinstance(one, Planting)
    return one.apply(parse(task, {"question": "q", **values}))


def answer(name: str, text: str, **values: object) -> str | None:
    """What becomes of a right answer of verify."""
    found = planted(name, "verify", answer=text, gold="yes", **values)
    if found is None:
        return None
    assert isinstance(found.record, VerifyRecord)
    return found.record.answer


@pytest.mark.parametrize("one", PLANTED, ids=lambda one: one.name)
@given(record=records(), seed=st.integers(0, 3))
def test_an_error_is_repeatable_and_makes_a_valid_record_with_gold(one: Planting, record: Record, seed: int) -> None:
    found = one.apply(record, seed)
    assert found == one.apply(record, seed)
    if found is None:
        return
    made = found.record
    assert record.task in one.tasks
    assert parse(record.task, made.to_json()) == made
    assert made.annotations is None
    if isinstance(made, PairwiseRecord):
        assert isinstance(record, PairwiseRecord)
        clean, wrong = (made.answer_a, made.answer_b) if made.gold == "A" else (made.answer_b, made.answer_a)
        right = {"A": record.answer_a, "B": record.answer_b}.get(record.gold or "", record.reference)
        assert clean == right
        assert clean.split() != wrong.split()
        return
    assert found.untouched is not None
    assert found.untouched.content_id() != made.content_id()
    if isinstance(made, StepRecord):
        assert isinstance(record, StepRecord)
        assert record.gold == -1
        assert made.steps[: made.gold] == record.steps[: made.gold]
        assert made.steps[made.gold] != record.steps[made.gold]
    elif isinstance(made, VerifyRecord):
        assert made.gold == "no"
        assert record.gold == "yes" or record.reference is not None


_NUMBER = re.compile(r"\d+")


@given(record=records("step"), seed=st.integers(0, 9))
def test_a_changed_number_is_new_and_replaces_the_old_one_from_there_on(record: Record, seed: int) -> None:
    one = named("changed_number")
    assert isinstance(one, Planting)
    found = one.apply(record, seed)
    if found is None:
        return
    assert isinstance(record, StepRecord)
    assert isinstance(found.record, StepRecord)
    before, after = ("\n".join(some) for some in (record.steps, found.record.steps))
    pairs = [(old, new) for old, new in zip(_NUMBER.findall(before), _NUMBER.findall(after), strict=True) if old != new]
    assert len(set(pairs)) == 1
    old, new = pairs[0]
    assert len(old) == len(new)
    assert re.sub(r"\d", "", before) == re.sub(r"\d", "", after)


def test_a_changed_number_is_none_that_the_record_knows() -> None:
    record = parse("step", {"question": "2 or 3?", "steps": ["4 or 5.", "It is 6 or 8."], "reference": "9", "gold": -1})
    one = named("changed_number")
    assert isinstance(one, Planting)
    made = [one.apply(record, seed) for seed in range(20)]
    found = {number for some in made if some for number in _NUMBER.findall(" ".join(some.record.steps))}  # type: ignore[attr-defined]
    assert found - {"4", "5", "6", "8"} == {"1", "7"}


def test_the_result_is_changed_wherever_it_stands() -> None:
    text = "They have 7 * 6 = <<7*6=42>>42 eggs.\nA: 42"
    changed = answer("changed_number", text)
    assert changed is not None
    number = changed.rsplit(" ", 1)[1]
    assert number != "42"
    assert changed == text.replace("42", number)


def test_a_number_that_is_no_result_does_not_make_an_answer_wrong() -> None:
    assert answer("changed_number", "The song of the film of 1963 was sung by Matt Monro.") is None
    assert answer("changed_number", "It was in 2018.", question="What was in 2018?") is None
    assert answer("changed_number", "It was in 2018, by Pink.", reference="Pink") is None
    assert answer("changed_number", "It was in 2018, by Pink.", reference="in 2018") is not None


def test_what_is_only_about_right_stays() -> None:
    text = "A swallow flies at approximately 24 miles per hour."
    assert planted("changed_number", "pairwise", answer_a=text, answer_b="x", gold="A") is None
    assert answer("changed_number", "It cost 20 then.\nA: about $35") is None
    assert answer("changed_number", "That is about 42, or 6 * 7 = 42.\nA: 42") is not None


def test_numbers_that_only_count_and_times_stay() -> None:
    text = "1. At 6:48 it is light.\n2) Step 3 follows.\n(4) It is #5."
    found = planted("changed_number", "step", steps=[text], gold=-1)
    assert found is None


@pytest.mark.parametrize(
    ("text", "turned"),
    [
        ("Canberra is the capital.", "Canberra is not the capital."),
        ("Whales can sing.", "Whales cannot sing."),
        ("It rained. It did not snow.", "It rained. It did snow."),
        ("Two halves aren't one.", "Two halves are one."),
        ("That won't help.", "That will help."),
        ("Is it right?", None),
        ("If it is cold, stay.", None),
        ("Nothing to turn here", None),
        ("Alice will never come, and was here.", "Alice will never come, and was not here."),
        ("The man who was late is Bob.", "The man who was late is not Bob."),
        ("The prime that is even, that is, 2.", None),
    ],
)
def test_a_sentence_is_negated_or_its_negation_taken_away(text: str, turned: str | None) -> None:
    assert answer("negated_sentence", text) == turned


def test_only_the_last_sentence_makes_an_answer_wrong() -> None:
    assert answer("negated_sentence", "There are 3 of them. So the result has 9 parts.") is None


def test_names_are_exchanged_with_names_of_the_record_that_are_not_in_the_sentence() -> None:
    question = "Anna meets Peter at the Danube. Later, Anna and Peter cross the Danube. Who paid?"
    changed = answer("swapped_entity", "In the end Anna paid.", question=question)
    assert changed == "In the end Peter paid."
    assert answer("swapped_entity", "In the end Anna and Peter paid.", question=question) is None
    river = answer("swapped_entity", "It was at the Danube.", question=question)
    assert river is None, "a river with `the` stands for no person"


def test_names_are_whole() -> None:
    question = "Jefferson Starship or Starship or Grace Slick: who led Starship? Was it Grace Slick?"
    record = parse("verify", {"question": question, "answer": "It was led by Jefferson Starship.", "gold": "yes"})
    one = named("swapped_entity")
    assert isinstance(one, Planting)
    found = {made.record.answer for seed in range(9) if (made := one.apply(record, seed))}  # type: ignore[attr-defined]
    assert found == {"It was led by Grace Slick."}, "neither half a name, nor half of it for the whole"


def test_the_end_is_missing_from_the_first_mention_of_the_result_on() -> None:
    text = "First 2 + 2 = 4.\nThen 4 * 4 = 16.\nSo it is 16.\nA: 16"
    assert answer("deleted_step", text) == "First 2 + 2 = 4."
    assert answer("deleted_step", "16\nA: 16") is None, "nothing would be left"


def test_a_needed_step_is_missing() -> None:
    text = "We have 2 + 3 = 5 apples. Then 5 * 4 = 20 slices are there. All are eaten."
    found = planted("deleted_step", "pairwise", answer_a=text, answer_b="x", gold="A")
    assert found is not None
    assert isinstance(found.record, PairwiseRecord)
    both = {found.record.answer_a, found.record.answer_b}
    assert both == {text, "Then 5 * 4 = 20 slices are there. All are eaten."}


def test_a_line_whose_result_is_not_computed_with_is_not_needed() -> None:
    for text in ("f(2) = 5(2)^3 - 4\n= 5(8) - 4\n= 36", "It is = 5 * 3\nso 5 threes are 15.\nDone.",
                 "It is\n= 39\nSo f(2) = 39.\nDone."):  # fmt: skip
        assert planted("deleted_step", "pairwise", answer_a=text, answer_b="x", gold="A") is None


CODE = "def first(items):\n    for item in items:\n        return item\n    return None"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("frame", ["{}", "Here it is:\n```python\n{}\n```\nDone."])
def test_broken_code_does_not_compile_and_the_rest_stays(frame: str, seed: int) -> None:
    one = named("broken_code")
    assert isinstance(one, Planting)
    record = parse("verify", {"question": "q", "answer": frame.replace("{}", CODE), "gold": "yes"})
    found = one.apply(record, seed)
    assert found is not None
    assert isinstance(found.record, VerifyRecord)
    before, after = frame.split("{}")
    assert found.record.answer.startswith(before)
    assert found.record.answer.endswith(after)
    broken = found.record.answer.removeprefix(before).removesuffix(after)
    with pytest.raises(SyntaxError):
        ast.parse(broken)


def test_what_did_not_compile_before_and_other_languages_are_left_alone() -> None:
    assert answer("broken_code", "```python\ndef f(:\n    return 1\n```") is None
    assert answer("broken_code", "```java\nint f() { return 1; }\n```") is None


@pytest.mark.parametrize("seed", range(8))
def test_what_looks_like_code_in_strings_is_not_what_is_broken(seed: int) -> None:
    one = named("broken_code")
    assert isinstance(one, Planting)
    text = '```python\n"""(1)\nreturn [2]\nfor all\n"""\nx = "(3) [4]"\n```'
    assert one.apply(parse("verify", {"question": "q", "answer": text, "gold": "yes"}), seed) is None


def test_nothing_is_planted_where_no_answer_is_known_to_be_right() -> None:
    assert planted("negated_sentence", "verify", answer="It is so.", gold="no") is None
    assert planted("negated_sentence", "verify", answer="It is so.") is None
    assert planted("negated_sentence", "step", steps=["It was so."], gold=0) is None
    assert planted("negated_sentence", "pairwise", answer_a="Snow is so.", answer_b="x", gold="tie") is None
    assert planted("negated_sentence", "score", answer="Snow is so.", rubric="r", gold=1) is None


def test_a_reference_is_a_right_answer() -> None:
    found = planted("negated_sentence", "verify", answer="Wrong.", gold="no", reference="Snow is white.")
    assert found is not None
    assert isinstance(found.record, VerifyRecord)
    assert found.record.answer == "Snow is not white."
    assert isinstance(found.untouched, VerifyRecord)
    assert found.untouched.answer == "Snow is white."
    pair = planted("negated_sentence", "pairwise", answer_a="x", answer_b="y", reference="Snow is white.")
    assert pair is not None
    assert pair.record.reference is None, "it would give the right one away"
