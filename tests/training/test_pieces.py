"""Pieces of work outlive the process that made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli.errors import InputError
from training.pieces import Pieces


def test_pieces_are_there_after_a_kill_but_for_a_torn_one(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with Pieces(output, "plan") as pieces:
        pieces.add("one", {"a": [1]})
        pieces.add("two", None)
    path = tmp_path / "out.jsonl.pieces.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    with Pieces(output, "plan") as pieces:
        assert "one" in pieces
        assert pieces["one"] == {"a": [1]}
        assert "two" not in pieces
        pieces.add("two", 2)
    with Pieces(output, "plan") as pieces:
        assert pieces["two"] == 2


def test_pieces_of_another_plan_are_not_used(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with Pieces(output, "plan") as pieces:
        pieces.add("one", 1)
    with Pieces(output, "other") as pieces:
        assert "one" not in pieces


def test_one_process_at_a_time(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with Pieces(output, "plan"), pytest.raises(InputError, match="in use by another process"):
        Pieces(output, "plan")
