"""Short facts: what is called right gives the reference, what is called wrong does not, and words tell nothing."""

from __future__ import annotations

import json
import string
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.importers.row import Row
from tests.training.running import verb
from training.injection.halueval import inject_facts

ROWS = Path(__file__).parent.parent / "fixtures" / "halueval_qa.jsonl"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("facts") / "out.jsonl"
    assert verb("inject", "--facts", str(ROWS), "-o", str(path)) == 0
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_facts_are_only_verified_against_their_reference(found: list[dict[str, Any]]) -> None:
    assert found
    for record in found:
        assert {"answer", "reference", "gold", "critique"} <= set(record)
        assert not {"answer_a", "steps"} & set(record)
        assert record["source"] == "RUCAIBox/HaluEval"
        assert record["reference"] in record["critique"]
    assert Counter(record["gold"] for record in found)["yes"] == len(found) / 2
    assert {record["category"] for record in found} == {"other", "beside", "gap"}


def test_both_answers_to_a_question_have_one_form(found: list[dict[str, Any]]) -> None:
    others = [record for record in found if record["category"] == "other"]
    for right, wrong in zip(others[::2], others[1::2], strict=True):
        assert (right["gold"], wrong["gold"]) == ("yes", "no")
        before, _, after = right["answer"].partition(right["reference"])
        assert wrong["answer"].startswith(before)
        assert wrong["answer"].endswith(after)


def test_a_gap_is_filled_with_what_stood_there_or_with_another_name(found: list[dict[str, Any]]) -> None:
    knowledge = [json.loads(line)["knowledge"] for line in ROWS.read_text("utf-8").splitlines()]
    gaps = [record for record in found if record["category"] == "gap"]
    whole = 0
    for right, wrong in zip(gaps[::2], gaps[1::2], strict=True):
        assert right["question"] == wrong["question"]
        assert right["reference"] in right["answer"]
        before, _, after = right["question"].partition("____")
        before = before.removeprefix("Fill the gap: ").removeprefix("What belongs in the gap? ")
        after = after.removesuffix(" Which name or number is left out?")
        filled = f"{before}{right['reference']}{after}"
        assert any(filled in text for text in knowledge), filled
        if right["answer"] == filled:
            whole += 1
            other = wrong["answer"].removeprefix(before).removesuffix(after)
            assert wrong["answer"] == f"{before}{other}{after}"
            assert wrong["critique"] == f"The answer says {other}, but the reference says {right['reference']}."
    assert 0 < whole < len(gaps) / 2, "sentences and bare names"


def test_questions_that_cannot_be_used_are_counted() -> None:
    row = {"knowledge": "Rome is old. Oslo is in Norway.", "question": "Which one is old?", "right_answer": "Rome"}
    yes = row | {"question": "Is Rome old?", "right_answer": "yes"}
    long = row | {"question": "Why?", "right_answer": "it has been so for a very long time by now"}
    counts: Counter[str] = Counter()
    made = inject_facts([Row("file", line, one) for line, one in enumerate((row, yes, long, row), start=1)], 0, counts)
    assert {one.group for one in made} == {"halueval-1"}
    assert counts == {
        "skipped: its answer is no short fact": 2,
        "skipped: the question was there before": 1,
    }


_NAMES = st.sampled_from(["Ada", "Bo Lund", "Paris", "1932", "7", "Mount Etna", "the Nile", "B+", "St. Ives", "naïve"])


@given(
    st.lists(
        st.tuples(
            st.text(string.ascii_letters + " ?", min_size=3, max_size=30),
            _NAMES,
            st.lists(st.tuples(_NAMES, st.sampled_from(["was here", "is in X", "met Bo Lund"])), max_size=4),
        ),
        max_size=6,
    )
)
def test_right_gives_the_fact_and_wrong_does_not(drawn: list[tuple[str, str, list[tuple[str, str]]]]) -> None:
    rows = [
        Row("file", line, {
            "question": question,
            "right_answer": fact,
            "knowledge": " ".join(f"{name} {said}." for name, said in knowledge),
        })
        for line, (question, fact, knowledge) in enumerate(drawn, start=1)
    ]  # fmt: skip
    for one in inject_facts(rows, 1, Counter()):
        assert one.reference is not None
        assert one.reference.casefold() in one.right.casefold()
        words = f" {one.wrong.casefold().rstrip('.')} "
        assert f" {one.reference.casefold()} " not in words
        assert one.question.strip()
