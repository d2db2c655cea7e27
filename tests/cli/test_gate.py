"""`fare gate` and `fare judge --gate` as a shell sees them: every exit code for its reason."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fare_cli.cli.main import run
from tests.cli.conftest import Fare
from tests.gate.making import judged_file
from tests.simulating import answers, pairs

Gate = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Gate:
    """Runs `fare gate ARGUMENTS` in this process, as its start takes most of a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = run(["gate", *map(str, arguments)])
        said = capsys.readouterr()
        return subprocess.CompletedProcess(["fare"], code, said.out, said.err)

    return call


@pytest.fixture
def verdicts(tmp_path: Path) -> Path:
    """80 answers, half of them held right."""
    return judged_file(tmp_path / "verdicts.jsonl", "verify", answers(80))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--min-right", "30%"), 0, "gate: pass"),
        (("--min-right", "70%"), 1, "gate: fail"),
        (("--min-right", "50%"), 4, "gate: undecided"),
        (("--min-right", "50%", "--undecided", "pass"), 0, "gate: pass (undecided, and taken so)"),
        (("--min-right", "50%", "--undecided", "fail"), 1, "gate: fail (undecided, and taken so)"),
        (("--min-right", "30%", "--records", "80"), 0, "gate: pass"),
        (("--min-right", "30%", "--records", "81"), 3, "80 verdicts, and --records says 81"),
        ((), 2, "the gate has no limit"),
        (("--min-win-rate", "50%"), 2, "is about pairwise"),
        (("--min-right", "2"), 2, "a number between 0 and 1, or a percentage"),
        (("--min-right", "30%", "--max-drop", "2%"), 2, "--max-drop is about a baseline"),
        (("--min-right", "30%", "--noise", "2%"), 2, "--noise is about a baseline"),
        (("--min-right", "30%", "--confidence", "5%"), 2, "less than 50%"),
        (("--min-right", "30%", "--github"), 2, "GITHUB_STEP_SUMMARY is not set"),
        (("--min-right", "30%", "--github", "--json"), 2, "both print on stdout"),
        (("--min-right", "30%", "--junit", "nowhere/x.xml"), 2, "the folder of --junit"),
    ],
)
def test_every_exit_code_has_its_reason(
    gate: Gate, verdicts: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = gate(verdicts, *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


def test_a_pipe_is_no_pass_unless_all_verdicts_are_said_to_be_there(fare: Fare, verdicts: Path) -> None:
    text = verdicts.read_text()
    limit = ("gate", "-", "--min-right", "30%")
    unsaid = fare(*limit, stdin=text)
    assert (unsaid.returncode, "--records N" in unsaid.stderr) == (3, True)
    assert fare(*limit, "--records", "80", stdin=text).returncode == 0
    dead = fare(*limit, "--records", "80")
    assert (dead.returncode, "holds no verdicts" in dead.stderr) == (3, True)
    half = fare(*limit, "--records", "80", stdin="".join(text.splitlines(keepends=True)[:40]))
    assert (half.returncode, "- holds 40 verdicts" in half.stderr) == (3, True)


def test_incomplete_and_invalid_files_are_no_pass(gate: Gate, verdicts: Path, tmp_path: Path) -> None:
    limited = judged_file(tmp_path / "limited.jsonl", "verify", answers(80), limit=60)
    done = gate(limited, "--min-right", "30%", "--junit", "junit.xml")
    assert (done.returncode, "ended by --limit" in done.stderr) == (3, True)
    assert 'errors="1"' in (tmp_path / "junit.xml").read_text()
    broken = judged_file(tmp_path / "broken.jsonl", "verify", [*answers(20), {"question": "no answer"}])
    assert gate(broken, "--min-right", "10%").returncode == 3
    assert gate(broken, "--min-right", "10%", "--max-invalid", "10%").returncode == 0
    verdicts.with_name("verdicts.jsonl.manifest.json").unlink()
    assert gate(verdicts, "--min-right", "30%").returncode == 3
    assert gate(tmp_path / "nowhere.jsonl", "--min-right", "30%").returncode == 2


def test_a_project_file_sets_what_is_too_many_unless_it_is_left_out(gate: Gate, tmp_path: Path) -> None:
    judged_file(tmp_path / "some.jsonl", "verify", [*answers(20), {"question": "no answer"}])
    (tmp_path / "fare.toml").write_text('max_invalid = "50%"\n')
    assert gate("some.jsonl", "--min-right", "10%").returncode == 0
    assert gate("some.jsonl", "--min-right", "10%", "--isolated").returncode == 3


def test_a_baseline_of_another_judge_is_refused(gate: Gate, verdicts: Path, tmp_path: Path) -> None:
    other = judged_file(tmp_path / "other.jsonl", "pairwise", pairs(10))
    done = gate(verdicts, "--baseline", other)
    assert done.returncode == 2


def test_all_outputs_of_one_gate_tell_one_story(gate: Gate, verdicts: Path, tmp_path: Path) -> None:
    files = ("--junit", "junit.xml", "--markdown", "comment.md", "--report", "report.json")
    done = gate(verdicts, "--min-right", "70%", *files, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == json.loads((tmp_path / "report.json").read_text())
    assert json.loads(done.stdout)["facts"]["outcome"] == "fail"
    assert 'failures="1"' in (tmp_path / "junit.xml").read_text()
    assert "**fail**" in (tmp_path / "comment.md").read_text()


def test_in_github_actions_only_our_lines_are_commands(
    gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = [{**record, "id": f"::error::{record['id']}"} for record in answers(40)]
    before = judged_file(tmp_path / "before.jsonl", "verify", [{**one, "answer": "RIGHT"} for one in hostile])
    after = judged_file(tmp_path / "after.jsonl", "verify", [{**one, "answer": "WRONG"} for one in hostile])
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = gate(after, "--baseline", before, "--github")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    word = lines[0].removeprefix("::stop-commands::")
    assert len(word) == 32
    resumed = lines.index(f"::{word}::")
    # Inside, the report has the ids as they are; the runner does not read it.
    assert any(line.lstrip().startswith("::error::") for line in lines[1:resumed])
    commands = lines[resumed + 1 :]
    assert len(commands) == 10
    assert all(line.startswith("::error ") for line in commands)
    assert "### fare gate: fail" in summary.read_text()
    missing = gate("nowhere.jsonl", "--min-right", "30%", "--github")
    assert missing.returncode == 2
    assert missing.stdout == "::error title=fare gate::nowhere.jsonl does not exist\n"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    rows = [{"id": f"v{number}", "question": f"{number} + 1?", "answer": str(number + 1)} for number in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_run_stops_when_its_gate_is_sure(fare: Fare, tiny_model: Path, records: Path) -> None:
    """The model has random weights and says one thing of everything: whichever it is, one of two limits is clear."""
    judging = ("judge", "verify", records, "-o", "out.jsonl", "--isolated")
    env = {"FARE_MODEL": str(tiny_model), "FARE_THREADS": "1", "FARE_MODE": "direct", "FARE_SLOTS": "2"}
    codes = {}
    for limit in ("min-right=20%", "min-right=80%"):
        done = fare(*judging, "--gate", limit, env=env)
        codes[limit] = done.returncode
        manifest = json.loads((records.parent / "out.jsonl.manifest.json").read_text())
        assert manifest["gate"]["limits"] == [limit]
        if done.returncode in (0, 1):
            assert manifest["reason"] == "gate"
            assert "were never asked" in done.stderr
            assert "incomplete: stopped by --gate" in done.stderr
        option, value = limit.split("=")
        assert fare("gate", "out.jsonl", f"--{option}", value).returncode == done.returncode
    assert set(codes.values()) & {0, 1}
    assert codes["min-right=20%"] in (0, 1) or codes["min-right=80%"] in (0, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gate", "min-right"), "is not LIMIT=VALUE"),
        (("--gate", "min-win-rate=50%"), "is about pairwise"),
        (("--gate", "speed=50%"), "there is no limit 'speed'"),
        (("--gate", "min-right=50%", "--no-record"), "cannot go together"),
        (("--confidence", "90%"), "says how sure --gate has to be"),
    ],
)
def test_a_gate_that_cannot_be_is_refused_before_the_model_is_read(
    records: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.setenv("FARE_MODEL", "nowhere.gguf")
    assert run(["judge", "verify", str(records), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_text_files_have_no_order_to_stop_in(fare: Fare, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("1 + 1?")
    done = fare(
        *("judge", "verify", "--question", "q.txt", "--answer", "q.txt", "--gate", "min-right=50%"),
        env={"FARE_MODEL": str(tiny_model)},
    )
    assert (done.returncode, "--gate is about many records" in done.stderr) == (2, True)
