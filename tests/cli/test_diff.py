"""`fare diff` as a shell sees it: exit codes, and a real model asked again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fare_cli.cli.main import run
from fare_cli.gguf.quantize import quantize
from fare_cli.gguf.store import file_sha256
from fare_cli.run.manifest import manifest_path, read_manifest
from tests.cli.conftest import ROOT, Fare
from tests.engine.tiny_models import write_lora, write_qwen3
from tests.gate.making import judged_file
from tests.simulating import answers, judge, pairs

Diff = Callable[..., "subprocess.CompletedProcess[str]"]
RECORDS = ROOT / "examples" / "verify.jsonl"


@pytest.fixture
def diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Diff:
    """Runs `fare diff ARGUMENTS` in this process, as its start takes most of a second."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = run(["diff", *map(str, arguments)])
        said = capsys.readouterr()
        return subprocess.CompletedProcess(["fare"], code, said.out, said.err)

    return call


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """200 answers, of which a second judge has 40 or so otherwise."""
    old = judged_file(tmp_path / "old.jsonl", "verify", answers(200))
    return old, judged_file(tmp_path / "new.jsonl", "verify", answers(200), by=judge(accuracy=0.8))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 0, "of the verdicts flipped"),
        (("--fail-on", "flips=2%"), 1, "flips=2% is broken"),
        (("--fail-on", "flips=20%"), 4, "flips=20% is undecided"),
        (("--fail-on", "flips=50%", "--fail-on", "kappa=0.2"), 0, "kappa=0.2 is kept"),
        (("--fail-on", "flips=50%", "--fail-on", "kappa=0.9"), 1, "kappa=0.9 is broken"),
        (("--fail-on", "flips=0"), 1, "flips=0% is broken"),
        (("--fail-on", "invalid=0"), 0, "invalid=0% is kept"),
        (("--fail-on", "accuracy=5%"), 1, "accuracy=5% is broken"),
        (("--fail-on", "probability=1%"), 1, "probability=1% is broken"),
        (("--fail-on", "flip=2%"), 2, "one of flips, kappa"),
        (("--fail-on", "flips"), 2, "with a number is wanted"),
        (("--fail-on", "kappa=0"), 2, "between 0 and 1"),
        (("--report", "x.txt"), 2, "must end in .html or .json"),
        (("--markdown", "nowhere/x.md"), 2, "the folder of --markdown"),
        (("--model", "some.gguf"), 2, "--model is about --replay"),
        (("--limit", "3"), 2, "--limit is about --replay"),
        (("-o", "x.jsonl"), 2, "--output is about --replay"),
        (("--replay",), 2, "2 files were given, and --replay takes one"),
    ],
)
def test_every_exit_code_has_its_reason(
    diff: Diff, two: tuple[Path, Path], arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = diff(*two, *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


def test_files_that_cannot_be_compared_are_usage_errors(diff: Diff, two: tuple[Path, Path], tmp_path: Path) -> None:
    other = judged_file(tmp_path / "pairs.jsonl", "pairwise", pairs(4))
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(two[0].read_bytes()[:-9])
    for arguments, said in (
        ((two[0], other), "only verdicts of one task"),
        ((two[0], torn), "torn.jsonl, line 200"),
        ((two[0], tmp_path / "missing.jsonl"), "missing.jsonl"),
        (("-", "-"), "not both"),
        ((two[0],), "two are compared"),
        (("--replay", torn), "torn.jsonl, line 200"),
    ):
        done = diff(*arguments)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_the_report_is_written_in_every_form(diff: Diff, two: tuple[Path, Path], tmp_path: Path) -> None:
    done = diff(*two, "--json", "--report", "x.html", "--markdown", "x.md", "--fail-on", "flips=2%", "--all")
    found = json.loads(done.stdout)
    flipped = len(found["tables"]["records"]["rows"])
    assert 20 < flipped < 60
    assert found["tables"]["limits"]["rows"][0]["outcome"] == "broken"
    page, text = ((tmp_path / name).read_text() for name in ("x.html", "x.md"))
    for row in found["tables"]["records"]["rows"]:
        assert f">{row['id']}<" in page
        assert f"`{row['id']}`" in text


def test_one_of_the_files_may_be_a_pipe(fare: Fare, two: tuple[Path, Path]) -> None:
    done = fare("diff", two[0], "-", stdin=two[0].read_bytes())
    assert (done.returncode, "no verdict of 200 flipped" in done.stdout) == (0, True), done.stderr


def test_what_nobody_could_judge_twice_is_no_comparison(diff: Diff, tmp_path: Path) -> None:
    old = judged_file(tmp_path / "old.jsonl", "verify", answers(3))
    broken = tmp_path / "broken.jsonl"
    values = [json.loads(line) for line in old.read_text().splitlines()]
    error = {"kind": "too_long", "message": "it is too long", "field": None}
    gone = {"status": "invalid", "error": error, "verdict": None, "confidence": None, "probabilities": None}
    broken.write_text("".join(json.dumps({**one, **gone, "judgments": []}) + "\n" for one in values))
    done = diff(old, broken)
    assert (done.returncode, "no record was judged by both" in done.stderr) == (3, True)
    assert done.stdout.count("invalid: too_long") == 3


# Models from here on: a real one where what it says matters, else one with random weights.


def judge_file(model: Path, output: Path, *options: str) -> Path:
    code = run(
        ["judge", "verify", str(RECORDS), "--model", str(model), "--mode", "direct", "-o", str(output), *options]
    )
    assert code == 0
    return output


@pytest.fixture(scope="module")
def verdicts(smollm2_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judge_file(smollm2_path, tmp_path_factory.mktemp("judged") / "verdicts.jsonl")


@pytest.fixture(scope="module")
def tiny(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judge_file(tiny_model, tmp_path_factory.mktemp("tiny") / "verdicts.jsonl")


def table(done: subprocess.CompletedProcess[str], name: str) -> list[dict[str, Any]]:
    return list(json.loads(done.stdout)["tables"].get(name, {"rows": []})["rows"])


def parts(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {row["part"]: row["same"] for row in table(done, "judges")}


def changes(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {row["measure"]: row["value"] for row in table(done, "changes")}


def test_a_judge_asked_again_says_the_same(diff: Diff, verdicts: Path) -> None:
    # Neither model nor mode are named: both are found by what the manifest says.
    done = diff("--replay", verdicts, "--json", "--fail-on", "flips=0")
    assert done.returncode == 0, done.stderr
    assert set(parts(done).values()) == {"yes"}
    assert "not the same" not in done.stderr
    found = changes(done)
    assert (found["another verdict (flipped)"]["cases"], found["another verdict (flipped)"]["of"]) == (0, 5)
    assert found["log-probability of a label, largest change (nats)"] < 0.3


def test_the_manifest_goes_before_variables_and_the_command_line_before_both(
    diff: Diff, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARE_MODE", "critique")
    monkeypatch.setenv("FARE_MAX_TOKENS", "8")
    assert parts(diff("--replay", tiny, "--json", "--limit", "2"))["settings"] == "yes"
    done = diff("--replay", tiny, "--json", "--limit", "2", "--mode", "critique", "--max-tokens", "8")
    assert parts(done)["settings"] == "no"
    assert "judged: settings" in done.stderr


def test_other_prompts_are_named_as_the_cause(diff: Diff, verdicts: Path, tmp_path: Path) -> None:
    prompts = Path(shutil.copytree(ROOT / "prompts", tmp_path / "prompts"))
    for name in ("system.txt", "system_reference.txt"):
        (prompts / "verify" / name).write_text("Every answer is wrong.\n" + 20 * "Verdict: no\n")
    done = diff("--replay", verdicts, "--json", "--prompts", prompts, "--fail-on", "flips=0")
    assert [part for part, same in parts(done).items() if same != "yes"] == ["prompts"]
    flipped = table(done, "records")
    assert flipped
    assert done.returncode == 1
    assert all(row["why"].split("; ")[0] == "prompts" for row in flipped)
    assert "not the same as when" in done.stderr


def test_another_quantisation_is_named_as_the_cause(
    diff: Diff, verdicts: Path, smollm2_path: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.gguf"
    quantize(smollm2_path, small, "Q2_K", allow_requantize=True)
    done = diff("--replay", verdicts, "--json", "--model", small)
    assert [part for part, same in parts(done).items() if same != "yes"] == ["weights"]
    assert "judged: weights" in done.stderr
    assert changes(done)["log-probability of a label, largest change (nats)"] > 0


def test_where_everything_is_the_same_it_is_chance_and_a_near_tie_is_named(
    diff: Diff, tiny: Path, tmp_path: Path
) -> None:
    """What was said then is turned round in the file, as if the model had given it then."""
    turned = tmp_path / "turned.jsonl"
    values = [json.loads(line) for line in tiny.read_text().splitlines()]
    for one, near in zip(values, (True, False), strict=False):
        first, other = sorted(one["probabilities"], key=one["probabilities"].get)
        said = {first: 0.51, other: 0.49} if near else {first: 0.9, other: 0.1}
        margin = 0.04 if near else 2.197225
        one |= {"verdict": first, "confidence": said[first], "probabilities": said}
        one["judgments"][0] |= {"label": first, "means": first, "probabilities": said, "margin": margin}
    turned.write_text("".join(json.dumps(one) + "\n" for one in values))
    shutil.copy(manifest_path(tiny), manifest_path(turned))
    done = diff("--replay", turned, "--json")
    assert set(parts(done).values()) == {"yes"}
    flipped = {row["id"]: row for row in table(done, "records")}
    near_tie, clear = (flipped[one["id"]] for one in values[:2])
    assert (near_tie["why"], clear["why"]) == ("nondeterminism; a near-tie", "nondeterminism")
    assert clear["moved"] > near_tie["moved"] > 0
    assert changes(done)["flips that were near-ties"] == 1
    assert any("changed after the run that wrote it" in text for text in json.loads(done.stdout)["warnings"])


def test_without_a_manifest_it_is_said_what_cannot_be_known(
    diff: Diff, tiny: Path, tiny_model: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.jsonl"
    alone.write_bytes(tiny.read_bytes())
    done = diff("--replay", alone, "--json", "--model", tiny_model)
    # That it was judged directly shows in the verdicts themselves, and then the fingerprint is the same.
    assert parts(done) == {"weights, prompts and settings": "yes", "engine": "not known", "fare": "not known"}
    assert any(
        "whether engine and fare are the same is not known" in text for text in json.loads(done.stdout)["warnings"]
    )
    other = diff("--replay", alone, "--json", "--model", tiny_model, "--mode", "critique", "--max-tokens", "8")
    assert parts(other)["weights, prompts or settings"] == "no"
    values = [json.loads(line) for line in alone.read_text().splitlines()]
    alone.write_text("".join(json.dumps({**one, "record": None}) + "\n" for one in values))
    done = diff("--replay", alone, "--model", tiny_model)
    assert (done.returncode, "nothing can be asked again" in done.stderr) == (2, True)
    alone.write_text("".join(json.dumps({**one, "record": None} if n else one) + "\n" for n, one in enumerate(values)))
    done = diff("--replay", alone, "--json", "--model", tiny_model)
    assert any(
        "4 verdicts hold no record and could not be asked" in text for text in json.loads(done.stdout)["warnings"]
    )
    assert changes(done)["records that both judged"] == 1


def test_a_model_that_is_not_here_is_named(diff: Diff, tiny: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(tiny.read_bytes())
    manifest = json.loads(manifest_path(tiny).read_text())
    manifest["judge"] |= {"model": "elsewhere", "weights": "sha256:" + 64 * "0"}
    manifest_path(moved).write_text(json.dumps(manifest))
    done = diff("--replay", moved)
    assert (done.returncode, "elsewhere" in done.stderr, "--model" in done.stderr) == (5, True, True)


def test_model_and_adapter_are_found_by_their_checksums(
    diff: Diff, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    models = tmp_path / "home" / "models"
    models.mkdir(parents=True)
    # Another model goes by the name of the one that judges.
    write_qwen3(models / "tiny.gguf", seed=1)
    adapter = write_lora(tmp_path / "adapter.gguf")
    plain = judge_file(tiny_model, tmp_path / "plain.jsonl")
    adapted = judge_file(tiny_model, tmp_path / "adapted.jsonl", "--lora", str(adapter))
    assert parts(diff("--replay", adapted, "--json"))["weights"] == "yes"
    # It was judged without an adapter, whatever the variable says.
    monkeypatch.setenv("FARE_LORA", str(adapter))
    assert parts(diff("--replay", plain, "--json"))["weights"] == "yes"
    assert parts(diff("--replay", plain, "--json", "--lora", adapter))["weights"] == "no"
    assert parts(diff("--replay", plain, "--json", "--model", "tiny"))["weights"] == "no"


def test_new_verdicts_can_be_kept_and_compared(diff: Diff, tiny: Path, tiny_model: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.jsonl"
    done = diff("--replay", tiny, "-o", new)
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(new)
    assert manifest is not None
    assert manifest.complete
    assert manifest.inputs[0].sha256 == file_sha256(tiny)
    assert "no verdict of 5 flipped" in diff(tiny, new).stdout
    done = diff("--replay", tiny, "-o", tiny)
    assert (done.returncode, "is an input of the same run" in done.stderr) == (2, True)
