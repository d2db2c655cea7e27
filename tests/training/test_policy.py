"""A policy behind a server: the same prompts, sampled freely to the end of the turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli import ServerOptions, UsageError
from fare_cli.asks import Ask, Free, Message, Piece, Sampling
from tests.backends.http.llama_server import llama_server
from tests.engine.tiny_models import write_qwen3
from training.policy import LocalPolicy
from training.rollout import RolloutOptions


def test_a_policy_behind_a_server_is_sampled_as_one_here(tmp_path: Path) -> None:
    model = write_qwen3(tmp_path / "tiny.gguf")
    messages = (Message("user", (Piece("Say something.", False),)),)
    asks = [Ask(str(seed), messages, Free(12), Sampling(0.9, seed)) for seed in range(4)]
    replies = []
    with llama_server(model) as url:
        for server in (None, ServerOptions(url)):
            policy = LocalPolicy(model, RolloutOptions(), server=server)
            backend = policy.backend()
            backend.submit(asks)
            found = {}
            while answers := backend.collect():
                found |= dict(answers)
            replies.append(found)
            assert policy.weights.startswith("sha256:" if server is None else "served:")
            policy.close()
    here, there = replies
    assert here.keys() == there.keys()
    assert all(one.error is None and one.label is None for one in there.values())
    assert {one.prompt_tokens for one in there.values()} == {one.prompt_tokens for one in here.values()}
    assert len({one.text for one in there.values()}) == 4


def test_what_is_for_this_machine_does_not_go_with_a_server(tmp_path: Path) -> None:
    model = write_qwen3(tmp_path / "tiny.gguf")
    with pytest.raises(UsageError, match="--slots"):
        LocalPolicy(model, RolloutOptions(), slots=2, server=ServerOptions("http://127.0.0.1:9"))
