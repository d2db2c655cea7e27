"""Rejection sampling keeps what it must and drops what it must."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fare_cli.asks import Ask, Free, Reply, ReplyError
from fare_cli.errors import InputError, InvalidRecordsError, UsageError
from fare_cli.prompting import load_task_prompt
from fare_cli.run.manifest import journal_path
from tests.training.making import PAIR, RECORDS, ScriptedPolicy, sums, write_records
from training.manifest import read_manifest
from training.questions import ask_record, read_records
from training.rollout import RolloutOptions, from_critiques, rollout, verdict_of
from training.samples import Sample, read_samples

LABELS = (" yes", " no")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Explanation: good.\nVerdict: yes", " yes"),
        ("Verdict: yes", " yes"),
        ("Verdict: no\nOn second thought.\nVerdict: yes\n", " yes"),
        ("Verdict: yes\nVerdict: maybe", None),
        ("Explanation: good.\nVerdict: yes.", None),
        ("Explanation: good.\nVerdict:yes", None),
        ("Explanation: good.\n Verdict: yes", None),
        ("Explanation: good.\nVerdict: Yes", None),
        ("Verdict: yes\nThat is all.", None),
        ("The verdict: yes", None),
        ("", None),
    ],
)
def test_only_the_last_line_counts_and_only_in_form(text: str, label: str | None) -> None:
    assert verdict_of(text, "Verdict:", LABELS) == label


def _says(right: dict[str, list[str]]) -> Any:
    """Replies by record id and try; texts stand for whole turns, `cut:...` for turns cut at the limit."""

    def said(ask: Ask) -> Reply:
        assert isinstance(ask.script, Free)
        number = int(ask.id.rpartition("/")[2])
        user = ask.messages[-1].text
        name = next(name for name in right if f"What is {name} plus" in user)
        text = right[name][number]
        if text == "error":
            return Reply(error=ReplyError("too_long", "does not fit"))
        return Reply(text=text.removeprefix("cut:"), truncated=text.startswith("cut:"), generated_tokens=5)

    return said


YES, NO = "Explanation: it is {}.\nVerdict: yes", "Explanation: it is not.\nVerdict: no"


def test_what_is_right_is_kept_once_and_what_never_is_is_dropped(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(10)[::2])  # 0, 2, 4, 6, 8: all of them right answers
    policy = ScriptedPolicy(
        _says(
            {
                "0": [YES.format("a"), NO, f"cut:{YES.format('b')}", "no idea"],  # 1 of 4
                "2": [YES.format(letter) for letter in "abcd"],  # 4 of 4
                "4": [NO, NO, f"cut:{YES.format('x')}", "Verdict: yes, I think"],  # none
                "6": [YES.format("a"), YES.format("b"), NO, "error"],  # 2 of 4
                "8": [YES.format("\ufffd"), YES.format("b"), YES.format("c"), YES.format("d")],  # 3 of 4
            }
        )
    )
    output = tmp_path / "samples.jsonl"
    options = RolloutOptions(direct_share=0.0, seed=5)
    manifest = rollout(records, output, policy, smollm2_path, options, say=lambda _: None)
    asked = [ask_record(record, load_task_prompt, "ab") for record in read_records(records)]
    assert all(ask.messages in [one.critique for one in asked if one is not None] for ask in policy.asked)
    samples = list(read_samples(output))
    assert [(one.id, one.pass_rate) for one in samples] == [
        ("sum-2", 1),
        ("sum-8", 0.75),
        ("sum-6", 0.5),
        ("sum-0", 0.25),
    ]
    assert samples[3].target == YES.format("a")
    assert samples[0].target in {YES.format(letter) for letter in "abcd"}
    assert {one.kind for one in samples} == {"critique"}
    assert {name: manifest.counts[name] for name in manifest.counts if name.startswith("tries_")} == {
        "tries_right": 10,
        "tries_wrong": 4,
        "tries_cut": 2,
        "tries_unparsed": 3,
        "tries_failed": 1,
    }
    assert manifest.counts["none_right"] == 1
    assert manifest.counts["by_pass_rate"] == {"1": 1, "0.75": 1, "0.5": 1, "0.25": 1}
    assert read_manifest(output) == manifest


def test_which_right_turn_is_kept_is_left_to_the_seed(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(80)[::2])
    says = _says({str(number): [YES.format(letter) for letter in "abcd"] for number in range(0, 80, 2)})

    def targets(seed: int, name: str) -> dict[str, str]:
        output = tmp_path / f"{name}.jsonl"
        options = RolloutOptions(direct_share=0.0, seed=seed)
        rollout(records, output, ScriptedPolicy(says), smollm2_path, options, say=lambda _: None)
        return {one.id: one.target for one in read_samples(output)}

    first = targets(1, "first")
    assert Counter(first.values()).keys() == {YES.format(letter) for letter in "abcd"}
    assert first == targets(1, "again")
    assert first != targets(2, "other")


def test_a_share_becomes_direct_judgments_in_the_same_order(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(40)[::2])
    rates = [1 + number % 4 for number in range(20)]
    says = _says({str(2 * n): [YES.format("x")] * rate + [NO] * (4 - rate) for n, rate in enumerate(rates)})
    samples = {}
    for share in (0.0, 0.5, 1.0):
        output = tmp_path / f"{share}.jsonl"
        options = RolloutOptions(direct_share=share, seed=1)
        rollout(records, output, ScriptedPolicy(says), smollm2_path, options, say=lambda _: None)
        samples[share] = list(read_samples(output))
    assert [sum(one.kind == "direct" for one in samples[share]) for share in samples] == [0, 10, 20]
    assert all(one.target == "Verdict: yes" for one in samples[1.0])
    for found in samples.values():
        order = [one.pass_rate for one in found]
        assert order == sorted(order, key=lambda rate: -(rate or 0))
        assert [one.id for one in found] == [one.id for one in samples[0.0]]


def test_which_records_become_direct_is_left_to_the_seed(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(40)[::2])
    says = _says({str(number): [YES.format("x")] * 4 for number in range(0, 40, 2)})
    direct = []
    for seed in (1, 2):
        output = tmp_path / f"{seed}.jsonl"
        rollout(records, output, ScriptedPolicy(says), smollm2_path, RolloutOptions(seed=seed), say=lambda _: None)
        direct.append({one.id for one in read_samples(output) if one.kind == "direct"})
    assert direct[0] != direct[1]


def test_a_pair_is_shown_in_either_order_and_the_right_label_goes_with_it(tmp_path: Path, smollm2_path: Path) -> None:
    """A policy that likes the first answer is right where the better one is shown first."""
    records = write_records(tmp_path / "records.jsonl", [{**PAIR, "id": f"p{number}"} for number in range(40)])
    output = tmp_path / "samples.jsonl"
    policy = ScriptedPolicy(lambda _: Reply(text="Explanation: the first.\nVerdict: [A]"))
    manifest = rollout(records, output, policy, smollm2_path, RolloutOptions(tries=1), say=lambda _: None)
    shown_first = sum(text.index("4, since") < text.index("It is 5") for text in _users(policy))
    assert 10 < shown_first < 30
    samples = list(read_samples(output))
    assert [one.order for one in samples] == ["ab"] * shown_first
    assert manifest.counts["none_right"] == 40 - shown_first


def _users(policy: ScriptedPolicy) -> list[str]:
    return [ask.messages[-1].text for ask in policy.asked]


def test_a_turn_that_the_vocabulary_cannot_say_is_left_out(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(6)[::2])
    strange = YES.format("\U00040000")
    says = _says({"0": [strange] * 4, "2": [YES.format("x")] * 4, "4": [YES.format("x")] * 4})
    output = tmp_path / "samples.jsonl"
    manifest = rollout(records, output, ScriptedPolicy(says), smollm2_path, RolloutOptions(), say=lambda _: None)
    assert {one.id for one in read_samples(output)} == {"sum-2", "sum-4"}
    assert manifest.counts["not_expressible"] == 1


def test_what_another_policy_has_said_is_not_taken_for_this_ones(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(4)[::2])
    output = tmp_path / "samples.jsonl"
    says = _says({"0": [YES.format("x")] * 4, "2": [NO] * 4})
    rollout(records, output, ScriptedPolicy(says), smollm2_path, RolloutOptions(), say=lambda _: None)
    better = ScriptedPolicy(_says({name: [YES.format("y")] * 4 for name in "02"}), "sha256:better")
    with pytest.raises(InputError, match="made by something else"):
        rollout(records, output, better, smollm2_path, RolloutOptions(), say=lambda _: None)
    rollout(records, output, better, smollm2_path, RolloutOptions(), say=lambda _: None, force=True)
    assert len(better.asked) == 8
    assert {one.id for one in read_samples(output)} == {"sum-0", "sum-2"}


def test_without_a_curriculum_the_order_is_random(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(40)[::2])
    says = _says({str(2 * n): [YES.format("x")] * (1 + n % 4) + [NO] * (3 - n % 4) for n in range(20)})
    output = tmp_path / "samples.jsonl"
    rollout(records, output, ScriptedPolicy(says), smollm2_path, RolloutOptions(curriculum=False), say=lambda _: None)
    order = [one.pass_rate for one in read_samples(output)]
    assert order != sorted(order, key=lambda rate: -(rate or 0))


def test_an_interrupted_rollout_asks_nothing_twice(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(40)[::2])
    whole = _says({str(number): [YES.format("x"), NO, NO, YES.format("y")] for number in range(0, 40, 2)})
    left = [33]

    def dies(ask: Ask) -> Reply:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return whole(ask)  # type: ignore[no-any-return]

    output = tmp_path / "samples.jsonl"
    with pytest.raises(KeyboardInterrupt):
        rollout(records, output, ScriptedPolicy(dies), smollm2_path, RolloutOptions(), say=lambda _: None)
    assert not output.exists()
    with journal_path(output).open("ab") as torn:
        torn.write(b'{"key":"0123')
    again = ScriptedPolicy(whole)
    rollout(records, output, again, smollm2_path, RolloutOptions(), say=lambda _: None)
    assert len(again.asked) == 80 - 33

    unbroken = tmp_path / "unbroken.jsonl"
    rollout(records, unbroken, ScriptedPolicy(whole), smollm2_path, RolloutOptions(), say=lambda _: None)
    assert output.read_bytes() == unbroken.read_bytes()

    said: list[str] = []
    silent = ScriptedPolicy(lambda _: pytest.fail("asked again"))
    rollout(records, output, silent, smollm2_path, RolloutOptions(), say=said.append)
    assert said == [f"{output} is made already"]


def test_nothing_right_is_an_error_that_says_what_became_of_the_tries(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(4))
    policy = ScriptedPolicy(lambda _: Reply(text="Hm."))
    with pytest.raises(InvalidRecordsError, match="tries_unparsed 16"):
        rollout(records, tmp_path / "out.jsonl", policy, smollm2_path, RolloutOptions(), say=lambda _: None)
    assert not (tmp_path / "out.jsonl").exists()


def test_two_records_of_one_id_are_refused(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", [PAIR, PAIR])
    with pytest.raises(InvalidRecordsError, match="'pair' is there twice"):
        rollout(
            records, tmp_path / "o.jsonl", ScriptedPolicy(lambda _: Reply()), smollm2_path, RolloutOptions(), say=print
        )


def test_a_cold_start_learns_the_critiques_that_records_carry(tmp_path: Path, smollm2_path: Path) -> None:
    critiques = {"pair": "Answer B adds wrongly.", "step": "Explanation: step 1 says 7.", "verify": "Paris it is."}
    records = [{**one, "critique": critiques[one["id"]]} if one["id"] in critiques else one for one in RECORDS]
    path = write_records(tmp_path / "records.jsonl", records)
    output = tmp_path / "samples.jsonl"
    policy = ScriptedPolicy(lambda _: pytest.fail("nothing is to be sampled"))
    manifest = from_critiques(path, output, policy, smollm2_path, RolloutOptions(direct_share=0.0), say=print)
    samples = {one.id: one for one in read_samples(output)}
    assert {one.id: one.target for one in samples.values()} == {
        "pair": "Explanation: Answer B adds wrongly.\nVerdict: [A]",
        "step": "Explanation: step 1 says 7.\nVerdict: 1",
        "verify": "Explanation: Paris it is.\nVerdict: yes",
    }
    assert manifest.counts["no_critique"] == 1
    assert samples["pair"].order == "ab", "the critique calls the answers by their letters"
    assert all(one.pass_rate is None for one in samples.values())
    bad = write_records(tmp_path / "bad.jsonl", [{**PAIR, "critique": "Look.\nVerdict: [B]"}])
    with pytest.raises(InvalidRecordsError, match="'pair': its critique holds a verdict"):
        from_critiques(bad, tmp_path / "other.jsonl", policy, smollm2_path, RolloutOptions(), say=print)


@pytest.mark.parametrize("values", [{"tries": 0}, {"temperature": 0.0}, {"direct_share": 1.5}, {"max_tokens": 0}])
def test_options_that_cannot_be_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RolloutOptions(**values)


def test_samples_are_plain_lines_for_other_trainers_too(tmp_path: Path, smollm2_path: Path) -> None:
    records = write_records(tmp_path / "records.jsonl", sums(2)[:1])
    output = tmp_path / "samples.jsonl"
    says = _says({"0": [YES.format("x")] * 4})
    rollout(records, output, ScriptedPolicy(says), smollm2_path, RolloutOptions(direct_share=0), say=lambda _: None)
    (line,) = output.read_text().splitlines()
    assert set(json.loads(line)) == {"id", "task", "kind", "pass_rate", "target", "input_ids", "completion_mask"}
    assert isinstance(Sample.model_validate_json(line), Sample)
