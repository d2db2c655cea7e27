from __future__ import annotations

from typing import Any

import pytest

from fare_cli.errors import UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.tasks import TASKS, check_options
from tests.tasks.making import make_task


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "direct"},
        {"votes": 8, "temperature": 0.7},
        {"temperature": 0.7},
        {"tie": True},
        {"combine": "mean", "order": "both"},
        {"order": "ab", "combine": "mean"},
        {"votes": 8, "temperature": 0.7, "mode": "direct", "reasoning": "low"},
    ],
)
def test_options_that_go_together(options: dict[str, Any]) -> None:
    check_options("pairwise", JudgingOptions(**options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"votes": 2}, "temperature"),
        ({"votes": 2, "temperature": 0.7, "mode": "direct"}, "critique"),
        ({"votes": 0}, "votes"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"max_tokens": 0}, "max-tokens"),
        ({"reasoning_tokens": 0}, "reasoning-tokens"),
        ({"tie": True, "combine": "mean"}, "mean"),
        ({"tie": True, "order": "ab"}, "order"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_options("pairwise", JudgingOptions(**options))


def test_pairwise_options_do_not_matter_elsewhere() -> None:
    for task in set(TASKS) - {"pairwise"}:
        check_options(task, JudgingOptions(tie=True, combine="mean", order="ab"))


def test_a_task_refuses_the_record_of_another() -> None:
    from fare_cli.records import parse

    record = parse("verify", {"question": "q", "answer": "a"})
    for name in set(TASKS) - {"verify"}:
        with pytest.raises(TypeError):
            make_task(name).step(record, {})
