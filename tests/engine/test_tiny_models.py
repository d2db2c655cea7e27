"""The tiny models do what the engine's tests need of them: they load, tokenise every text and decode repeatably."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine import tiny_models

WRITERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    # writer, the token that ends the family's turns
    "qwen3": (tiny_models.write_qwen3, "<|im_end|>"),
    "gpt_oss": (tiny_models.write_gpt_oss, "<|return|>"),
    "llama3": (tiny_models.write_llama3, "<|eot_id|>"),
    "gemma": (tiny_models.write_gemma, "<end_of_turn>"),
}

# Runs in a child process, so that an abort inside llama.cpp fails one test and not the whole session.
CHILD = """
import ctypes, json, sys
import llama_cpp
llama_cpp.llama_log_set(ctypes.cast(None, llama_cpp.llama_log_callback), ctypes.c_void_p(0))
model = llama_cpp.Llama(sys.argv[1], n_ctx=512, n_batch=256, n_threads=1, verbose=False)
text = "Verdict: [A]\\n \\u00e9\\U0001f600\\t12"
ids = model.tokenize(text.encode(), add_bos=False, special=False)
special = model.tokenize(sys.argv[2].encode(), add_bos=False, special=True)
long = model.tokenize(b"The answer is wrong. " * 20, add_bos=True)[:200]
runs = []
for _ in range(2):
    model.reset()
    tokens = []
    for token in model.generate(long, temp=0.0, repeat_penalty=1.0):
        tokens.append(token)
        if len(tokens) == 12:
            break
    runs.append(tokens)
print(json.dumps({
    "text": model.detokenize(ids).decode(), "wanted": text, "special": special, "runs": runs,
    "ids_of_special_text": model.tokenize(sys.argv[2].encode(), add_bos=False, special=False),
    "template": model.metadata.get("tokenizer.chat_template", ""),
    "architecture": model.metadata["general.architecture"],
}))
"""


@pytest.mark.parametrize("name", WRITERS)
def test_loads_tokenises_and_decodes(name: str, tmp_path: Path) -> None:
    write, special = WRITERS[name]
    path = write(tmp_path / f"{name}.gguf")
    assert path.stat().st_size < 3_000_000
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(path), special], capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr[-2000:]
    seen = json.loads(run.stdout)
    assert seen["text"] == seen["wanted"]
    assert len(seen["special"]) == 1
    assert len(seen["ids_of_special_text"]) > 1
    assert seen["runs"][0] == seen["runs"][1]
    assert len(set(seen["runs"][0])) > 1
    assert special in seen["template"]


def test_another_seed_is_another_model(tmp_path: Path) -> None:
    seeds = {"one": 0, "same": 0, "other": 1}
    one, same, other = (tiny_models.write_qwen3(tmp_path / f"{name}.gguf", seed) for name, seed in seeds.items())
    assert one.read_bytes() == same.read_bytes()
    assert one.read_bytes() != other.read_bytes()
