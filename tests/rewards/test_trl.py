"""TRL's GRPO with a judge as its verifier: a tiny policy for every change, SmolLM2 in the long tests."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from fare_cli.errors import InputError, UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.judge import Judge
from fare_cli.rewards.trl import JudgeReward
from tests.engine import tiny_models
from tests.simulating import judge as simulated
from training.start import write_dequantised

ROWS = [
    {"prompt": [{"role": "user", "content": f"What is {n} + {n}?"}], "solution": str(2 * n), "level": n}
    for n in range(1, 5)
]

TOO_MUCH = {"context": "word " * 400}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def judge(smollm2_path: Path) -> Iterator[Judge]:
    with Judge.open(smollm2_path, options=JudgingOptions(mode="direct"), ctx=1024, threads=1) as judge:
        yield judge


def train(policy: Path, folder: Path, reward: JudgeReward, steps: int, **options: Any) -> tuple[GRPOTrainer, Any]:
    """A trainer that has done its steps, and the policy's first weights."""
    model = AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32)
    before = copy.deepcopy(model.state_dict())
    config = GRPOConfig(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=12,
        learning_rate=1e-3,
        logging_steps=1,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        seed=1,
        **options,
    )
    trainer = GRPOTrainer(
        model,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(ROWS),
        processing_class=AutoTokenizer.from_pretrained(policy, padding_side="left"),
    )
    trainer.train()
    return trainer, before


def logged(trainer: GRPOTrainer, name: str) -> list[float]:
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def moved(trainer: GRPOTrainer, before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())


def test_grpo_learns_from_the_judges_rewards(tmp_path: Path, judge: Judge) -> None:
    policy = tmp_path / "policy"
    write_dequantised(tiny_models.write_qwen3(tmp_path / "tiny.gguf", head=128), policy)
    reward = JudgeReward(judge, fields={"reference": "solution"})
    trainer, before = train(policy, tmp_path / "out", reward, steps=2)
    rewards = logged(trainer, "rewards/fare_verify/mean")
    assert len(rewards) == 2
    assert all(0 < value < 1 for value in rewards)
    assert all(value > 0 for value in logged(trainer, "rewards/fare_verify/std")), "graded: no two are alike"
    assert logged(trainer, "fare_invalid") == [0.0, 0.0]
    assert moved(trainer, before)


def test_where_the_judge_gives_no_reward_the_policy_stays(tmp_path: Path, smollm2_path: Path) -> None:
    policy = tmp_path / "policy"
    write_dequantised(tiny_models.write_qwen3(tmp_path / "tiny.gguf", head=128), policy)
    # No prompt with so much of a document fits so few tokens.
    options = JudgingOptions(mode="direct")
    with Judge.open(smollm2_path, options=options, ctx=256, threads=1) as small:
        reward = JudgeReward(small, fields={"reference": "solution"}, constants=TOO_MUCH)
        trainer, before = train(policy, tmp_path / "out", reward, steps=1, weight_decay=0.0)
    assert reward.invalid_verdicts == 4
    assert logged(trainer, "fare_invalid") == [1.0]
    assert not moved(trainer, before)


@pytest.mark.long
def test_grpo_on_smollm2_with_smollm2_as_verifier(tmp_path: Path, smollm2_path: Path, judge: Judge) -> None:
    policy = tmp_path / "policy"
    write_dequantised(smollm2_path, policy)
    reward = JudgeReward(judge, fields={"reference": "solution"})
    trainer, before = train(policy, tmp_path / "out", reward, steps=4)
    assert len(logged(trainer, "rewards/fare_verify/mean")) == 4
    assert moved(trainer, before)


def test_columns_and_constants_are_fields_of_the_record() -> None:
    scale = {"rubric": "r", "scale": [0, 2]}
    reward = JudgeReward(simulated(), "score", fields={"reference": "solution"}, constants=scale)
    answers = ["points: 0", "points: 1", "points: 2"]
    graded = reward(["?"] * 3, answers, solution=["s"] * 3, level=[1, 2, 3], trainer_state=None)
    assert all(value is not None and 0 <= value <= 1 for value in graded)
    assert graded == sorted(graded)  # type: ignore[type-var]
    labels = JudgeReward(simulated(), "score", constants=scale, graded=False)
    assert labels(["?"] * 3, answers) == [0.0, 0.5, 1.0]
    assert labels.__name__ == "fare_score"


def test_what_makes_no_record_is_an_error_not_a_reward() -> None:
    with pytest.raises(InputError, match="no column 'answer'"):
        JudgeReward(simulated(), fields={"reference": "answer"})(["?"], ["RIGHT"], solution=["s"])
    with pytest.raises(InputError, match="completion 1 makes no verify record: `question`"):
        JudgeReward(simulated(), fields={"question": "q"})(["?", "?"], ["RIGHT", "RIGHT"], q=["?", ["?"]])
    with pytest.raises(UsageError, match="'refrence' is no field"):
        JudgeReward(simulated(), fields={"refrence": "answer"})
    with pytest.raises(UsageError, match="pairwise are no rewards"):
        JudgeReward(simulated(), "pairwise")  # type: ignore[arg-type]


def test_a_value_may_be_named_for_what_the_judge_cannot_judge(smollm2_path: Path) -> None:
    with Judge.open(smollm2_path, options=JudgingOptions(mode="direct"), ctx=256, threads=1) as small:
        reward = JudgeReward(small, constants=TOO_MUCH, invalid=-1.0)
        assert reward(["What is 1 + 1?"], ["2"]) == [-1.0]
        assert reward.invalid_verdicts == 1
