"""OpenRLHF and verl as they are published ask a served judge for rewards, each in a process of its own.

They lie in a folder that `scripts/trainers.sh` fills and `FARE_TEST_TRAINERS` names; `.ci/long` does both.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.cli.conftest import ROOT, environment
from tests.server.running import FARE, Server, served

pytestmark = pytest.mark.long

TOKEN = "a-token-for-trainers"
TOO_LONG = "word " * 6000
TRAINERS = os.environ.get("FARE_TEST_TRAINERS")


@pytest.fixture(scope="module")
def server(smollm2_path: Path) -> Iterator[Server]:
    options = ("--mode", "direct", "--slots", "4", "--ctx", "1024", "--isolated", "--port", "0")
    with served(*FARE, "--model", str(smollm2_path), *options, FARE_SERVE_TOKEN=TOKEN) as server:
        server.client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield server


def ran(module: str, *arguments: str) -> list[Any]:
    """The lines of JSON that a program prints which imports the trainers."""
    assert TRAINERS, "run `bash scripts/trainers.sh DIR`, and set FARE_TEST_TRAINERS to DIR"
    paths = environment(FARE_SERVE_TOKEN=TOKEN)
    paths["PYTHONPATH"] = os.pathsep.join([TRAINERS, paths["PYTHONPATH"]])
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env=paths, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def expected(server: Server, answer: str) -> float:
    record = {"question": "What is 2 + 2?", "answer": answer, "reference": "4"}
    return float(server.judge("verify", record).json()["verdicts"][0]["probabilities"]["yes"])


def test_openrlhf_takes_its_rewards_from_a_judge(server: Server, smollm2_path: Path) -> None:
    marks = {"question_after": "<|im_start|>user\n", "question_before": "<|im_end|>", "answer_before": "<|im_end|>"}
    address = server.url.replace("://", f"://fare:{TOKEN}@") + "/v1/rewards/openrlhf/verify?"
    address += urlencode({**marks, "invalid": -1})
    right, wrong, lost = ran("tests.rewards.rollouts_of_openrlhf", address, str(smollm2_path), "4", "5", TOO_LONG)
    for found, answer in ((right, "4"), (wrong, "5")):
        assert found["reward"] == found["scores"] == pytest.approx([expected(server, answer)], abs=0.01)
        assert found["extra_logs"] == {"fare_invalid": [0.0]}
    assert lost == {"reward": [-1.0], "scores": [-1.0], "extra_logs": {"fare_invalid": [1.0]}}


def test_verl_takes_its_rewards_from_a_judge(server: Server, smollm2_path: Path) -> None:
    right, wrong, lost = ran("tests.rewards.rewards_of_verl", server.url, str(smollm2_path), "4", "5", TOO_LONG)
    for found, answer in ((right, "4"), (wrong, "5")):
        assert found["reward_score"] == pytest.approx(expected(server, answer), abs=0.01)
        assert found["reward_extra_info"]["fare_invalid"] == 0.0
    assert (lost["reward_score"], lost["reward_extra_info"]["fare_invalid"]) == (-1.0, 1.0)
