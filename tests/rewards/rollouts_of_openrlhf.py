"""OpenRLHF's own rollouts with a remote reward: `python -m tests.rewards.rollouts_of_openrlhf ADDRESS GGUF ANSWER...`.

Prints what each rollout ends with. Only the engine that generates (vLLM) is left out: it says the ANSWERs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from openrlhf.utils.agent import SingleTurnAgentExecutor
from transformers import AutoTokenizer


class Engine:
    def __init__(self, tokenizer: Any, text: str) -> None:
        self._ids = tokenizer(text, add_special_tokens=False)["input_ids"]

    async def generate(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=self._ids, finish_reason="stop", logprobs=None)])


async def rollouts(address: str, gguf: Path, answers: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    executor = SingleTurnAgentExecutor([address])
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 2 + 2?"}], tokenize=False, add_generation_prompt=True
    )
    sampling = SimpleNamespace(max_tokens=9000, logprobs=None)
    for answer in answers:
        engine = Engine(tokenizer, answer + "<|im_end|>")
        out = await executor.execute(prompt, "4", sampling, 16384, tokenizer, engine)
        print(json.dumps({name: out[name] for name in ("reward", "scores", "extra_logs")}))


if __name__ == "__main__":
    asyncio.run(rollouts(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
