"""Who may be on a panel, and the file of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli.errors import UsageError
from fare_cli.identity import JudgeIdentity
from fare_cli.studies.panel import members_of
from tests.simulating import DIRECT


def member(name: str, weights: str) -> tuple[str, JudgeIdentity]:
    return name, JudgeIdentity("verify", name, weights, "p1", "ours", DIRECT)


def test_every_member_has_a_name_and_a_file_of_its_own() -> None:
    named = ["a", "a", "a-2", "org/b", "org-b"]
    found = members_of([member(name, f"w{n}") for n, name in enumerate(named)], Path("out/verdicts.jsonl"))
    assert [one.name for one in found] == ["a", "a-2", "a-2-2", "org/b", "org-b-2"]
    assert found[3].output == Path("out/verdicts.org-b.jsonl")
    assert len({one.output for one in found}) == 5


def test_one_judge_named_twice_is_no_panel_whatever_it_is_called() -> None:
    name = "m"
    with pytest.raises(UsageError, match="m and m have the same weights"):
        members_of([member(name, "w"), member(name, "w")], Path("verdicts.jsonl"))
