"""A run counts as done only while everything that made its output is as it was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fare_cli.asks import Reply, ReplyError
from fare_cli.run.finished import finished
from fare_cli.run.manifest import manifest_path
from fare_cli.run.runner import RunPlan, run
from fare_cli.run.summary import Counts
from tests.run.making import Opener, make_plan, pair, write_pairs


@pytest.fixture
def plan(tmp_path: Path) -> RunPlan:
    """A run that was made."""
    plan = make_plan(write_pairs(tmp_path / "in.jsonl", 10), tmp_path / "out.jsonl")
    run(plan, Opener())
    return plan


def test_a_run_that_is_done_gives_its_counts(plan: RunPlan) -> None:
    manifest = finished(plan)
    assert manifest is not None
    counts = Counts.from_json(manifest.counts)
    assert counts == run(plan, Opener()).summary.counts
    doubled = Counts.from_json(manifest.counts)
    doubled.merge(counts)
    assert (doubled.total, doubled.correct, doubled.accuracy) == (20, 2 * counts.correct, counts.accuracy)


@pytest.mark.parametrize(
    "change",
    [{"include_record": False}, {"combine": "mean"}, {"mode": "critique"}, {"shuffle_seed": 1}, {"limit": 3}],
)
def test_other_options_make_it_another_run(plan: RunPlan, change: dict[str, Any]) -> None:
    assert finished(make_plan(Path(plan.source.files[0]), plan.output, **change)) is None


def test_another_reading_of_the_fields_makes_it_another_run(plan: RunPlan) -> None:
    assert finished(replace(plan, source=replace(plan.source, field_map={"gold": "label"}))) is None


def _same_size(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"RIGHT", b"right"))


@pytest.mark.parametrize("name", ["in.jsonl", "out.jsonl"])
@pytest.mark.parametrize("damage", [_same_size, Path.unlink, lambda path: path.write_bytes(b"")])
def test_files_that_are_not_as_they_were_are_work(
    plan: RunPlan, tmp_path: Path, name: str, damage: Callable[[Path], Any]
) -> None:
    damage(tmp_path / name)
    assert finished(plan) is None


def test_without_a_manifest_or_an_output_there_is_work(plan: RunPlan) -> None:
    assert plan.output is not None
    manifest_path(plan.output).unlink()
    assert finished(plan) is None
    assert finished(replace(plan, output=None)) is None


def test_what_failed_is_owed(tmp_path: Path) -> None:
    plan = make_plan(write_pairs(tmp_path / "in.jsonl", 10), tmp_path / "out.jsonl")
    run(plan, Opener(lambda _: Reply(error=ReplyError("decode_failed", "no"))))
    assert finished(plan) is None


def test_records_that_cannot_be_judged_are_not_owed(tmp_path: Path) -> None:
    (tmp_path / "in.gz").write_bytes(gzip.compress(json.dumps(pair(1)).encode() + b"\nno record\n"))
    plan = make_plan(tmp_path / "in.gz", tmp_path / "out.jsonl")
    run(plan, Opener())
    assert finished(plan) is not None
