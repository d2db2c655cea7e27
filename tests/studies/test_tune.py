"""Tuning a model as a whole: what is tried, what is kept, and that other types are measured."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fare_cli.engine import openmp
from fare_cli.engine.tuning import Tuned, read_tuning
from fare_cli.errors import ModelError
from fare_cli.gguf.store import ModelFile
from fare_cli.studies import faster_types
from fare_cli.studies.faster_types import compare_types
from fare_cli.studies.tune import coordinates, tune, without_own_choice

OWN = Tuned(threads=2, slots=12, batch=512, flash=False, kv_layout="streams", spins=openmp.SPINS)


def test_a_short_search_tries_settings_and_keeps_its_finding(model: ModelFile) -> None:
    said: list[str] = []
    report = tune(model, ["direct"], max_seconds=90, say=said.append)
    (work,) = report.works
    assert work.tried_anything
    assert work.contests[0].coordinate == "cache layout"
    assert {entry.setting for entry in work.contests[0].entries} > {Tuned()}
    kept = read_tuning(model.sha256)
    assert kept is not None
    assert kept.works["direct"].settings == work.setting
    assert kept.works["direct"].speedup == pytest.approx(work.speedup, abs=1e-3)
    assert (work.speedup > 1) == (work.setting != Tuned())
    assert any("a whole search takes about" in line for line in said)


def test_without_time_nothing_is_kept(model: ModelFile) -> None:
    report = tune(model, ["critique"], max_seconds=0.1)
    assert not report.works[0].tried_anything
    assert report.works[0].untried
    assert not report.types
    assert read_tuning(model.sha256) is None


def test_what_fare_chooses_anyway_stays_open() -> None:
    assert without_own_choice(Tuned(slots=12, flash=True, kv_layout="streams"), OWN) == Tuned(flash=True)


def test_neighbours_are_within_bounds_and_follow_what_is_in_force() -> None:
    now = Tuned(flash=True)
    effective = {Tuned(): OWN, now: Tuned(threads=2, slots=64, batch=2048, flash=True, kv_layout="streams")}
    found = {c.name: set(c.challengers(now)) - {now} for c in coordinates(effective)}
    assert found["cache layout"] == {Tuned(kv_layout="unified", flash=True)}
    assert found["slots"] == {Tuned(flash=True, slots=32)}
    assert found["batch"] == {Tuned(flash=True, batch=1024)}
    plain = {c.name: set(c.challengers(Tuned())) - {Tuned()} for c in coordinates(effective)}
    # Large pieces without flash attention take too much memory.
    assert plain["batch"] == {Tuned(batch=256)}
    assert plain["slots"] == {Tuned(slots=6), Tuned(slots=24)}


def test_other_types_are_made_of_the_same_weights_and_measured(
    model: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faster_types, "CANDIDATES", ("Q4_0",))
    (found,) = compare_types(model.path, seconds=600)
    assert (found.type, found.failed) == ("Q4_0", None)
    assert found.bytes < found.own_bytes / 3
    assert found.prompts > 0
    assert not list((Path(model.path).parent).glob("*Q4_0*"))


def test_a_large_file_is_represented_by_its_first_layers(model: ModelFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faster_types, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(faster_types, "_LAYERS", 1)
    monkeypatch.setattr(faster_types, "CANDIDATES", ("Q4_0",))
    (found,) = compare_types(model.path, seconds=600)
    assert (found.layers, found.failed) == (1, None)
    assert found.own_bytes < model.path.stat().st_size


def test_a_setting_in_force_that_fails_ends_tuning_with_the_reason(
    model: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *trials*) kill -ABRT $$;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match="SIGABRT"):
        tune(model, ["direct"])
