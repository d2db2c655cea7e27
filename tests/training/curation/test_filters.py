"""Each filter drops what it must, keeps the rest, and says why."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.errors import FareError, InvalidRecordsError, UsageError
from tests.training.curation.making import entry
from training.curation.choosing import (
    MIX,
    capped,
    label_balanced,
    mixed,
    parse_caps,
    parse_mix,
    short_enough,
    side_balanced,
    split,
)
from training.curation.contamination import Evaluation, without_contaminated
from training.curation.duplicates import question_clusters, without_duplicates
from training.curation.entry import TASKS, Entry

LONG = "the quick brown fox jumps over the lazy dog while seven grey cats sleep under an old wooden cart"


def _reasons(dropped: list[object]) -> Counter[str]:
    return Counter(one.reason for one in dropped)  # type: ignore[attr-defined]


def test_an_exact_duplicate_is_dropped_and_names_the_first() -> None:
    first, again = entry(id="first"), entry(id="again")
    kept, dropped = without_duplicates([first, again])
    assert kept == [first]
    assert [(one.entry, one.reason, one.detail) for one in dropped] == [(again, "exact duplicate", "first")]


def test_the_same_pair_with_sides_changed_is_a_duplicate() -> None:
    kept, dropped = without_duplicates([entry("pairwise"), entry("pairwise", answer_a="5", answer_b="4", gold="B")])
    assert (len(kept), len(dropped)) == (1, 1)


@pytest.mark.parametrize(
    ("task", "other"), [("verify", {"gold": "no"}), ("pairwise", {"gold": "B"}), ("score", {"gold": 5})]
)
def test_a_text_with_two_labels_is_not_kept_at_all(task: str, other: dict[str, object]) -> None:
    kept, dropped = without_duplicates([entry(task, id="x"), entry(task, id="y", **other)])
    assert kept == []
    assert _reasons(dropped) == {"the same text with two labels": 2}


def test_a_reference_or_context_makes_it_another_record() -> None:
    records = [entry(), entry(reference="4"), entry(context="Sums."), entry(answer="four")]
    assert without_duplicates(records) == (records, [])


def test_nearly_the_same_question_and_answer_is_a_near_duplicate_but_another_label_is_none() -> None:
    question, answer = f"{LONG}, and what then?", f"Then {LONG} again."
    one = entry(question=question, answer=answer)
    near = entry(question=question.replace("old", "ancient"), answer=answer)
    other = entry(question=question.replace("old", "ancient"), answer=answer, gold="no")
    assert _reasons(without_duplicates([one, near])[1]) == {"near-duplicate": 1}
    assert without_duplicates([one, other])[1] == []


def test_a_solution_and_its_twin_with_one_wrong_number_are_both_kept() -> None:
    right, wrong = entry(answer=f"{LONG} 12"), entry(answer=f"{LONG} 13", gold="no")
    also_wrong = entry(answer=f"{LONG} 14", gold="no")
    assert without_duplicates([right, wrong, also_wrong])[1] == []


def _evaluation(path: Path, *rows: object, size: int = 13) -> Evaluation:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluation = Evaluation(size)
    evaluation.add(path)
    return evaluation


@pytest.mark.parametrize("field", ["question", "answer", "reference", "context"])
def test_a_record_that_shares_thirteen_words_with_a_test_is_dropped_and_told_which(tmp_path: Path, field: str) -> None:
    evaluation = _evaluation(tmp_path / "bench.jsonl", {"turns": [{"content": f"So: {LONG.upper()}!"}]})
    clean, dirty = entry(), entry(**{field: f"Once, {LONG}."})
    kept, dropped = without_contaminated([clean, dirty], evaluation)
    assert kept == [clean]
    assert [(one.entry, one.reason) for one in dropped] == [(dirty, "contaminated by bench.jsonl")]
    assert dropped[0].detail == " ".join(LONG.split()[:13])


def test_twelve_words_in_common_are_chance_unless_shorter_n_grams_are_asked_for(tmp_path: Path) -> None:
    twelve = " ".join(LONG.split()[:12])
    record = entry(question=f"Why is it that {twelve} here?")
    rows = {"question": f"Who says {twelve} there?"}
    assert without_contaminated([record], _evaluation(tmp_path / "a.jsonl", rows))[1] == []
    assert without_contaminated([record], _evaluation(tmp_path / "b.jsonl", rows, size=8))[0] == []


def test_a_short_question_of_a_test_counts_as_a_whole(tmp_path: Path) -> None:
    evaluation = _evaluation(tmp_path / "a.jsonl", {"q": "who wrote the song yesterday"})
    assert without_contaminated([entry(question="Who wrote the song “Yesterday”?")], evaluation)[0] == []
    for text in ("Tell me: who wrote the song Yesterday first?", "And who wrote the song yesterday"):
        (dropped,) = without_contaminated([entry(question=text)], evaluation)[1]
        assert (dropped.reason, dropped.detail) == ("contaminated by a.jsonl", "who wrote the song yesterday")
    for text in ("Who wrote the song Yesterdays?", "Who wrote the old song Yesterday?", "song yesterday"):
        assert without_contaminated([entry(question=text)], evaluation)[1] == []


@pytest.mark.parametrize("length", [5, 12])
def test_short_texts_that_begin_alike_are_all_found(tmp_path: Path, length: int) -> None:
    said = LONG.split()[:length]
    others = [[*said[:-1], "giraffe"], [*said[: length - 1], "gnu"]]
    evaluation = _evaluation(tmp_path / "a.jsonl", *({"q": " ".join(one)} for one in (*others, said)))
    assert without_contaminated([entry(answer=f"So {' '.join(said)} it is.")], evaluation)[0] == []
    assert without_contaminated([entry(answer=f"So {' '.join(said[:-1])} it is.")], evaluation)[1] == []


def test_steps_that_are_short_each_are_found_in_a_solution_that_is_one_text_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    said = LONG.split()
    steps = [" ".join(said[start : start + 4]) for start in range(0, len(said), 4)]
    whole = _evaluation(tmp_path / "whole.jsonl", {"solution": LONG})
    assert without_contaminated([entry("step", steps=steps)], whole)[0] == []
    stepwise = _evaluation(tmp_path / "steps.jsonl", {"steps": steps})
    assert without_contaminated([entry(answer=f"As is said, {LONG}.")], stepwise)[0] == []


QUESTIONS = st.sampled_from(["What is it?", "what IS it", "Who was it?", LONG, f"{LONG}!", "Why?", "How much is it?"])


@given(st.lists(st.tuples(QUESTIONS, st.sampled_from(["verify", "step", "pairwise"]), st.integers()), min_size=1))
def test_a_question_is_never_on_both_sides(drawn: list[tuple[str, str, int]]) -> None:
    entries = [entry(task, question=question, reference=str(number)) for question, task, number in drawn]
    clusters = question_clusters([one.question for one in entries])
    train, held_out = split(entries, clusters, 0.5, seed=3)
    assert len(train) + len(held_out) == len(entries)
    assert not {one.question for one in train} & {one.question for one in held_out}


def test_nearly_the_same_questions_are_one_cluster() -> None:
    near = LONG.replace("cart", "car")
    clusters = question_clusters([LONG, "something else", near])
    assert clusters == {LONG: LONG, "something else": "something else", near: LONG}


def test_about_the_asked_share_is_held_out_whatever_the_order() -> None:
    entries = [entry(question=f"Question {number}?") for number in range(400)]
    clusters = {one.question: one.question for one in entries}
    _, held_out = split(entries, clusters, 0.1, seed=0)
    assert 20 <= len(held_out) <= 60
    assert {one.question for one in split(entries[::-1], clusters, 0.1, seed=0)[1]} == {
        one.question for one in held_out
    }
    assert split(entries, clusters, 0.0, seed=0)[1] == []


def test_labels_are_balanced_in_every_source() -> None:
    entries = [entry(source="a", answer=str(n), gold="yes" if n < 30 else "no") for n in range(40)]
    entries += [entry("step", source="b", steps=[str(n)], gold=-1 if n < 5 else 0) for n in range(20)]
    kept, dropped = label_balanced(entries, 0)
    counts = Counter((one.task, one.label) for one in kept)
    assert counts == {("verify", "yes"): 10, ("verify", "no"): 10, ("step", "-1"): 5, ("step", "0"): 5}
    assert len(kept) + len(dropped) == len(entries)


def test_a_source_with_one_label_only_would_tell_it_and_is_dropped() -> None:
    kept, dropped = label_balanced([entry(answer=str(n)) for n in range(5)], 0)
    assert (kept, len(dropped)) == ([], 5)


def test_a_score_that_everybody_gives_is_cut_to_twice_the_middle_one() -> None:
    frequent = {1: 4, 2: 10, 3: 50, 4: 12, 5: 20}
    entries = [
        entry("score", answer=f"{gold} {n}", gold=gold) for gold, count in frequent.items() for n in range(count)
    ]
    other = [entry("score", source="other", answer=str(n), gold=3) for n in range(9)]
    kept, dropped = label_balanced([*entries, *other], 0)
    assert Counter(one.label for one in kept if one.source == "set") == {"1": 4, "2": 10, "3": 24, "4": 12, "5": 20}
    assert [one for one in kept if one.source == "other"] != []
    assert _reasons(dropped) == {"more 3 than other labels in its source": 26}


def test_the_better_answer_is_a_and_b_equally_often_and_the_critique_follows() -> None:
    critique = "Answer B is wrong. Answer A is right: [A]"
    entries = [
        entry("pairwise", question=f"q {n}", critique=critique, system_a="x", annotations={"ann": "A"})
        for n in range(41)
    ]
    balanced = side_balanced(entries, 0)
    assert abs(sum(1 if one.label == "A" else -1 for one in balanced)) <= 1
    for one in balanced:
        record = one.record.to_json()
        assert record[f"answer_{one.label.lower()}"] == "4"
        assert record[f"system_{one.label.lower()}"] == "x"
        assert record["annotations"] == {"ann": one.label}
        assert record["critique"].endswith(f"Answer {one.label} is right: [{one.label}]")


_CERTAIN = ["Answer {0} is wrong.", "So [{0}] it is; response {1} fails.", "It is right, and Assistant {1}'s is not."]
_UNCERTAIN = [
    "{0} is correct, {1} is wrong.", "Answers {0} and {1} differ.", "The first answer is right.", "the latter fails",
    "ANSWER {0}", "Answer {0} or {1}", "(answer_{0})", "Option {1}!", "Response 2 is better.", "_{0}_", "answer b",
    "{0}/{1}", "The second is the first to err.",
]  # fmt: skip


@given(
    st.lists(st.sampled_from([*_CERTAIN, "Two and two are four.", "The first mistake is in step 2."]), max_size=4),
    st.lists(st.sampled_from(_UNCERTAIN), max_size=1),
    st.sampled_from(["A", "B"]),
    st.randoms(use_true_random=False),
)
def test_a_critique_of_changed_answers_is_true_or_gone(
    certain: list[str], uncertain: list[str], gold: str, rng: random.Random
) -> None:
    parts = [*certain, *uncertain]
    rng.shuffle(parts)
    said = {side: " ".join(parts).format(*side) for side in ("AB", "BA")}
    before = entry("pairwise", gold=gold, critique=said["AB"])
    after = before.swapped()
    assert after.label != gold
    assert after.record.extra.get("critique") == (None if uncertain else said["BA"])
    if not uncertain:
        assert after.swapped().record.to_json() == before.record.to_json()


def test_a_critique_may_quote_what_looks_like_an_answers_name_and_is_not_kept_then() -> None:
    pair = entry("pairwise", answer_a="I choose [B].", critique="Answer A is right: it says [B].")
    assert "critique" not in pair.swapped().record.extra
    assert pair.swapped().record.to_json()["answer_b"] == "I choose [B]."


def _entries(counts: dict[str, int]) -> list[Entry]:
    made = []
    for task, count in counts.items():
        more = {"reference": "4"} if task == "verify-reference" else {}
        made += [entry(task.split("-")[0], question=f"{task} {n}", **more) for n in range(count)]
    return made


@given(st.fixed_dictionaries({task: st.integers(20, 120) for task in TASKS}))
def test_the_mix_is_met_to_a_record(counts: dict[str, int]) -> None:
    kept, dropped = mixed(_entries(counts), MIX, 0)
    found = Counter(one.task for one in kept)
    total = min(counts[task] / share for task, share in MIX.items())
    for task, share in MIX.items():
        assert total * share - 1 <= found[task] <= total * share + 1e-6
    assert any(found[task] == counts[task] for task in TASKS)
    assert len(kept) + len(dropped) == sum(counts.values())


def test_the_mix_keeps_the_balance_of_labels() -> None:
    entries = [entry(answer=str(n), gold="yes" if n % 2 else "no") for n in range(100)] + _entries({"score": 10})
    kept, _ = mixed(entries, {"verify": 2, "score": 1}, 0)
    assert Counter(one.label for one in kept if one.task == "verify") == {"yes": 10, "no": 10}


def test_a_mix_without_records_of_a_task_is_refused_with_one_that_works() -> None:
    with pytest.raises(InvalidRecordsError, match="no record of it left") as caught:
        mixed(_entries({"verify": 3}), {"verify": 1, "score": 2}, 0)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("--mix verify=1")


def test_caps_hold_for_each_source_and_do_not_depend_on_the_order() -> None:
    entries = [entry(source=source, question=f"q {n}") for source in "ab" for n in range(10)]
    kept, dropped = capped(entries, parse_caps(["3", "b=5"]), 0)
    assert Counter(one.source for one in kept) == {"a": 3, "b": 5}
    assert len(dropped) == 12
    assert capped(entries[::-1], {"": 3, "b": 5}, 0)[0] == kept


@pytest.mark.parametrize("text", ["pairwise", "verify=x", "verify=-1", "verfy=1", "verify=inf"])
def test_a_mix_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_mix(text)


@pytest.mark.parametrize("text", ["x", "a=", "a=x"])
def test_a_cap_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(FareError):
        parse_caps([text])


def test_a_record_is_as_long_as_what_the_judge_is_shown() -> None:
    short, long = entry(answer="4" * 10, category="c" * 90), entry(answer="4" * 11)
    assert short.characters == len(short.record.question) + 10
    kept, dropped = short_enough([short, long], short.characters)
    assert kept == [short]
    assert [(one.entry, one.reason) for one in dropped] == [(long, "too long")]
    assert short_enough([short, long], None) == ([short, long], [])
