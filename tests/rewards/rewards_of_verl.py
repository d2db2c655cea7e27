"""verl's own reward manager with fare's function: `python -m tests.rewards.rewards_of_verl URL GGUF ANSWER...`.

The function is found by verl's configuration and called by its manager, as in training. Prints what comes of each
answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from transformers import AutoTokenizer
from verl import DataProto
from verl.trainer.ppo.reward import load_reward_manager

EXTRA = {"question": "What is 2 + 2?", "answer": "2 + 2 = 4 #### 4", "split": "train", "index": 0}


def row(tokenizer: Any, answer: str) -> Any:
    ids = tokenizer(answer, return_tensors="pt")["input_ids"]
    prompt = torch.ones(1, 3, dtype=torch.long)
    mask = torch.ones(1, ids.shape[1] + 3, dtype=torch.long)
    batch = TensorDict({"prompts": prompt, "responses": ids, "attention_mask": mask}, batch_size=[1])
    others = {"data_source": "openai/gsm8k", "reward_model": {"ground_truth": "4"}, "extra_info": dict(EXTRA)}
    return DataProto(
        batch=batch, non_tensor_batch={name: np.array([value], dtype=object) for name, value in others.items()}
    )


async def rewards(url: str, gguf: Path, answers: list[str]) -> None:
    function = {
        "path": "pkg://fare_cli.rewards.verl",
        "name": "compute_score",
        "reward_kwargs": {"url": url, "invalid": -1.0},
    }
    manager = {"source": "register", "name": "naive"}
    config = OmegaConf.create({"reward": {"custom_reward_function": function, "reward_manager": manager}})
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    runs = load_reward_manager(config, tokenizer)
    for found in await asyncio.gather(*(runs.run_single(row(tokenizer, answer)) for answer in answers)):
        print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(rewards(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
