"""`fare models tune` as a shell sees it, and what other commands make of its findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fare_cli.engine.tuning import Tuned, Tuning, WorkTuning, machine_facts, read_tuning, write_tuning
from fare_cli.gguf.store import file_sha256
from tests.cli.conftest import Fare

PAIR = json.dumps({"question": "2 + 2?", "answer_a": "4", "answer_b": "5"})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def tuned_model(home: Path, tiny_model: Path) -> Path:
    """The tiny model, for which other settings than fare's own were found to be the fastest."""
    settings = Tuned(threads=1, slots=6, batch=128, flash=False, spins=500)
    works = {"direct": WorkTuning(settings=settings, speedup=1.4, measured="2026-01-01")}
    write_tuning(file_sha256(tiny_model), Tuning(model="tiny", machine=machine_facts(), works=works))  # type: ignore[arg-type]
    return tiny_model


def judge(fare: Fare, model: Path, *arguments: str, **env: str) -> tuple[str, str]:
    done = fare(
        *("judge", "pairwise", "-", "--mode", "direct", "--verbose", "--model", model, *arguments), stdin=PAIR, env=env
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_run_uses_what_was_tuned_and_says_so(fare: Fare, tuned_model: Path) -> None:
    _, said = judge(fare, tuned_model)
    for line in ("threads 1", "slots 6", "batch 128", "flash_attention False", "openmp_spins 500"):
        assert f"engine: {line} (tuned)\n" in said
    assert "engine: kv_layout unified\n" in said


def test_flags_variables_and_the_project_win(fare: Fare, tuned_model: Path, tmp_path: Path) -> None:
    (tmp_path / "fare.toml").write_text("threads = 2\n")
    _, said = judge(fare, tuned_model, FARE_SLOTS="3", OMP_WAIT_POLICY="passive")
    assert "engine: slots 3\n" in said
    assert "engine: threads 2\n" in said
    assert "engine: batch 128 (tuned)\n" in said
    assert "engine: openmp_spins None\n" in said
    assert "engine: slots 5\n" in judge(fare, tuned_model, "--slots", "5", FARE_SLOTS="3")[1]


def test_the_judge_stays_the_same_and_deterministic_verdicts_too(fare: Fare, tuned_model: Path) -> None:
    with_it, said = judge(fare, tuned_model, "--deterministic")
    assert "engine: tuned slots, openmp_spins\n" in said
    assert fare("models", "tune", str(tuned_model), "--forget").returncode == 0
    without, said_then = judge(fare, tuned_model, "--deterministic")
    assert "engine: tuned None\n" in said_then
    assert with_it == without
    fingerprint = next(line for line in said.splitlines() if line.startswith("judge: "))
    assert fingerprint in said_then


def test_doctor_shows_what_was_tuned_with_its_origin(fare: Fare, tuned_model: Path) -> None:
    arguments = ("doctor", "--settings", "--json", "--model", tuned_model)
    rows = json.loads(fare(*arguments, env={"FARE_MODE": "direct", "FARE_SLOTS": "3"}).stdout)
    assert rows["threads"] == {"value": 1, "origin": "tuned"}
    assert rows["batch"] == {"value": 128, "origin": "tuned"}
    assert rows["slots"] == {"value": 3, "origin": "FARE_SLOTS"}
    assert "batch" not in json.loads(fare(*arguments).stdout), "nothing was tuned for critiques"
    said = fare("doctor", "--model", tuned_model).stdout
    assert "direct: threads 1, slots 6, batch 128, flash off, spins 500, 1.40 times as fast" in said


def test_a_damaged_finding_is_a_warning_and_not_the_end(fare: Fare, tuned_model: Path, home: Path) -> None:
    (file,) = (home / "cache" / "tuning").iterdir()
    file.write_text("{")
    _, said = judge(fare, tuned_model)
    assert "warning: what was tuned is not used" in said
    assert "engine: tuned None\n" in said


def test_a_short_search_on_a_real_model_says_what_it_would_take(fare: Fare, home: Path, smollm2_path: Path) -> None:
    done = fare("models", "tune", smollm2_path, "--work", "votes", "--max-seconds", "2", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    (work,) = report["works"]
    assert work["work"] == "votes"
    assert work["own_choice"]["kv_layout"] == "unified"
    assert work["written_tokens_per_s"] > 0
    assert work["whole_search_seconds"] > 2
    assert "cache layout" in work["not_tried_to_the_end"]
    assert "a whole search takes about" in done.stderr
    assert "was not tuned for this machine" in fare("doctor", "--model", smollm2_path).stdout


def test_a_search_whose_findings_cannot_be_kept_does_not_begin(fare: Fare, home: Path, tiny_model: Path) -> None:
    home.mkdir()
    (home / "cache").write_text("in the way")
    done = fare("models", "tune", str(tiny_model))
    assert done.returncode == 5
    assert "findings cannot be kept" in done.stderr
    assert "a whole search takes" not in done.stderr


def test_a_search_for_people_ends_with_what_was_chosen(fare: Fare, home: Path, tiny_model: Path) -> None:
    done = fare("models", "tune", tiny_model, "--work", "direct", "--max-seconds", "16")
    assert done.returncode == 0, done.stderr
    assert "is fare's own choice" in done.stdout
    assert "  cache layout\n" in done.stdout
    assert "  chosen: " in done.stdout or "nothing better than fare's own choice was found" in done.stdout
    assert "Q4_0     prompts" in done.stdout
    kept = read_tuning(file_sha256(tiny_model))
    assert kept is not None
    assert set(kept.works) == {"direct"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--forget", "--work", "direct"], "--forget goes alone"),
        (["--max-seconds", "0"], "--max-seconds"),
        (["--max-seconds", "nan"], "--max-seconds"),
        (["--work", "poetry"], "poetry"),
    ],
)
def test_what_cannot_be_is_a_usage_error(
    fare: Fare, home: Path, tiny_model: Path, arguments: list[str], words: str
) -> None:
    done = fare("models", "tune", tiny_model, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
