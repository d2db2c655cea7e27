"""Contender (b): xllamacpp's in-process llama.cpp server with `slots` parallel sequences, asked from as many threads.

Runs under the Python that has xllamacpp (`--peer-python`); needs nothing else. Reads one job as JSON from standard
input, prints one result as JSON (see contenders.py). Prompt cache, continuous batching and flash attention are the
server's defaults; the context is given per slot, as the server divides it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import xllamacpp


def _server(job: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = job["model"]
    params.n_parallel = job["slots"]
    params.n_ctx = job["context"] * job["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
    params.verbosity = 0
    params.fit_params = False
    params.endpoint_slots = False
    return xllamacpp.Server(params)


def main() -> None:
    job: dict[str, Any] = json.load(sys.stdin)
    started = time.perf_counter()
    server = _server(job)

    def ask(call: dict[str, Any]) -> dict[str, Any]:
        reply: dict[str, Any] = server.handle_chat_completions(
            {
                "messages": call["messages"],
                "max_tokens": call["new_tokens"],
                "temperature": call["temperature"],
                "seed": call["seed"],
            }
        )
        if "usage" not in reply:
            raise SystemExit(f"error: the server answered {json.dumps(reply)[:300]}")
        return reply

    warm = {"messages": [{"role": "user", "content": "Hello"}], "new_tokens": 4, "temperature": 0.0, "seed": 0}
    ask(warm)
    ready, ready_cpu = time.perf_counter(), time.process_time()
    # One more thread than slots, so that the server always finds the next request waiting.
    with ThreadPoolExecutor(job["slots"] + 1) as pool:
        replies = list(pool.map(ask, job["calls"]))
    seconds, cpu_seconds = time.perf_counter() - ready, time.process_time() - ready_cpu
    new_tokens = [reply["usage"]["completion_tokens"] for reply in replies]
    texts = [reply["choices"][0]["message"]["content"] or "" for reply in replies]
    result = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "ready_seconds": ready - started,
        "prompt_tokens": sum(reply["usage"]["prompt_tokens"] for reply in replies),
        "new_tokens": sum(new_tokens),
        "fewest_new_tokens": min(new_tokens),
        "verdicts_read": sum("Verdict:" in text for text in texts),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "version": f"xllamacpp {version('xllamacpp')} ({xllamacpp.get_system_info().strip(' |')})",
    }
    print("\n" + json.dumps(result), flush=True)


main()
