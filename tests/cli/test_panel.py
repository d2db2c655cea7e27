"""`fare judge --panel` as a shell sees it, on models with random weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fare_cli.meta.agreement import kappa
from fare_cli.verdicts import Verdict
from tests.cli.conftest import Fare
from tests.engine.tiny_models import write_qwen3
from tests.simulating import answers

MODELS = ("one", "two", "three")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(MODELS, start=1):
        write_qwen3(folder / f"{name}.gguf", seed=seed)
    return folder


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    bad = ['{"question": "no answer", "id": "bad"}', "no record"]
    lines = [json.dumps(record) for record in answers(30)]
    path.write_text("\n".join([*lines[:7], *bad, *lines[7:]]) + "\n")
    return path


def verdicts(path: Path) -> list[Verdict]:
    return [Verdict.from_line(line) for line in path.read_text("utf-8").splitlines()]


def manifest(path: Path) -> dict[str, Any]:
    return json.loads(path.with_name(path.name + ".manifest.json").read_text())  # type: ignore[no-any-return]


def command(records: Path, models: Path, names: tuple[str, ...] = MODELS) -> tuple[str | Path, ...]:
    panel = ",".join(str(models / f"{name}.gguf") for name in names)
    out = records.with_name("v.jsonl")
    return ("judge", "verify", records, "--panel", panel, "--mode", "direct", "--max-invalid", "50%", "-o", out)


def test_members_judge_one_after_the_other_and_become_one(fare: Fare, records: Path, models: Path) -> None:
    done = fare(*command(records, models))
    assert done.returncode == 0, done.stderr
    out = records.with_name("v.jsonl")
    found, files = verdicts(out), [verdicts(records.with_name(f"v.{name}.jsonl")) for name in MODELS]
    assert [one.id for one in found] == [one.id for one in files[0]]
    assert [one.status for one in found].count("invalid") == 2
    assert found[7].status == found[8].status == "invalid"
    for one, *members in zip(found, *files, strict=True):
        if one.status == "invalid":
            continue
        assert one.panel is not None
        assert [said.model for said in one.panel.members] == list(MODELS)
        for said, member in zip(one.panel.members, members, strict=True):
            assert (said.verdict, said.judge) == (member.verdict, member.judge)
            assert said.judgments == member.judgments
        labels = [member.verdict for member in members]
        assert one.verdict == max(("yes", "no"), key=labels.count)
        assert one.panel.agreeing == labels.count(one.verdict)
        assert one.correct is (one.verdict == one.gold)
    assert len({one.judge for one in found}) == 1
    about = manifest(out)["judge"]
    assert [member["model"] for member in about["panel"]["members"]] == list(MODELS)
    assert about["model"] == "one + two + three"
    # How far two of them agree, as `meta` measures it.
    first, second = ([one.verdict or "" for one in file if one.status == "ok"] for file in files[:2])
    same = sum(one == other for one, other in zip(first, second, strict=True))
    assert f"agreement: one and two say the same in {same} of 30" in done.stderr
    if (expected := kappa(first, second)) is not None:
        assert f"{same / 30:.1%}), kappa {expected:.3f}" in done.stderr
    done = fare("diff", "--replay", out)
    assert done.returncode == 2
    assert "verdicts of a panel" in done.stderr
    assert fare("eval", "--verdicts", out, "--max-invalid", "50%", "--json").returncode == 0


def test_a_panel_goes_on_where_it_was_and_another_rule_asks_nobody(fare: Fare, records: Path, models: Path) -> None:
    # One of them has judged already, and its file has the name that the panel gives it.
    alone = ("judge", "verify", records, "--model", models / "two.gguf", "--mode", "direct", "--max-invalid", "50%")
    assert fare(*alone, "-o", records.with_name("v.two.jsonl")).returncode == 0
    done = fare(*command(records, models))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("loading") == 2
    out = records.with_name("v.jsonl")
    by_majority = out.read_bytes()
    done = fare(*command(records, models), "--panel-rule", "mean")
    assert done.returncode == 0, done.stderr
    assert "loading" not in done.stderr
    assert {one.rule for one in verdicts(out) if one.status == "ok"} == {"panel_mean"}
    for one in verdicts(out):
        if one.status == "ok" and one.panel is not None:
            shares = [said.probabilities["yes"] for said in one.panel.members if said.probabilities]
            assert one.verdict == ("yes" if sum(shares) / 3 >= 0.5 else "no")
    assert fare(*command(records, models)).returncode == 0
    assert out.read_bytes() == by_majority
    # Another panel does not take the file.
    done = fare(*command(records, models, ("one", "two")))
    assert done.returncode == 2
    assert "written by another judge" in done.stderr


def test_two_members_with_the_same_weights_are_refused(fare: Fare, records: Path, models: Path, tmp_path: Path) -> None:
    shutil.copy(models / "one.gguf", models / "copy.gguf")
    done = fare(*command(records, models, ("one", "two", "copy")))
    assert done.returncode == 2
    assert "one and copy have the same weights" in done.stderr
    assert not list(tmp_path.glob("v*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gate", "min-accuracy=50%"), "--gate is about one judge"),
        (("--model", "x"), "--model is about one judge"),
        (("--explain", "1"), "--explain is about one judge"),
        (("--max-seconds", "5"), "--max-seconds is about one judge"),
        (("-o", "-"), "name a file with -o"),
        (("--panel", "one.gguf"), "two models or more"),
    ],
)
def test_what_a_panel_does_not_have_is_refused(
    fare: Fare, records: Path, models: Path, options: tuple[str, ...], said: str
) -> None:
    done = fare(*command(records, models), *options, cwd=models)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_pipe_and_a_rule_alone_are_refused(fare: Fare, records: Path, models: Path) -> None:
    piped = tuple("-" if one == records else one for one in command(records, models))
    done = fare(*piped, stdin=records.read_text())
    assert done.returncode == 2
    assert "can be read only once" in done.stderr
    done = fare("judge", "verify", records, "--model", models / "one.gguf", "--panel-rule", "mean")
    assert done.returncode == 2
    assert "--panel-rule is for --panel" in done.stderr
