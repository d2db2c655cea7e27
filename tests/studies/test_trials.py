"""Trials: what they measure, and that a setting which kills the process is a finding and not the end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fare_cli.engine.options import Work
from fare_cli.engine.tuning import Tuned
from fare_cli.errors import ModelError
from fare_cli.studies import trials
from fare_cli.studies.search import TrialFailed
from fare_cli.studies.trials import Trials, groups, made_up_asks


@pytest.mark.parametrize("work", ["direct", "critique", "votes"])
def test_a_trial_gives_rates_and_says_what_was_in_force(tiny_path: Path, work: Work) -> None:
    with Trials(tiny_path) as opened:
        own = opened.measure(work, Tuned())
        set_by_hand = opened.measure(work, Tuned(slots=4, threads=1, batch=64))
    assert own.prompt_tokens > 300
    assert own.ask_s(work) > 0
    assert set_by_hand.effective.given().items() >= {"slots": 4, "threads": 1, "batch": 64, "spins": 1000}.items()
    assert set_by_hand.effective.flash == own.effective.flash
    if work == "direct":
        assert own.write_rate is None
    else:
        # Every slot writes in every step that was timed: no turn ends.
        assert (own.written_tokens, set_by_hand.written_tokens) == (12 * 16, 4 * 16)


def test_a_crash_fails_the_setting_and_not_the_next(
    tiny_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A python that dies of SIGILL when it is asked for pieces of 256 tokens, like a kernel this CPU does not have."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        'while read -r line; do case $line in *\'"batch": 256\'*) kill -ILL $$; exit;; esac; echo "$line"; done'
        f' | {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(trials.sys, "executable", str(python))
    with Trials(tiny_path) as opened:
        opened.measure("direct", Tuned())
        with pytest.raises(TrialFailed, match="SIGILL"):
            opened.measure("direct", Tuned(batch=256))
        opened.measure("direct", Tuned(batch=128))


def test_a_trial_that_takes_too_long_is_stopped(tiny_path: Path) -> None:
    with Trials(tiny_path) as opened:
        with pytest.raises(TrialFailed, match="more than"):
            opened.measure("critique", Tuned(), limit_s=0.0)
        opened.measure("critique", Tuned())


def test_what_no_memory_can_hold_fails(tiny_path: Path) -> None:
    with Trials(tiny_path) as opened, pytest.raises(TrialFailed, match="memory"):
        opened.measure("critique", Tuned(slots=100_000))


def test_a_file_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF and nothing else")
    with Trials(path) as opened, pytest.raises(ModelError, match=r"bad\.gguf"):
        opened.measure("direct", Tuned())


def test_the_same_seed_makes_the_same_asks_in_groups_of_a_record() -> None:
    asks = made_up_asks("votes", 20, seed=3)
    assert asks == made_up_asks("votes", 20, seed=3)
    assert asks != made_up_asks("votes", 20, seed=4)
    assert len({ask.id for ask in asks}) == 20
    grouped = groups(asks, "votes")
    assert [ask for group in grouped for ask in group] == asks
    assert all(len({ask.id.split("/")[0] for ask in group}) == 1 for group in grouped)
