"""The judge as a library: what a program that imports fare sees."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import fare_cli as fare
from fare_cli.gguf.importing import import_model
from fare_cli.identity import JudgingOptions, Mode
from tests.engine import tiny_models

PAIRS = [
    {"id": "sum", "question": "What is 2+2?", "answer_a": "It is 4.", "answer_b": "It is 5.", "gold": "A"},
    {"id": "colour", "question": "Name a colour.", "answer_a": "A chair.", "answer_b": "Blue.", "gold": "B"},
]
SMALL = {"ctx": 2048, "threads": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_qwen3(tmp_path_factory.mktemp("model") / "tiny.gguf")


def direct(**changes: object) -> JudgingOptions:
    return JudgingOptions(mode="direct", **changes)  # type: ignore[arg-type]


def test_all_four_tasks_give_a_verdict_a_record_in_order(model: Path) -> None:
    with fare.Judge.open(model, options=direct(combine="mean"), **SMALL) as judge:
        pairs = list(judge.pairwise(PAIRS))
        steps = list(judge.step([{"question": "1+1+1?", "steps": ["1+1=2", "2+1=4"], "gold": 1}]))
        checks = list(judge.verify([{"question": "2+2?", "answer": "4"}]))
        scores = list(judge.score([{"question": "2+2?", "answer": "4", "rubric": "Is it right?"}]))
    assert [verdict.id for verdict in pairs] == ["sum", "colour"]
    assert all(verdict.status == "ok" for verdict in (*pairs, *steps, *checks, *scores))
    assert {verdict.verdict for verdict in pairs} <= {"A", "B"}
    assert steps[0].step in (-1, 0, 1)
    assert checks[0].verdict in ("yes", "no")
    assert scores[0].score in (1, 2, 3, 4, 5)


def test_a_record_that_is_none_is_an_invalid_verdict_among_the_others(model: Path) -> None:
    with fare.Judge.open(model, options=direct(), **SMALL) as judge:
        verdicts = list(judge.pairwise([PAIRS[0], {"question": "What?", "answer_a": "x", "anwser_b": "y"}, PAIRS[1]]))
    assert [verdict.status for verdict in verdicts] == ["ok", "invalid", "ok"]
    assert verdicts[1].error is not None
    assert "anwser_b" in verdicts[1].error.message


def test_a_record_that_does_not_fit_is_invalid_with_the_numbers(model: Path) -> None:
    long = {**PAIRS[0], "id": "long", "answer_a": "It is 4. " * 2000}
    with fare.Judge.open(model, options=direct(), **SMALL) as judge:
        verdicts = list(judge.pairwise([PAIRS[0], long, PAIRS[1]]))
    assert [verdict.status for verdict in verdicts] == ["ok", "invalid", "ok"]
    assert verdicts[1].error is not None
    assert verdicts[1].error.kind == "too_long"
    assert "2048" in verdicts[1].error.message


def test_the_fingerprint_changes_with_everything_that_can_change_a_verdict(model: Path, tmp_path: Path) -> None:
    adapter = tiny_models.write_lora(tmp_path / "lora.gguf", "qwen3")
    other = tiny_models.write_qwen3(tmp_path / "other.gguf", seed=1)
    judges = [
        fare.Judge.open(model, options=direct()),
        fare.Judge.open(model, options=direct(combine="mean")),
        fare.Judge.open(model, options=JudgingOptions()),
        fare.Judge.open(model, options=direct(), lora=adapter),
        fare.Judge.open(other, options=direct()),
    ]
    prints = [judge.identity("pairwise").fingerprint for judge in judges]
    prints.append(judges[0].identity("step").fingerprint)
    assert len(set(prints)) == len(prints)


def test_an_installed_adapter_is_the_judge_that_lora_makes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    adapter = tiny_models.write_lora(tmp_path / "lora.gguf", "qwen3")
    import_model(model)
    import_model(adapter, base="tiny", name="my-judge")
    lines = []
    for name, lora in (("my-judge", None), (model, adapter), ("tiny", None)):
        with fare.Judge.open(name, options=direct(), lora=lora, deterministic=True, **SMALL) as judge:
            lines.append([verdict.to_line() for verdict in judge.pairwise(PAIRS)])
    assert lines[0] == lines[1], "byte for byte, with the fingerprint"
    assert lines[0] != lines[2]
    with pytest.raises(fare.UsageError, match="my-judge is an adapter itself"):
        fare.Judge.open("my-judge", lora=adapter)


def test_how_the_model_is_run_is_not_the_judge(model: Path) -> None:
    fast = fare.Judge.open(model, options=direct(), slots=8, threads=2)
    slow = fare.Judge.open(model, options=direct(), slots=1, threads=1)
    assert fast.identity("pairwise") == slow.identity("pairwise")


def test_the_identity_needs_no_engine_and_names_the_bytes(model: Path) -> None:
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert fare.Judge.open(model).identity("verify").weights == f"sha256:{digest}"


def test_votes_without_a_temperature_are_a_usage_error(model: Path) -> None:
    with fare.Judge.open(model, options=JudgingOptions(votes=3), **SMALL) as judge, pytest.raises(fare.UsageError):
        list(judge.pairwise(PAIRS))


def test_verdicts_of_one_slot_equal_those_of_sixteen_under_deterministic(model: Path) -> None:
    records = [{**pair, "id": f"{number}-{pair['id']}"} for number in range(3) for pair in PAIRS]
    lines = []
    for slots in (1, 16):
        options = JudgingOptions(max_tokens=24)
        with fare.Judge.open(model, options=options, slots=slots, deterministic=True, **SMALL) as judge:
            lines.append([verdict.to_line() for verdict in judge.pairwise(records)])
    assert lines[0] == lines[1]
    assert all('"status":"ok"' in line for line in lines[0])


@pytest.mark.parametrize("mode", ["critique", "direct"])
def test_a_judge_that_thinks_says_what_it_thought_and_whether_it_was_cut(model: Path, mode: Mode) -> None:
    options = JudgingOptions(mode=mode, max_tokens=6, reasoning="low", reasoning_tokens=10)
    with fare.Judge.open(model, options=options, **SMALL) as judge:
        verdicts = list(judge.pairwise(PAIRS))
    judgments = [judgment for verdict in verdicts for judgment in verdict.judgments]
    assert [verdict.status for verdict in verdicts] == ["ok", "ok"]
    assert any(judgment.reasoning_truncated for judgment in judgments)
    assert all(judgment.reasoning for judgment in judgments if judgment.reasoning_truncated)
    assert all((judgment.critique is None) == (mode == "direct") for judgment in judgments)
    longest = 10 + (6 if mode == "critique" else 0)
    assert all(0 < verdict.usage.generated_tokens <= 2 * longest for verdict in verdicts)


def test_reasoning_from_a_model_that_has_none_is_a_usage_error(smollm2_path: Path) -> None:
    options = direct(reasoning="low")
    with fare.Judge.open(smollm2_path, options=options) as judge, pytest.raises(fare.UsageError, match="smollm2"):
        list(judge.pairwise(PAIRS))


def test_a_context_that_cannot_hold_the_reasoning_is_a_usage_error(model: Path) -> None:
    options = direct(reasoning="medium")
    with fare.Judge.open(model, options=options, **SMALL) as judge, pytest.raises(fare.UsageError, match="2048"):
        list(judge.pairwise(PAIRS))


def test_the_context_has_room_for_the_thinking(model: Path) -> None:
    plain = fare.Judge.open(model, options=direct())
    thinking = fare.Judge.open(model, options=JudgingOptions(max_tokens=100, reasoning="high"))
    assert plain.engine_options.reply_tokens == 0
    assert thinking.engine_options.reply_tokens == 8192 + 100
    assert fare.Judge.open(model, options=direct(reasoning="low")).engine_options.work == "critique"


def test_a_missing_model_says_how_to_get_one() -> None:
    with pytest.raises(fare.ModelError) as caught:
        fare.Judge.open("smollm2")
    assert caught.value.hint is not None
    assert "fare models pull smollm2" in caught.value.hint


def test_options_that_change_nothing_do_not_make_another_judge(model: Path) -> None:
    def fingerprint(task: str, **changes: object) -> str:
        return fare.Judge.open(model, options=direct(**changes)).identity(task).fingerprint

    assert fingerprint("pairwise") == fingerprint("pairwise", max_tokens=7, seed=3)
    assert fingerprint("verify") == fingerprint("verify", combine="mean", order="ab")
    assert fingerprint("pairwise") != fingerprint("pairwise", order="ab")
    assert fingerprint("step") == fingerprint("step", reasoning_tokens=9, temperature=0.5)
    assert fingerprint("step", reasoning="low") == fingerprint("step", reasoning="low", reasoning_tokens=512)


def test_thinking_otherwise_is_another_judge(model: Path) -> None:
    ways = [
        {},
        {"reasoning": "low"},
        {"reasoning": "medium"},
        {"reasoning": "low", "reasoning_tokens": 2048},
        {"reasoning": "low", "temperature": 0.6},
        {"reasoning": "low", "temperature": 0.6, "seed": 1},
    ]
    prints = {fare.Judge.open(model, options=direct(**way)).identity("step").asking_fingerprint for way in ways}
    assert len(prints) == len(ways)
