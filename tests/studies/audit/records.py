"""Records of every task, for tests that look at what perturbations make of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from fare_cli.records import Record, parse

NAMES = ("Alice", "Bob", "Claire", "Mount Everest", "Vienna")
_SENTENCES = (
    "The result is 42.",
    "Alice has 3 balls and gives 12 of them to Bob.",
    "It was not in Vienna, as Claire said on Monday.",
    "So 7 * 6 = 42 in all.",
    "Then 42 + 8 = 50 is what she can have.",
    "1. First of all, Mount Everest is 8,849 metres high",
    "We don't know.",
    "Is it true?",
    "ünïcödé & <b>markup</b> {braces}",
)
sentences = st.one_of(st.sampled_from(_SENTENCES), st.text(st.characters(codec="utf-8"), max_size=40))
answers = st.lists(sentences, max_size=6).flatmap(
    lambda some: st.sampled_from([" ", "\n", "\n\n"]).map(lambda between: between.join(some))
)
questions = answers.filter(str.strip)


@st.composite
def records(draw: st.DrawFn, *tasks: str) -> Record:
    """A record of one of the tasks, with gold or without."""
    task = draw(st.sampled_from(tasks or ("pairwise", "step", "verify", "score")))
    values: dict[str, Any] = {"id": "r", "question": draw(questions), "reference": draw(st.none() | answers)}
    if task == "pairwise":
        values |= {
            "answer_a": draw(answers),
            "answer_b": draw(answers),
            "gold": draw(st.sampled_from(["A", "B", None])),
        }
        values |= {"annotations": draw(st.sampled_from([None, {"ann": "A", "bo": "tie", "cy": None}]))}
    elif task == "step":
        values["steps"] = draw(st.lists(answers, min_size=1, max_size=5))
        values["gold"] = draw(st.sampled_from([-1, 0, None]))
    elif task == "verify":
        values |= {"answer": draw(answers), "gold": draw(st.sampled_from(["yes", "no", None]))}
    else:
        values |= {"answer": draw(answers), "gold": draw(st.sampled_from([1, 4.5, 5, None]))}
        rubric = draw(st.sampled_from(["How clear is it?", {"1": "bad", "3": "fair", "5": "good"}]))
        values |= {"rubric": rubric} if draw(st.booleans()) else {"criteria": {"clear": rubric, "right": "Is it?"}}
    return parse(task, values)
