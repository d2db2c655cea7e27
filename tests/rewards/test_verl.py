"""verl's reward function, asked as verl asks it: from several processes, too."""

from __future__ import annotations

import multiprocessing
from typing import Any

from fare_cli.rewards.verl import compute_score
from tests.server.running import Server, gated


def ask(server: Server) -> dict[str, float]:
    return compute_score("gsm8k", "RIGHT", None, {"question": "2+2?"}, url=server.url, patience_s=60.0)


def test_a_forked_process_asks_over_connections_of_its_own() -> None:
    with gated() as server:
        server.go(times=3)
        assert ask(server)["score"] > 0.5
        results: Any = multiprocessing.get_context("fork").SimpleQueue()
        child = multiprocessing.get_context("fork").Process(target=lambda: results.put(ask(server)))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert results.get()["score"] > 0.5
        assert ask(server)["score"] > 0.5
