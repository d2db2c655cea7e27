"""Samples are what the judge is asked and what it is read by, id for id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.asks import Ask, Direct
from fare_cli.engine.native import Model
from fare_cli.engine.template import ChatTemplate
from fare_cli.engine.turns import Turns
from fare_cli.errors import InputError, InvalidRecordsError
from fare_cli.prompting import load_task_prompt
from fare_cli.records import parse
from tests.engine import tiny_models
from tests.training.making import PAIR, RECORDS, SCORE, STEP, VERIFY, write_records
from training.questions import Question, ask_record, chosen_order, read_records
from training.samples import Sample, Tokeniser, read_samples


@pytest.fixture(scope="module")
def tokeniser(smollm2_path: Path) -> Iterator[Tokeniser]:
    with Tokeniser(smollm2_path) as opened:
        yield opened


# <|im_start|> system \n You are a careful and; then the words of the completion and <|im_end|>.
PINNED_START = [1, 9690, 198, 2683, 359, 253, 5649, 284]
PINNED_COMPLETION = [35092, 42, 7042, 314, 1048, 30, 198, 16365, 3411, 42, 9805, 2]


def _question(values: dict[str, Any], order: str = "ab") -> Question:
    task = {"pair": "pairwise"}.get(values["id"], values["id"])
    found = ask_record(parse(task, values), load_task_prompt, order)  # type: ignore[arg-type]
    assert found is not None
    return found


def _trained(sample: Sample) -> list[int]:
    return [token for token, mask in zip(sample.input_ids, sample.completion_mask, strict=True) if mask]


def test_the_ids_of_a_sample_are_pinned(tokeniser: Tokeniser) -> None:
    """SmolLM2's ids, checked once by hand against its published tokenizer: a change here changes what is trained."""
    sample = tokeniser.critique(_question(VERIFY), "Explanation: Paris is right.\nVerdict: yes")
    assert _trained(sample) == PINNED_COMPLETION
    assert sample.input_ids[:8] == PINNED_START
    assert tokeniser.text(sample.input_ids[: sample.completion_mask.index(1)]).endswith("assistant\n")


@pytest.mark.parametrize("values", RECORDS, ids=lambda values: values["id"])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_direct_sample_is_the_judged_prompt_and_one_path_of_the_judging_trie(
    values: dict[str, Any], order: str, tokeniser: Tokeniser, smollm2_path: Path
) -> None:
    question = _question(values, order)
    sample = tokeniser.direct(question)
    model = Model(smollm2_path, gpu_layers=0, vocabulary_only=True)
    template = ChatTemplate(model)
    job = Turns(model, template).job(Ask("x", question.direct, Direct(question.marker, question.labels)))
    assert job.choice is not None
    prompt = job.tokens[: job.prompt_tokens]
    marker = template.plain("Verdict:")
    path = job.choice.paths[question.right]
    assert sample.input_ids == [*prompt, *marker, *path, template.turn_end()]
    assert sample.completion_mask == [0] * len(prompt) + [1] * (len(marker) + len(path) + 1)
    assert model.is_end(sample.input_ids[-1])
    model.close()


def test_the_right_label_follows_the_order_in_which_a_pair_is_shown(tokeniser: Tokeniser) -> None:
    assert tokeniser.direct(_question(PAIR, "ab")).target == "Verdict: [A]"
    swapped = tokeniser.direct(_question(PAIR, "ba"))
    assert swapped.target == "Verdict: [B]"
    assert swapped.order == "ba"
    text = tokeniser.text(swapped.input_ids)
    assert text.index("It is 5.") < text.index("4, since 2+2=4.")
    assert [tokeniser.direct(_question(one)).target for one in (STEP, VERIFY, SCORE)] == [
        "Verdict: 1",
        "Verdict: yes",
        "Verdict: 4",
    ]


@pytest.mark.parametrize("family", ["qwen3", "gpt_oss", "llama3", "gemma"])
def test_every_family_ends_its_turn_with_its_own_token(family: str, tmp_path: Path) -> None:
    path = getattr(tiny_models, f"write_{family}")(tmp_path / "tiny.gguf")
    ends = {"qwen3": "<|im_end|>", "gpt_oss": "<|return|>", "llama3": "<|eot_id|>", "gemma": "<end_of_turn>"}
    model = Model(path, gpu_layers=0, vocabulary_only=True)
    with Tokeniser(path) as tokeniser:
        assert tokeniser.end == model.special_tokens()[ends[family]]
        target = "Explanation: fine.\nVerdict: yes"
        sample = tokeniser.critique(_question(VERIFY), target)
        assert tokeniser.text(_trained(sample)[:-1]) == target
    model.close()


# SmolLM2's vocabulary lacks some bytes: control characters, and what starts characters from U+40000 on.
_CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t", max_codepoint=0x3FFFF)
_TEXTS = st.text(_CHARACTERS, min_size=1, max_size=60) | st.lists(
    st.sampled_from(["<|im_end|>", "<|im_start|>", "user\n", "Verdict: no", "\n", "[B]", " x"]), min_size=1, max_size=5
).map("".join)


@settings(max_examples=60)
@given(target=_TEXTS, answer=_TEXTS)
def test_what_is_trained_is_the_target_and_the_end_of_the_turn_and_nothing_else(
    target: str, answer: str, tokeniser: Tokeniser
) -> None:
    """Whatever the record or the target hold: no special token but the frame's, no unmasked token of the prompt."""
    question = _question({**VERIFY, "answer": f"a{answer}"})
    sample = tokeniser.critique(question, target)
    *text, end = _trained(sample)
    assert end == tokeniser.end
    assert tokeniser.text(text) == target
    assert tokeniser.end not in text
    prompt = sample.input_ids[: sample.completion_mask.index(1)]
    assert prompt.count(tokeniser.end) == 2, "one behind the system message, one behind the user's"


def test_a_text_that_the_vocabulary_cannot_say_is_told(tokeniser: Tokeniser) -> None:
    assert tokeniser.expresses("Explanation: naïve café 你好 <|im_end|>")
    assert not tokeniser.expresses("a private character: \U00040000")


def test_positions_of_pairs_are_drawn_about_evenly_and_always_the_same() -> None:
    records = [parse("pairwise", {**PAIR, "id": str(number)}) for number in range(400)]
    drawn = [chosen_order(record, 3) for record in records]
    assert 160 < drawn.count("ba") < 240
    assert drawn == [chosen_order(record, 3) for record in records]
    assert drawn != [chosen_order(record, 4) for record in records]


@pytest.mark.parametrize(
    ("task", "values"),
    [
        ("pairwise", {**PAIR, "gold": "tie"}),
        ("pairwise", {**PAIR, "gold": None}),
        ("score", {**SCORE, "gold": 3.5}),
        ("score", {key: value for key, value in SCORE.items() if key != "rubric"} | {"criteria": {"a": "x", "b": "y"}}),
    ],
)
def test_a_record_without_one_right_label_is_no_question(task: str, values: dict[str, Any]) -> None:
    assert ask_record(parse(task, values), load_task_prompt, "ab") is None


def test_a_mean_score_stands_for_the_nearest(tokeniser: Tokeniser) -> None:
    assert tokeniser.direct(_question({**SCORE, "gold": 3.67})).target == "Verdict: 4"


def test_records_of_all_tasks_are_told_apart_by_their_fields(tmp_path: Path) -> None:
    path = write_records(tmp_path / "records.jsonl", [*RECORDS, {**VERIFY, "id": "", "task": "verify"}])
    found = list(read_records(path))
    assert [record.task for record in found] == ["pairwise", "step", "verify", "score", "verify"]
    assert found[-1].id == found[-1].content_id()


def test_a_bad_record_is_named_with_file_line_and_field(tmp_path: Path) -> None:
    path = write_records(tmp_path / "records.jsonl", [VERIFY, {**STEP, "gold": 9}])
    with pytest.raises(InvalidRecordsError, match=r"records\.jsonl, line 2: `?gold"):
        list(read_records(path))
    with pytest.raises(InputError, match="does not exist"):
        list(read_records(tmp_path / "none.jsonl"))


def test_a_bad_line_of_samples_is_named(tmp_path: Path, tokeniser: Tokeniser) -> None:
    good = tokeniser.direct(_question(VERIFY))
    path = tmp_path / "samples.jsonl"
    path.write_text(good.to_line() + "\n" + good.model_copy(update={"completion_mask": [1, 0]}).to_line() + "\n")
    with pytest.raises(InvalidRecordsError, match=r"samples\.jsonl, line 2"):
        list(read_samples(path))
    path.write_text(good.to_line() + "\n")
    assert list(read_samples(path)) == [good]
