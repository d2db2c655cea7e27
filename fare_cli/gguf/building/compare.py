"""Compares a GGUF file with the checkpoint it was made from: token ids and next-token probabilities.

In a child process, transformers runs the checkpoint on the CPU and llama.cpp the files, on the same token ids of a few
texts. What is reported is what llama.cpp's own perplexity tool calls mean KLD and same top.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fare_cli.errors import ModelError
from fare_cli.machine import usable_cpus

Logits = npt.NDArray[np.float32]

#: A right conversion to 16 bits stays below 0.01 nats; a wrong one is at several.
MOST_NATS = 0.1

_LONGEST_TOKENS = 96
_LAST_LINE = 200

_TEXTS = (
    "Please act as an impartial judge and decide which of the two answers is better.\n\n[User Question]\n",
    "[The Start of Assistant A's Answer]\nThe capital of France is Paris.\n[The End of Assistant A's Answer]",
    "Explanation: Answer B adds the wrong numbers: 17 + 25 = 42, not 43.\nVerdict: [A]",
    "<step 0> Let x = 3.5 and y = -12; then 2x + y = -5.</step 0>\n<step 1> So |2x + y| = 5.</step 1>",
    "def mean(values: list[float]) -> float:\n    return sum(values) / len(values)  # fails on []\n",
    '{"name": "get_weather", "arguments": {"city": "Zürich", "days": 3, "unit": null}}',
    "Is it right?   Yes / No \t (whitespace\n\n\n  counts)",
    "Straße, naïve, señor; привет, мир; 你好,世界。 🙂👍🏽 ½ ≠ 0.5%",
    "The derivative of x^2*sin(x) is 2x*sin(x) + x^2*cos(x), since (uv)' = u'v + uv'.",
    "1234567890 3.14159 1e-9 0xFF 2024-06-01T12:34:56Z https://example.org/a?b=c&d=%20",
)


class Agreement(NamedTuple):
    """How a GGUF file agrees with its checkpoint on `texts` texts with `positions` tokens.

    `same_ids` texts were cut into the same tokens; at `same_top` positions both find the same next token most likely;
    `nats` is the mean Kullback-Leibler divergence of the file's distribution from the checkpoint's.
    """

    texts: int
    same_ids: int
    positions: int
    same_top: int
    nats: float

    def __str__(self) -> str:
        return (
            f"token ids equal for {self.same_ids} of {self.texts} texts, most likely next token at {self.same_top} of "
            f"{self.positions} positions, {self.nats:.4f} nats apart"
        )


class CannotCompare(Exception):
    """The comparison could not be made, which says nothing about the files; the message says why."""


def compare(checkpoint: Path, models: Mapping[str, Path], *, full_precision: bool) -> dict[str, Agreement]:
    """How each of `models` agrees with the checkpoint folder.

    With `full_precision` transformers computes in F32, which takes 4 bytes a parameter, else in the checkpoint's own
    type. Raises ModelError where llama.cpp cannot run a file, CannotCompare where transformers cannot run its side.
    """
    order = {
        "checkpoint": str(checkpoint),
        "models": {name: str(path) for name, path in models.items()},
        "full_precision": full_precision,
    }
    # -P: a file in the working folder must not stand in for a module of Python.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "fare_cli.gguf.building.compare", json.dumps(order)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "GGML_NO_BACKTRACE": "1"},
    )
    if done.returncode < 0:
        raise CannotCompare(f"it was killed by signal {-done.returncode}; the memory may be too small")
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        last_words = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CannotCompare(last_words[:_LAST_LINE]) from None
    if "error" in answer:
        raise ModelError(answer["error"], answer["hint"])
    if "unable" in answer:
        raise CannotCompare(answer["unable"])
    return {name: Agreement(**values) for name, values in answer.items()}


class _Reference(NamedTuple):
    """What the checkpoint makes of one text: its token ids, and the logits behind each, shape (tokens, vocabulary)."""

    text: str
    ids: list[int]
    logits: Logits


def _references(checkpoint: Path, full_precision: bool) -> list[_Reference]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(
        checkpoint, local_files_only=True, trust_remote_code=False, dtype=torch.float32 if full_precision else "auto"
    )
    found = []
    with torch.inference_mode():
        for text in (*_TEXTS, *_conversation(tokenizer)):
            ids = tokenizer.encode(text, add_special_tokens=False)[:_LONGEST_TOKENS]
            logits = model(torch.tensor([ids])).logits[0].float().numpy()
            found.append(_Reference(text, ids, logits))
    return found


def _conversation(tokenizer: Any) -> Iterator[str]:
    """A short conversation in the model's own template: its special tokens must be the same ones, too."""
    if tokenizer.chat_template:
        messages = [{"role": "user", "content": "Which answer is right, A or B?"}]
        yield tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def _agreement(path: Path, references: list[_Reference]) -> Agreement:
    from fare_cli.engine.native import Context, Model
    from fare_cli.engine.options import ContextParams

    rows = max(len(reference.ids) for reference in references)
    model = Model(path, gpu_layers=0)
    threads = usable_cpus()
    params = ContextParams(cells=256, sequences=1, batch=rows, outputs=rows, unified=True, flash=False, threads=threads)
    context = Context(model, params)
    same_ids = positions = same_top = 0
    nats = 0.0
    for reference in references:
        own = model.tokenize(reference.text, special=True)
        same_ids += own[: len(reference.ids)] == reference.ids and (
            len(own) == len(reference.ids) or len(reference.ids) == _LONGEST_TOKENS
        )
        count = len(reference.ids)
        context.clear()
        context.decode(reference.ids, range(count), [0] * count, [True] * count)
        for position in range(count):
            row = context.logits(position)
            if row is None:
                raise ModelError(f"{path}: llama.cpp gives no logits for this model")
            # A vocabulary may be padded in the checkpoint's weights.
            width = min(len(row), reference.logits.shape[1])
            expected, given = _log_softmax(reference.logits[position, :width]), _log_softmax(row[:width])
            same_top += int(expected.argmax() == given.argmax())
            nats += float((np.exp(expected) * (expected - given)).sum())
        positions += count
    context.close()
    model.close()
    return Agreement(len(references), same_ids, positions, same_top, nats / positions)


def _log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - float(logits.max())
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


def _answer(order: Mapping[str, Any]) -> dict[str, Any]:
    """The child's part."""
    # Before torch: it says how OpenMP is to wait, which counts when a library loads it. With torch first, 407 tokens of
    # SmolLM2 took 17 s instead of 2 beside another process.
    from fare_cli.engine import native  # noqa: F401

    try:
        references = _references(Path(order["checkpoint"]), order["full_precision"])
    # Whatever transformers and the code it loads raise: nothing of it speaks against the GGUF file.
    except Exception as error:
        return {"unable": f"transformers cannot run the checkpoint: {error}".splitlines()[0][:_LAST_LINE]}
    gc.collect()
    try:
        return {name: _agreement(Path(path), references)._asdict() for name, path in order["models"].items()}
    except ModelError as error:
        return {"error": error.message, "hint": error.hint}


if __name__ == "__main__":
    print(json.dumps(_answer(json.loads(sys.argv[1]))), flush=True)
