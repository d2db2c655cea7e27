"""`fare models quantize` as a shell sees it, on a model with random weights."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Fare, environment
from tests.engine.tiny_models import write_qwen3
from tests.run.making import write_pairs

Quantize = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which the model `tiny-f32` is installed, with prompts and decoding of its own."""
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    write_qwen3(home / "models" / "tiny-f32.gguf")
    (home / "models" / "tiny-f32.json").write_text('{"licence": "cc0", "decoding": {"mode": "direct"}}')
    return home


@pytest.fixture
def quantize(fare: Fare, home: Path) -> Quantize:
    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        env = {"FARE_HOME": str(home), "FARE_THREADS": "1", "FARE_CTX": "2048", "FARE_MODE": "direct"}
        return fare("models", "quantize", *arguments, env=env)

    return call


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "pairs.jsonl", 6)


def test_types_are_installed_under_names_of_their_own(quantize: Quantize, home: Path) -> None:
    done = quantize("tiny-f32", "--type", "q8_0", "-t", "Q4_0", "-t", "Q8_0")
    assert done.returncode == 0, done.stderr
    names = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert names == ["tiny-q8_0", "tiny-q4_0"]
    assert "bits a weight" in done.stderr
    notes = json.loads((home / "models" / "tiny-q4_0.json").read_text())
    assert notes["licence"] == "cc0"
    assert notes["decoding"] == {"mode": "direct"}
    assert notes["source"].startswith("quantize:tiny-f32 Q4_0 sha256:")
    again = quantize("tiny-f32", "-t", "Q8_0", "--json")
    assert json.loads(again.stdout)[0]["path"] == str(home / "models" / "tiny-q8_0.gguf")
    assert "is there already" in again.stderr


def test_another_file_of_that_name_is_replaced_only_by_force(quantize: Quantize, home: Path) -> None:
    target = home / "models" / "mine-q8_0.gguf"
    target.write_bytes(b"mine")
    done = quantize("tiny-f32", "-t", "Q8_0", "--name", "mine")
    assert done.returncode == 2
    assert "another file" in done.stderr
    assert target.read_bytes() == b"mine"
    assert quantize("tiny-f32", "-t", "Q8_0", "--name", "mine", "--force").returncode == 0
    assert target.stat().st_size > 10_000


def test_what_a_user_keeps_beside_the_new_file_is_not_overwritten(
    quantize: Quantize, home: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text('{"my": "data"}')
    done = quantize("tiny-f32", "-t", "Q8_0", "-o", tmp_path / "mine.gguf")
    assert done.returncode == 2
    assert str(mine) in done.stderr
    assert mine.read_text() == '{"my": "data"}'
    assert not (tmp_path / "mine.gguf").exists()

    folder = home / "models" / "tiny-q4_0.prompts"
    folder.mkdir()
    done = quantize("tiny-f32", "-t", "Q4_0")
    assert done.returncode == 2
    assert folder.is_dir()
    assert quantize("tiny-f32", "-t", "Q4_0", "--force").returncode == 0


def test_a_file_that_is_not_installed_may_have_any_json_beside_it(quantize: Quantize, home: Path) -> None:
    source = home / "weights.gguf"
    (home / "models" / "tiny-f32.gguf").rename(source)
    source.with_suffix(".json").write_text('{"my": "data"}')
    done = quantize(source, "-t", "Q8_0")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["out.json", "out"])
def test_a_file_is_written_only_under_the_name_of_a_model(quantize: Quantize, tmp_path: Path, name: str) -> None:
    done = quantize("tiny-f32", "-t", "Q8_0", "-o", tmp_path / name)
    assert done.returncode == 2
    assert "end in .gguf" in done.stderr
    assert not (tmp_path / name).exists()


def test_what_was_made_can_be_verified(quantize: Quantize, fare: Fare, home: Path) -> None:
    assert quantize("tiny-f32", "-t", "Q8_0").returncode == 0
    assert "as it was installed" in fare("models", "verify", "tiny-q8_0", env={"FARE_HOME": str(home)}).stdout


def test_prompts_go_with_the_weights(quantize: Quantize, home: Path) -> None:
    folder = home / "models" / "tiny-f32.prompts" / "pairwise"
    folder.mkdir(parents=True)
    for file in (ROOT / "prompts" / "pairwise").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert quantize("tiny-f32", "-t", "Q8_0").returncode == 0
    assert (home / "models" / "tiny-q8_0.prompts" / "pairwise" / "prompt.toml").is_file()


def test_a_check_prints_a_table_and_keeps_its_report(
    quantize: Quantize, fare: Fare, home: Path, pairs: Path, tmp_path: Path
) -> None:
    check = ("--check", pairs, "--task", "pairwise", "--report", tmp_path / "page.html")
    done = quantize("tiny-f32", "-t", "Q8_0", "-t", "Q4_0", *check)
    assert done.returncode == 0, done.stderr
    heading, source, *rows = done.stdout.splitlines()
    assert heading.split()[:3] == ["type", "GB", "bits"]
    assert source.startswith("F32 (source)")
    assert [line.split()[0] for line in rows] == ["Q8_0", "Q4_0"]
    assert " of 6 (" in rows[0]
    assert "recommend" in done.stderr
    page = (tmp_path / "page.html").read_text()
    assert (home / "models" / "tiny-q4_0.report.html").read_text() == page
    shown = fare("models", "show", "tiny-q4_0", env={"FARE_HOME": str(home)})
    assert "of 6 pairwise verdicts flipped" in shown.stdout
    assert "tiny-q4_0.report.html" in shown.stdout
    check = json.loads(fare("models", "show", "tiny-q4_0", "--json", env={"FARE_HOME": str(home)}).stdout)
    assert check["quantisation_check"]["quantised"]["standing"]["type"] == "Q4_0"


def test_a_limit_decides_the_exit_code(quantize: Quantize, pairs: Path) -> None:
    check = ("tiny-f32", "-t", "Q8_0", "--check", pairs, "--task", "pairwise")
    undecided = quantize(*check, "--fail-on", "flips=2%", "--json")
    assert undecided.returncode == 4, undecided.stderr
    values = json.loads(undecided.stdout)
    assert values["limits"][0]["outcome"] == "undecided"
    assert values["judged"] == 6
    kept = quantize(*check, "--fail-on", "flips=95%")
    assert kept.returncode == 0
    assert "flips=95% is kept: " in kept.stderr
    broken = quantize("tiny-f32", "-t", "Q2_K", *check[3:], "--order", "ab", "--fail-on", "kappa=0.99")
    assert broken.returncode in (1, 4)
    assert "kappa=0.99 is " in broken.stderr


def test_an_importance_matrix_makes_another_file_and_is_measured_once(
    quantize: Quantize, home: Path, pairs: Path
) -> None:
    plain = quantize("tiny-f32", "-t", "Q4_0")
    weighed = quantize("tiny-f32", "-t", "Q4_0", "--name", "weighed", "--imatrix", pairs, "--task", "pairwise")
    assert (plain.returncode, weighed.returncode) == (0, 0), weighed.stderr
    assert "measured on 12 prompts" in weighed.stderr
    files = [home / "models" / f"{name}-q4_0.gguf" for name in ("tiny", "weighed")]
    assert files[0].stat().st_size != files[1].stat().st_size or files[0].read_bytes() != files[1].read_bytes()
    again = quantize("tiny-f32", "-t", "Q4_1", "--name", "weighed", "--imatrix", pairs, "--task", "pairwise")
    assert "known from before" in again.stderr
    other = quantize("tiny-f32", "-t", "Q4_0", "--name", "weighed")
    assert other.returncode == 2
    assert "another file" in other.stderr


def test_ctrl_c_while_judging_keeps_the_replies(quantize: Quantize, home: Path, tmp_path: Path) -> None:
    many = write_pairs(tmp_path / "many.jsonl", 120)
    check = ("tiny-f32", "-t", "Q8_0", "--check", many, "--task", "pairwise")
    command = [sys.executable, "-m", "fare_cli", "models", "quantize", *map(str, check)]
    settings = {"FARE_HOME": str(home), "FARE_THREADS": "1", "FARE_CTX": "2048", "FARE_MODE": "direct"}
    running = subprocess.Popen(
        command, env=environment(**settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # The second model is at work once its journal grows.
    deadline = time.monotonic() + 60
    journals: list[Path] = []
    while time.monotonic() < deadline and (len(journals) < 2 or not all(file.stat().st_size for file in journals)):
        time.sleep(0.02)
        journals = list((home / "cache" / "checks").glob("*.jsonl"))
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert out == ""
    assert "the same command goes on from there" in err
    assert sum(file.read_text().count("\n") for file in journals) > 240


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-t", "Q9"], "no quantisation type is called Q9"),
        (["-t", "Q8_0", "-t", "Q4_0", "-o", "x.gguf"], "-o names one file"),
        (["-t", "Q8_0", "--name", "a/b"], "a plain name is wanted"),
        (["-t", "Q8_0", "--fail-on", "flips=2%"], "--fail-on is about --check"),
        (["-t", "Q8_0", "--check", "x.jsonl"], "--task is missing"),
        (["-t", "Q8_0", "--task", "step"], "there are none"),
        (["-t", "Q8_0", "--check", "x", "--imatrix", "./x", "--task", "step"], "the same records"),
        (["-t", "Q8_0", "--check", "none.jsonl", "--task", "step"], "none.jsonl"),
        (["-t", "Q8_0", "--check", "-", "--task", "step"], "only once"),
        (["-t", "Q8_0", "--check", "x", "--task", "step", "--report", "no/x.html"], "folder of --report"),
        (["-t", "Q8_0", "--check", "x", "--task", "step", "--fail-on", "flips"], "--fail-on 'flips'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    quantize: Quantize, home: Path, arguments: list[str], message: str
) -> None:
    done = quantize("tiny-f32", *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert not list((home / "models").glob("*q8_0*"))


def test_a_quantised_source_and_an_unknown_model(quantize: Quantize) -> None:
    assert quantize("nothing", "-t", "Q8_0").returncode == 5
    assert quantize("tiny-f32", "-t", "Q8_0").returncode == 0
    done = quantize("tiny-q8_0", "-t", "Q4_0")
    assert done.returncode == 2
    assert "hint: take the F16 or BF16 file" in done.stderr
    assert quantize("tiny-q8_0", "-t", "Q4_0", "--allow-requantize").stdout.startswith("tiny-q4_0\t")


def test_without_the_extra_a_check_is_refused_with_the_command_that_helps(home: Path, pairs: Path) -> None:
    program = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'scipy' else found(name, *more)\n"
        "from fare_cli.cli.main import main\n"
        "main()\n"
    )
    arguments = ["models", "quantize", "tiny-f32", "-t", "Q8_0", "--check", str(pairs), "--task", "pairwise"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment(FARE_HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5
    assert "scipy" in done.stderr
    assert "pip install 'fare-cli[stats]'" in done.stderr
    assert not list((home / "models").glob("*q8_0*"))
