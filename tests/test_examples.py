from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.identity import JudgingOptions
from fare_cli.records import parse
from tests.tasks.making import first_asks, make_task

EXAMPLES = Path(__file__).parent.parent / "examples"


def rows(task: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("task", ["pairwise", "step", "verify", "score"])
def test_every_example_can_be_asked_about(task: str) -> None:
    records = [parse(task, values) for values in rows(task)]
    assert 4 <= len(records) <= 8
    assert len({record.id for record in records}) == len(records)
    assert sum(record.gold is not None for record in records) >= 3
    assert all(first_asks(make_task(task, JudgingOptions()), values) for values in rows(task))
    assert not any(name not in ("source",) for record in records for name in record.extra)


def test_the_verify_example_does_not_mix_the_two_prompts() -> None:
    assert len({"reference" in values for values in rows("verify")}) == 1
