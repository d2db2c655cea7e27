"""Thousands of requests of all kinds, some of whose clients leave: nothing is lost, and the server does not grow."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.engine.tiny_models import write_qwen3
from tests.server.running import FARE, Server, served
from tests.server.test_serving import connection

REQUESTS = 3000
CLIENTS = 8
LARGEST_GROWTH_MB = 24


def memory_mb(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kilobytes) / 1024


def records(draw: random.Random) -> list[dict[str, Any]]:
    return [{"question": f"{draw.random()}?", "answer": "x" * draw.randint(1, 200)} for _ in range(draw.randint(1, 9))]


def one(server: Server, number: int) -> str:
    """Sends a request of some kind and checks its answer; the kind."""
    draw = random.Random(number)
    kind = draw.choice(["json", "lines", "reward", "bad", "gone"])
    sent = records(draw)
    lines = "\n".join(map(json.dumps, sent))
    if kind == "json":
        answer = server.judge("verify", *sent)
        assert len(answer.json()["verdicts"]) == len(sent)
    elif kind == "lines":
        answer = server.client.post("/v1/judge/verify", content=lines, headers={"Content-Type": "application/jsonl"})
        assert [json.loads(line)["record"]["question"] for line in answer.text.splitlines()] == [
            record["question"] for record in sent
        ]
    elif kind == "reward":
        prompts = [record["question"] for record in sent]
        queries = [record["question"] + record["answer"] for record in sent]
        body = {"query": queries, "prompts": prompts, "labels": [None] * len(sent)}
        answer = server.client.post("/v1/rewards/openrlhf/verify", json=body)
        assert len(answer.json()["rewards"]) == len(sent)
    elif kind == "bad":
        answer = server.judge("verify", *sent, {"question": "?"})
        assert answer.status_code == 422
    else:
        leaving = connection(server)
        leaving.request("POST", "/v1/judge/verify", lines, {"Content-Type": "application/jsonl"})
        if draw.random() < 0.5:
            leaving.getresponse().readline()
        leaving.close()
    return kind


@pytest.mark.long
def test_soak(tmp_path: Path) -> None:
    model = write_qwen3(tmp_path / "tiny.gguf")
    options = ("--mode", "direct", "--ctx", "2048", "--slots", "4", "--isolated", "--port", "0")
    with served(*FARE, "--model", str(model), *options) as server:
        done: Counter[str] = Counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            done.update(clients.map(lambda number: one(server, number), range(REQUESTS // 3)))
            warm = memory_mb(server)
            done.update(clients.map(lambda number: one(server, number), range(REQUESTS // 3, REQUESTS)))
        server.wait_for("fare_queue_records", 0)
        server.wait_for("fare_engine_asks", 0)
        grown = memory_mb(server) - warm
        print(f"{dict(done)}, {warm:.0f} MB after a third, {grown:+.1f} MB at the end")
        assert done.total() == REQUESTS
        assert set(done) == {"json", "lines", "reward", "bad", "gone"}
        assert grown < LARGEST_GROWTH_MB
        for status in (500, 503):
            assert server.metric(f'fare_requests_total{{route="/v1/judge/verify",status="{status}"}}') == 0
        server.signal()
        assert server.exit_code() == 0
        with pytest.raises(httpx2.ConnectError):
            server.client.get("/health")
