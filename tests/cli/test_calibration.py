"""`fare eval --calibrate` and `fare judge --calibration` as a shell sees them, on models with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.cli.main import run
from tests.cli.test_eval import Done, home  # noqa: F401
from tests.engine.tiny_models import write_qwen3
from tests.simulating import answers, pairs


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def records(home: Path) -> Path:  # noqa: F811
    path = home / "records.jsonl"
    # Gold by fours, where the texts go by twos: whatever the model makes of the texts, it is right in half.
    golds = ({**record, "gold": "yes" if number % 4 < 2 else "no"} for number, record in enumerate(answers(60)))
    path.write_text("".join(json.dumps(record) + "\n" for record in golds))
    (home / "pairs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in pairs(40)))
    return path


@pytest.fixture
def fare(records: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str | Path) -> Done:
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


def test_a_calibration_is_fitted_on_kept_verdicts_and_applied_without_asking_again(fare: Any, home: Path) -> None:  # noqa: F811
    assert fare("judge", "verify", "records.jsonl", "-o", "v.jsonl").returncode == 0
    done = fare("eval", "--verdicts", "v.jsonl", "--calibrate", "c.json", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert list(report["tables"])[:2] == ["calibrated", "calibration-fit"]
    assert "c.json" in report["facts"]["calibration"]
    plain = lines(home / "v.jsonl")
    # The same output again: the replies are there, only the probabilities are computed anew.
    done = fare("judge", "verify", "records.jsonl", "-o", "v.jsonl", "--calibration", "c.json")
    assert done.returncode == 0, done.stderr
    assert "loading" not in done.stderr
    mended = lines(home / "v.jsonl")
    assert [one["verdict"] for one in mended] == [one["verdict"] for one in plain]
    assert [one["judgments"] for one in mended] == [one["judgments"] for one in plain]
    assert [one["confidence"] for one in mended] != [one["confidence"] for one in plain]
    judge = json.loads((home / "v.jsonl.manifest.json").read_text())["judge"]
    assert judge["calibration"] in report["facts"]["calibration"]
    assert {one["judge"] for one in mended} == {judge["fingerprint"]} != {one["judge"] for one in plain}
    # And back.
    assert fare("judge", "verify", "records.jsonl", "-o", "v.jsonl").returncode == 0
    assert lines(home / "v.jsonl") == plain


def test_another_judge_and_another_task_are_refused(fare: Any, home: Path) -> None:  # noqa: F811
    assert fare("eval", "records.jsonl", "--calibrate", "c.json", "--quiet").returncode == 0
    other = write_qwen3(home / "other.gguf", seed=9)
    for arguments, said in (
        (("verify", "records.jsonl", "--model", other), "weights"),
        (("verify", "records.jsonl", "--mode", "critique"), "mode direct, here critique"),
        (("pairwise", "pairs.jsonl"), "fitted on verify verdicts"),
    ):
        done = fare("judge", *arguments, "--calibration", "c.json", "-o", "refused.jsonl")
        assert done.returncode == 2
        assert said in done.stderr
        assert not (home / "refused.jsonl").exists()
    assert fare("judge", "verify", "records.jsonl", "--calibration", "records.jsonl").returncode == 2
    # An audit of a calibrated judge is one of the judge: labels are the same, so the option is not there.
    assert fare("eval", "records.jsonl", "--calibration", "c.json", "--quiet").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("records.jsonl", "--calibrate", "no/folder/c.json"),
        ("records.jsonl", "--calibrate", "c.json", "--calibration", "c.json"),
        ("records.jsonl", "--calibrate", "c.json", "--against", "other"),
        ("--cross", "pairs.jsonl", "--calibrate", "c.json"),
        ("--verdicts", "v.jsonl", "--calibration", "c.json"),
        ("records.jsonl", "--calibrate", "c.json", "--calibrate-by", "magic"),
    ],
    ids=" ".join,
)
def test_options_that_cannot_go_together_are_usage_errors(fare: Any, home: Path, arguments: tuple[str, ...]) -> None:  # noqa: F811
    done = fare("eval", *arguments)
    assert done.returncode == 2
    assert "calibrat" in done.stderr
    assert not (home / "c.json").exists()


def test_too_few_records_write_nothing(fare: Any, home: Path) -> None:  # noqa: F811
    done = fare("eval", "records.jsonl", "--limit", "8", "--calibrate", "c.json", "--quiet")
    assert done.returncode == 2
    assert "10 of each are needed" in done.stderr
    assert not (home / "c.json").exists()
