"""`--mode auto`, `--votes auto` and their thresholds as a shell sees them, on a model with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.verdicts import Verdict
from tests.cli.conftest import Fare
from tests.simulating import answers

AUTO = ("--mode", "auto", "--max-tokens", "12")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in answers(12)))
    return path


def verdicts(path: Path) -> list[Verdict]:
    return [Verdict.from_line(line) for line in path.read_text("utf-8").splitlines()]


def counts(output: Path) -> dict[str, Any]:
    return json.loads(output.with_name(output.name + ".manifest.json").read_text())  # type: ignore[no-any-return]


def test_a_cascade_is_run_stopped_taken_up_and_shown(fare: Fare, records: Path, tiny_model: Path) -> None:
    out = records.with_name("v.jsonl")
    command = ("judge", "verify", records, "--model", tiny_model, *AUTO, "-o", out)
    done = fare(*command, "--limit", "5")
    assert done.returncode == 0, done.stderr
    # Random weights are never certain.
    assert {one.cascade.decided_by for one in verdicts(out) if one.cascade} == {"votes"}
    first = counts(out)
    assert first["counts"]["stages"] == {"votes": 5}
    assert "decided: votes in 5 of 5 (100.0%)" in done.stderr
    done = fare(*command)
    assert done.returncode == 0, done.stderr
    second = counts(out)
    assert second["asking"]["reused"] == first["asking"]["asked"] > 0
    whole = out.read_bytes()
    for one in verdicts(out):
        assert one.cascade is not None
        assert [stage.stage for stage in one.cascade.stages] == ["direct", "critique", "votes"]
        assert 4 <= len(one.judgments) <= 9
        assert one.usage.generated_tokens == sum(stage.usage.generated_tokens for stage in one.cascade.stages)
    # All from the journal, without the model.
    done = fare(*command)
    assert "loading" not in done.stderr
    assert out.read_bytes() == whole
    done = fare(*command[:-2], "--explain", "1")
    assert done.returncode == 0, done.stderr
    assert "=== prompt of direct/single/0 ===" in done.stdout
    assert "=== reply to votes/single/3 ===" in done.stdout
    done = fare(*command[:-2], "--dry-run")
    assert "of the direct stage; how many records go on" in done.stdout


def test_thresholds_are_learnt_from_verdicts_and_used(fare: Fare, records: Path, tiny_model: Path) -> None:
    """With a tolerance that anything keeps; other thresholds take the same replies from the same journal."""
    files = []
    for name, mode in (("d", ("--mode", "direct")), ("c", ()), ("v", ("--votes", "auto"))):
        files.append(records.with_name(f"{name}.jsonl"))
        options = (*mode, "--model", tiny_model, "--max-tokens", "12", "-o", files[-1])
        assert fare("judge", "verify", records, *options).returncode == 0
    named = [text for file in files for text in ("--verdicts", file)]
    done = fare("eval", *named, "--learn-thresholds", "t.json", "--tolerance", "90%", "--json")
    assert done.returncode == 0, done.stderr
    assert next(iter(json.loads(done.stdout)["tables"])) == "cascade"
    learnt = json.loads(records.with_name("t.json").read_text())
    assert learnt["direct"] is not None
    out = records.with_name("a.jsonl")
    command = ("judge", "verify", records, "--model", tiny_model, *AUTO, "-o", out)
    assert fare(*command, "--thresholds", "t.json").returncode == 0
    assert {one.cascade.decided_by for one in verdicts(out) if one.cascade} == {"direct"}
    assert counts(out)["judge"]["options"]["thresholds"]["direct"] == learnt["direct"]
    done = fare("diff", "--replay", out, "--fail-on", "flips=50%")
    assert done.returncode == 0, done.stderr
    assert "not the same as when" not in done.stderr
    done = fare(*command)
    assert done.returncode == 0, done.stderr
    assert {one.cascade.decided_by for one in verdicts(out) if one.cascade} == {"votes"}
    assert counts(out)["asking"]["reused"] == 12
    # Those of another judge.
    done = fare("judge", "verify", records, "--model", tiny_model, "--mode", "auto", "--thresholds", "t.json")
    assert done.returncode == 2
    assert "learnt for another judge (critique: max_tokens 12, here 1024)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("judge", "verify", "records.jsonl", "--votes", "some"), "--votes cannot be 'some'"),
        (("judge", "verify", "records.jsonl", "--mode", "auto", "--temperature", "0"), "--votes auto needs"),
        (("judge", "verify", "records.jsonl", "--mode", "auto", "--thresholds", "no.json"), "cannot be read"),
        (("eval", "records.jsonl", "--learn-thresholds", "t.json"), "from verdicts that are kept"),
        (("eval", "--verdicts", "v.jsonl", "--tolerance", "2%"), "--tolerance is for --learn-thresholds"),
        (("eval", "--verdicts", "v.jsonl", "--thresholds", "t.json"), "--thresholds is about judging"),
        (("eval", "--verdicts", "v.jsonl", "--learn-thresholds", "no/t.json"), "does not exist"),
    ],
)
def test_what_cannot_be_is_refused(
    fare: Fare, records: Path, tiny_model: Path, arguments: tuple[str, ...], said: str
) -> None:
    model = ("--model", tiny_model) if arguments[0] == "judge" else ()
    done = fare(*arguments, *model)
    assert done.returncode == 2
    assert said in done.stderr
