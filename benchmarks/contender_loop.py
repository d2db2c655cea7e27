"""Contender (a): the loop that people write. One `Llama.create_chat_completion` per order, vote or criterion.

Reads one job as JSON from standard input, prints one result as JSON (see contenders.py). The KV prefix of the previous
call is reused by llama-cpp-python itself. Calls come in the order in which fare asks them, which suits that reuse best.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import llama_cpp


def main() -> None:
    job: dict[str, Any] = json.load(sys.stdin)
    started = time.perf_counter()
    model = llama_cpp.Llama(
        job["model"], n_ctx=job["context"], n_threads=job["threads"], n_threads_batch=job["threads"], verbose=False
    )
    model.create_chat_completion(messages=[{"role": "user", "content": "Hello"}], max_tokens=4, temperature=0.0)
    model.n_tokens = 0  # as its reset() does: nothing of the warm-up is reused
    ready, ready_cpu = time.perf_counter(), time.process_time()
    prompt_tokens, new_tokens, read = 0, [], 0
    for call in job["calls"]:
        reply: Any = model.create_chat_completion(
            messages=call["messages"],
            max_tokens=call["new_tokens"],
            temperature=call["temperature"],
            seed=call["seed"],
            repeat_penalty=1.0,
        )
        read += (reply["choices"][0]["message"]["content"] or "").rfind("Verdict:") >= 0
        prompt_tokens += reply["usage"]["prompt_tokens"]
        new_tokens.append(reply["usage"]["completion_tokens"])
    seconds, cpu_seconds = time.perf_counter() - ready, time.process_time() - ready_cpu
    result = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "ready_seconds": ready - started,
        "prompt_tokens": prompt_tokens,
        "new_tokens": sum(new_tokens),
        "fewest_new_tokens": min(new_tokens),
        "verdicts_read": read,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "version": f"llama-cpp-python {llama_cpp.__version__}",
    }
    print("\n" + json.dumps(result))


main()
