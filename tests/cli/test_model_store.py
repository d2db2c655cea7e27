"""`fare models import|export|show|verify|remove`, the way a shell runs them."""

from __future__ import annotations

import json
import os
import pty
import resource
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Fare, environment
from tests.engine import tiny_models
from tests.gguf.splitting import write_split

PAIR = '{"id": "sum", "question": "What is 2+2?", "answer_a": "It is 4.", "answer_b": "It is 5."}\n'
JUDGE = ("judge", "pairwise", "pairs.jsonl", "--mode", "direct", "--ctx", "2048", "--threads", "1", "--deterministic")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `FARE_HOME` of the test's own, where nothing is installed."""
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_models.write_lora(tmp_path / "lora.gguf", "qwen3")


def test_a_split_model_and_its_adapter_judge_by_name_here_and_elsewhere(
    fare: Fare, home: Path, tiny_model: Path, adapter: Path, tmp_path: Path
) -> None:
    parts = write_split(tiny_model, tmp_path / "split", "big", 3)
    (tmp_path / "pairs.jsonl").write_text(PAIR)
    done = fare("models", "import", parts[2])
    assert (done.returncode, done.stdout) == (0, f"big\t{home / 'models' / 'big-00001-of-00003.gguf'}\n")
    assert fare("models", "import", adapter, "--base", "big", "--name", "my-judge").returncode == 0
    named = fare(*JUDGE, "--model", "my-judge")
    assert named.returncode == 0, named.stderr
    by_path = fare(*JUDGE, "--model", parts[0], "--lora", adapter)
    assert by_path.stdout == named.stdout
    assert fare(*JUDGE, "--model", "big").stdout != named.stdout

    assert fare("models", "export", "my-judge", "bundle").returncode == 0
    elsewhere = {"FARE_HOME": str(tmp_path / "elsewhere")}
    assert fare("models", "import", "bundle", env=elsewhere).returncode == 0
    assert fare("models", "verify", "--all", env=elsewhere).returncode == 0
    assert fare(*JUDGE, "--model", "my-judge", env=elsewhere).stdout == named.stdout


def test_two_adapters_at_once_are_a_usage_error(fare: Fare, home: Path, tiny_model: Path, adapter: Path) -> None:
    fare("models", "import", tiny_model)
    fare("models", "import", adapter, "--base", "tiny")
    done = fare("judge", "pairwise", "-", "--model", "lora", "--lora", adapter, stdin=PAIR)
    assert (done.returncode, done.stdout) == (2, "")
    assert "lora is an adapter itself" in done.stderr


def test_what_is_there_already_is_said_to_be(fare: Fare, home: Path, tiny_model: Path) -> None:
    first = fare("models", "import", tiny_model)
    second = fare("models", "import", tiny_model)
    assert second.stdout == first.stdout
    assert "already installed as tiny: nothing to do" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("import", "nothing.gguf"), 2, "nothing.gguf cannot be read"),
        (("import", "."), 5, "is no bundle"),
        (("import", ".", "--base", "x"), 2, "--base is for files"),
        (("import", ".", "--move"), 2, "--move is for files"),
        (("import", "lora.gguf"), 2, "--base MODEL"),
        (("import", "pairs.jsonl"), 5, "no usable model file"),
        (("export", "nothing", "x"), 5, "no model is called nothing"),
        (("verify",), 2, "name them, or give --all"),
        (("verify", "x", "--all"), 2, "name them, or give --all"),
        (("verify", "x"), 5, "no model is installed as x"),
        (("remove", "x"), 5, "no model is installed as x"),
        (("remove", "../x", "--yes"), 5, "no model is installed as ../x"),
    ],
)
def test_mistakes_are_said_with_a_way_out(
    fare: Fare, home: Path, adapter: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "pairs.jsonl").write_text(PAIR)
    done = fare("models", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [("import", "big.gguf"), ("export", "big.gguf", "out")])
def test_a_full_disk_is_exit_5_and_leaves_nothing(
    fare: Fare, home: Path, tiny_model: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "big.gguf").write_bytes(tiny_model.read_bytes())
    done = fare("models", *command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)))
    assert done.returncode == 5
    assert "File too large" in done.stderr
    assert "make room" in done.stderr
    left = {path.name for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert left - {"digests.json"} == {"big.gguf"}


def test_show_tells_of_adapter_and_base(fare: Fare, home: Path, tiny_model: Path, adapter: Path) -> None:
    fare("models", "import", tiny_model)
    fare("models", "import", adapter, "--base", "tiny", "--name", "my-judge")
    shown = json.loads(fare("models", "show", "my-judge", "--json").stdout)
    assert shown["name"] == "my-judge"
    assert shown["path"].endswith("tiny.gguf")
    assert shown["adapter"] == {
        "path": str(home / "models" / "my-judge.gguf"),
        "bytes": adapter.stat().st_size,
        "sha256": json.loads(fare("models", "show", adapter, "--json").stdout)["sha256"],
        "base": "tiny",
    }
    assert (shown["template"], shown["quantisation"], shown["source"]) == ("qwen3", "F32", "import:lora.gguf")
    people = fare("models", "show", "my-judge").stdout
    assert "base          tiny\n" in people


def test_what_a_file_says_cannot_steer_the_terminal(fare: Fare, home: Path, tiny_model: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile.gguf"
    content = tiny_model.read_bytes()
    evil = b"\x1b[2Jq"
    hostile.write_bytes(content.replace(b"\x05" + b"\0" * 7 + b"qwen3", b"\x05" + b"\0" * 7 + evil))
    done = fare("models", "show", hostile)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "[2Jq" in done.stdout


def test_verify_ends_with_5_where_a_model_is_not_what_it_was(fare: Fare, home: Path, tiny_model: Path) -> None:
    fare("models", "import", tiny_model)
    fare("models", "import", tiny_model, "--name", "other")
    path = home / "models" / "other.gguf"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = fare("models", "verify", "--all")
    assert done.returncode == 5
    lines = dict(line.split("\t") for line in done.stdout.splitlines())
    assert lines["tiny"].startswith("as it was installed")
    assert "its checksum is" in lines["other"]
    assert fare("models", "verify", "tiny").returncode == 0
    rows = json.loads(fare("models", "verify", "--all", "--json").stdout)
    assert [(row["name"], row["ok"]) for row in rows] == [("other", False), ("tiny", True)]


def test_without_a_terminal_nothing_is_removed_unasked(fare: Fare, home: Path, tiny_model: Path) -> None:
    fare("models", "import", tiny_model)
    done = fare("models", "remove", "tiny", stdin="y\n")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert (home / "models" / "tiny.gguf").exists()
    assert fare("models", "remove", "tiny", "--yes").returncode == 0
    assert fare("models", "list").stdout == ""


@pytest.mark.parametrize(("answer", "stays"), [("y\n", False), ("n\n", True), ("\n", True)])
def test_on_a_terminal_it_asks(home: Path, tiny_model: Path, tmp_path: Path, answer: str, stays: bool) -> None:
    subprocess.run([*PROGRAM, "models", "import", str(tiny_model)], env=environment(), check=True, capture_output=True)
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [*PROGRAM, "models", "remove", "tiny"], env=environment(), stdin=theirs, stderr=subprocess.PIPE, text=True
        ) as process:
            os.write(ours, answer.encode())
            _, said = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0
    assert "remove tiny? [y/N]" in said
    assert str(home / "models" / "tiny.gguf") in said
    assert (home / "models" / "tiny.gguf").exists() == stays
    assert ("nothing was removed" in said) == stays
