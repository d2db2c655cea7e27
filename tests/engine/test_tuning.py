"""What was tuned: found again only where it holds, below the user's word, and never in the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.engine.devices import Device
from fare_cli.engine.options import EngineOptions
from fare_cli.engine.sizing import MEMORY_SHARE, Room, choose_layout, choose_tuned_layout
from fare_cli.engine.tuning import (
    Tuned,
    Tuning,
    WorkTuning,
    forget_tuning,
    machine_facts,
    read_tuning,
    tuned_for,
    tuning_folder,
    write_tuning,
)
from fare_cli.errors import ModelError, UsageError
from tests.engine.test_sizing import QWEN3_8B, SMALL

GIB = 1 << 30
SHA = "ab" * 32


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARE_HOME", str(tmp_path))


def finding(**settings: object) -> Tuning:
    tuned = WorkTuning(settings=Tuned(**settings), speedup=1.5, measured="2026-01-01")  # type: ignore[arg-type]
    return Tuning(model="judge", machine=machine_facts(), works={"critique": tuned})


def test_what_was_written_is_read_again_on_this_machine_only() -> None:
    write_tuning(SHA, finding(slots=24, flash=False, kv_layout="unified"))
    assert read_tuning(SHA) == finding(slots=24, flash=False, kv_layout="unified")
    assert read_tuning("cd" * 32) is None
    for name in machine_facts():
        assert read_tuning(SHA, {**machine_facts(), name: "another"}) is None, name


def test_forgetting_is_for_one_model_and_all_machines() -> None:
    write_tuning(SHA, finding(slots=24))
    write_tuning(SHA, finding(slots=24).model_copy(update={"machine": {**machine_facts(), "build": "older"}}))
    write_tuning("cd" * 32, finding(slots=8))
    assert forget_tuning(SHA) == 2
    assert forget_tuning(SHA) == 0
    assert read_tuning(SHA) is None
    assert read_tuning("cd" * 32) is not None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"slots": 24', '"slots": -1'),
        lambda text: text.replace('"slots"', '"slot"'),
        lambda text: text.replace("critique", "poetry"),
        lambda text: "[]",
        lambda text: "\0",
    ],
)
def test_a_damaged_file_is_passed_over_with_a_note(damage: object) -> None:
    path = write_tuning(SHA, finding(slots=24))
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    with pytest.warns(RuntimeWarning, match="not used"):
        assert read_tuning(SHA) is None


def test_the_users_word_wins_and_each_kind_of_work_has_its_own() -> None:
    tuning = finding(slots=24, threads=3, batch=256)
    assert tuned_for(tuning, EngineOptions()) == Tuned(slots=24, threads=3, batch=256)
    assert tuned_for(tuning, EngineOptions(slots=2)) == Tuned(threads=3, batch=256)
    assert tuned_for(tuning, EngineOptions(work="direct")) == Tuned()
    assert tuned_for(tuning, EngineOptions(kv_type="q8_0")) == Tuned()
    assert tuned_for(None, EngineOptions()) == Tuned()


def test_deterministic_runs_take_nothing_that_could_change_their_bytes() -> None:
    tuned = Tuned(threads=3, slots=24, batch=256, flash=False, kv_layout="unified", spins=0)
    assert tuned.usable(EngineOptions(deterministic=True)) == Tuned(slots=24, spins=0)


def test_what_does_not_fit_now_is_left_out_and_said() -> None:
    tuned = Tuned(slots=24, kv_layout="streams", threads=3)
    roomy = choose_tuned_layout(EngineOptions(), tuned, SMALL, Room(32 * GIB), name="m")
    assert (roomy.layout.slots, roomy.tuned, roomy.dropped) == (24, tuned, None)
    tight = choose_tuned_layout(EngineOptions(), tuned, SMALL, Room(4 * GIB), name="m")
    plain = choose_layout(EngineOptions(threads=3), SMALL, Room(4 * GIB))
    assert (tight.layout, tight.tuned) == (plain, Tuned(threads=3))
    assert "GB" in (tight.dropped or "")


def test_a_tuned_cache_takes_no_layer_from_the_gpu() -> None:
    room = Room(64 * GIB, [Device("GPU0", "a GPU", 11 * GIB, 11 * GIB, False)])
    found = choose_tuned_layout(EngineOptions(), Tuned(slots=40, kv_layout="streams"), QWEN3_8B, room, name="m")
    assert (found.layout.gpu_layers, found.tuned) == (-1, Tuned())
    assert found.dropped is not None


def test_long_asks_do_not_go_without_flash_attention_because_short_ones_did() -> None:
    found = choose_tuned_layout(EngineOptions(ctx=16_384), Tuned(flash=False), SMALL, Room(64 * GIB), name="m")
    assert found.layout.context.flash
    assert found.dropped is not None


maybe = st.one_of(st.none(), st.integers(1, 64))


@given(
    st.builds(
        Tuned,
        threads=maybe,
        slots=st.one_of(st.none(), st.integers(1, 300)),
        batch=st.sampled_from([None, 64, 2048]),
        flash=st.sampled_from([None, True, False]),
        kv_layout=st.sampled_from([None, "streams", "unified"]),
    ),
    st.builds(
        EngineOptions,
        work=st.sampled_from(["direct", "critique", "votes"]),
        ctx=st.one_of(st.none(), st.integers(256, 32_768)),
        slots=maybe,
        threads=maybe,
        deterministic=st.booleans(),
    ),
    st.integers(1, 64),
)
def test_tuning_never_costs_a_run_that_works_without_it(tuned: Tuned, options: EngineOptions, gib: int) -> None:
    room = Room(gib * GIB)
    try:
        plain = choose_layout(options, QWEN3_8B, room)
    except (ModelError, UsageError):
        return
    found = choose_tuned_layout(options, tuned, QWEN3_8B, room, name="m")
    weights = plain.plan.weights_bytes
    meant = max(plain.plan.total_bytes, weights + MEMORY_SHARE * (room.memory_bytes - weights))
    # Other threads take a little work space each.
    assert found.layout.plan.total_bytes <= meant + (1 << 20)
    assert found.layout.ctx == plain.ctx
    if options.slots is not None:
        assert found.layout.slots == plain.slots
    if options.threads is not None:
        assert found.layout.context.threads == options.threads


@pytest.mark.parametrize(
    ("environment", "settled", "said"),
    [
        ({}, True, "77"),
        ({"GOMP_SPINCOUNT": "5"}, False, "5"),
        ({"OMP_WAIT_POLICY": "passive"}, False, None),
    ],
)
def test_spins_are_said_before_the_engine_is_loaded(environment: dict[str, str], settled: bool, said: str) -> None:
    program = (
        "import json, os; from fare_cli.engine import openmp; settled = openmp.settle(77);"
        "import fare_cli.engine.native;"
        "print(json.dumps([settled, os.environ.get('GOMP_SPINCOUNT'), openmp.settle(78), openmp.in_force()]))"
    )
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [settled, said, False, 77 if settled else None]


def test_reading_what_was_tuned_does_not_load_the_engine() -> None:
    program = (
        "import sys; from fare_cli.engine.tuning import machine_facts, read_tuning; read_tuning('0' * 64);"
        "import fare_cli.judge; print('llama_cpp' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert not tuning_folder().exists()
