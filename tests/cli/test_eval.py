"""`fare eval` as a shell sees it, on models with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fare_cli.cli.main import run
from tests.cli.conftest import ROOT, Fare
from tests.engine.tiny_models import write_qwen3
from tests.importers.published import FIXTURES
from tests.simulating import judged, pairs
from tests.studies.test_evaluate import GOLDEN


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Eval = Callable[..., Done]

TASKS = ("pairwise", "step", "verify", "score")


def example(task: str) -> str:
    return str(ROOT / "examples" / f"{task}.jsonl")


@pytest.fixture
def home(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and settings for the tiny model in direct mode."""
    settings = {"HOME": tmp_path / "home", "MODEL": tiny_model, "MODE": "direct", "THREADS": 1, "CTX": 2048}
    for name, value in settings.items():
        monkeypatch.setenv(f"FARE_{name}", str(value))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def evaluate(home: Path, capsys: pytest.CaptureFixture[str]) -> Eval:
    """Runs `fare eval` in this process: to import what measures takes a second."""

    def call(*arguments: str | Path) -> Done:
        code = run(["eval", *map(str, arguments)])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


def test_examples_of_all_tasks_are_judged_and_measured(evaluate: Eval, home: Path) -> None:
    done = evaluate(*map(example, TASKS), "-o", "kept", "--report", "report.html", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["task"] for row in report["tables"]["sets"]["rows"]] == list(TASKS)
    for name in ("pairwise-pairwise", "step-off-by", "verify-confusion", "score-score-1-5", "verify-calibration"):
        assert name in report["tables"], name
    assert "verify-reliability-plot" in report["plots"]
    assert "judging with tiny" in done.stderr
    assert (home / "report.html").read_text().startswith("<!doctype html>")

    files = sorted(path.name for path in (home / "kept").glob("*.tiny.jsonl"))
    assert files == [f"{task}.{task}.tiny.jsonl" for task in sorted(TASKS)]
    options = [option for name in files for option in ("--verdicts", home / "kept" / name)]
    again = evaluate(*options, "--json")
    assert again.returncode == 0, again.stderr
    kept = json.loads(again.stdout)
    for task in TASKS:
        for name in (f"{task}-{task}", f"{task}-records", f"{task}-calibration"):
            assert kept["tables"].get(name) == report["tables"].get(name), name


def test_a_run_goes_on_from_what_is_kept(evaluate: Eval, home: Path) -> None:
    first = evaluate(example("verify"), "-o", "kept", "--limit", "2", "--json")
    assert "only the first 2 records" in first.stderr + first.stdout
    done = evaluate(example("verify"), "-o", "kept", "--json")
    cost = json.loads(done.stdout)["tables"]["cost"]
    assert "Of 5 asks 2 were answered by an earlier run" in cost["note"]
    manifest = json.loads((home / "kept" / "verify.verify.tiny.jsonl.manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["inputs"][0]["file"] == example("verify")
    other = evaluate(example("verify"), "-o", "kept", "--mode", "critique", "--max-tokens", "4")
    assert other.returncode == 2
    assert "another judge" in other.stderr
    assert (
        evaluate(example("verify"), "-o", "kept", "--mode", "critique", "--max-tokens", "4", "--force").returncode == 0
    )


def test_without_a_folder_replies_are_kept_in_the_cache(evaluate: Eval) -> None:
    evaluate(example("verify"))
    done = evaluate(example("verify"))
    assert "All replies come" in done.stdout
    assert "loading" not in done.stderr
    assert "records a minute" in evaluate(example("verify"), "--again").stdout


def test_a_published_file_is_measured_through_its_importer(evaluate: Eval, home: Path) -> None:
    done = evaluate(f"judgebench={FIXTURES / 'judgebench.jsonl'}", f"llmbar={FIXTURES / 'llmbar.json'}", "-o", "kept")
    assert done.returncode == 0, done.stderr
    assert "how good on 2 sets" in done.stdout
    assert "both orders right" in done.stdout
    assert len((home / "kept" / "judgebench.records.jsonl").read_text().splitlines()) == 3


def test_kept_verdicts_of_a_suite_are_measured_by_its_protocols(evaluate: Eval, home: Path) -> None:
    data = home / "data"
    data.mkdir()
    shutil.copy(FIXTURES / "judgebench.jsonl", data / "dataset=judgebench,response_model=gpt-4o-2024-05-13.jsonl")
    first = evaluate("--suite", "fare", "--data", data, "-o", home / "kept", "--json")
    assert first.returncode == 0, first.stderr
    (kept,) = (path for path in (home / "kept").glob("JudgeBench.pairwise.*.jsonl") if "journal" not in path.name)
    again = evaluate("--suite", "fare", "--verdicts", kept, "--json")
    assert again.returncode == 0, again.stderr
    then, now = (json.loads(done.stdout)["tables"] for done in (first, again))
    assert now["reported"] == then["reported"]
    renamed = kept.rename(kept.with_name("mine.jsonl"))
    refused = evaluate("--suite", "fare", "--verdicts", renamed)
    assert refused.returncode == 2
    assert "mine is no set of the suite fare" in refused.stderr


def test_a_suite_says_what_is_there_and_what_is_missing(evaluate: Eval, home: Path) -> None:
    data = home / "data"
    data.mkdir()
    done = evaluate("--suite", "fare", "--data", data)
    assert done.returncode == 2
    assert done.stderr.count("missing: ") == 6
    assert "no file of the suite fare was found" in done.stderr

    shutil.copy(FIXTURES / "judgebench.jsonl", data / "dataset=judgebench,response_model=gpt-4o-2024-05-13.jsonl")
    shutil.copy(FIXTURES / "when2call.jsonl", data / "when2call_test_llm_judge.jsonl")
    done = evaluate("--suite", "fare", "--data", data, "--limit", "3", "--json")
    assert done.returncode == 0, done.stderr
    tables = json.loads(done.stdout)["tables"]
    assert [row["set"] for row in tables["suite"]["rows"]] == [
        "JudgeBench",
        "ReasoningJudgeBench",
        "RM-Bench",
        "When2Call",
        "ProcessBench",
        "VerifyBench-Hard",
    ]
    assert [row["files"] for row in tables["suite"]["rows"]] == [1, 0, 0, 1, 0, 0]
    assert "both orders give the same, right answer" in tables["suite"]["note"]
    reported = tables["reported"]["rows"]
    assert [(row["set"], row["FARE-8B"], row["FARE-20B"]) for row in reported] == [
        ("JudgeBench", 55.71, 64.29),
        ("When2Call", 80.33, 76.67),
    ]
    assert reported[0]["value"] == next(
        row["value"] for row in tables["JudgeBench-pairwise"]["rows"] if row["measure"] == "both orders right"
    )


def test_two_models_are_compared(evaluate: Eval, home: Path) -> None:
    other = write_qwen3(home / "other.gguf", seed=5)
    done = evaluate(example("verify"), "--against", other, "-o", "kept", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "other compared with tiny" in report["tables"]["compared"]["title"]
    kept = [option for path in sorted((home / "kept").glob("*.jsonl")) if "journal" not in path.name
            for option in ("--verdicts", path)]  # fmt: skip
    again = json.loads(evaluate(*kept, "--json").stdout)["tables"]["compared"]
    assert [row["value"] for row in again["rows"]][:2] == [
        row["value"] for row in report["tables"]["compared"]["rows"]
    ][:2]


def test_pairs_are_judged_three_ways(evaluate: Eval) -> None:
    done = evaluate("--cross", example("pairwise"), "--limit", "3", "-o", "kept", "--json")
    assert done.returncode == 0, done.stderr
    tables = json.loads(done.stdout)["tables"]
    assert [row["task"] for row in tables["sets"]["rows"]] == ["pairwise", "verify", "score"]
    between = tables["one-story"]["rows"]
    assert [row["protocols"] for row in between][:3] == [
        "pairwise and verify",
        "pairwise and score",
        "verify and score",
    ]
    assert all(row["agree"]["of"] == 3 for row in between)
    files = [f"kept/pairwise.{task}.tiny.jsonl" for task in ("score", "pairwise", "verify")]
    again = evaluate(*(option for file in files for option in ("--verdicts", file)), "--json")
    assert json.loads(again.stdout)["tables"]["one-story"] == tables["one-story"]


def test_too_many_invalid_records_exit_3_after_the_report(evaluate: Eval, home: Path) -> None:
    lines = [*pairs(4), {"id": "bad", "question": "", "answer_a": "x", "answer_b": "y"}]
    (home / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = evaluate("pairs.jsonl", "-o", "kept")
    assert done.returncode == 3
    assert "invalid: empty" in done.stdout
    assert "pairs.jsonl, line 5" in done.stderr
    assert evaluate("pairs.jsonl", "--max-invalid", "50%").returncode == 0
    kept = ("--verdicts", home / "kept" / "pairs.pairwise.tiny.jsonl")
    assert evaluate(*kept).returncode == 3
    assert evaluate(*kept, "--max-invalid", "50%").returncode == 0


def test_kept_verdicts_need_no_model(fare: Fare, tmp_path: Path) -> None:
    done = fare("eval", "--verdicts", GOLDEN, env={"FARE_HOME": str(tmp_path)})
    assert done.returncode == 3, "one of its twelve records is invalid"
    assert "accuracy, decided pairs" in done.stdout
    bare = tmp_path / "bare.jsonl"
    bare.write_text("".join(one.to_line(include_record=False) + "\n" for one in judged("pairwise", pairs(30))))
    done = fare("eval", "--verdicts", bare, env={"FARE_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "--no-record" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing says what to measure on"),
        (("a.jsonl", "--verdicts", "b.jsonl"), "INPUT and --verdicts cannot go together"),
        (("--suite", "fare"), "--suite goes with --data DIR, or with --verdicts"),
        (("--suite", "far", "--data", "."), "did you mean fare?"),
        (("--verdicts", "b.jsonl", "--against", "x"), "--against is about judging"),
        (("--verdicts", "b.jsonl", "--limit", "3"), "--limit is about judging"),
        (("--cross", "a.jsonl", "--task", "verify"), "--task is about files of records"),
        (("missing.jsonl",), "missing.jsonl does not exist"),
        (("-",), "can be read only once"),
        (("llmbr=x.json",), "did you mean llmbar"),
        (("a.jsonl", "--report", "report.txt"), "must end in .html or .json"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_looked_for(
    evaluate: Eval, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("FARE_MODEL", "nowhere.gguf")
    done = evaluate(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ('{"question": "q", "answer": "a"}\n', "no record has gold", "--map gold=FIELD"),
        ('{"question": "q", "response": "a"}\n', "cannot be told; the first has question, response", "--task"),
        (GOLDEN.read_text(), "cannot be told", "--verdicts file.jsonl"),
        ("\n", "holds no records", None),
        ("not json\n", "is not a JSON object", "--task"),
        ((FIXTURES / "llmbar.json").read_text(), "a JSON array", "llmbar="),
        ((FIXTURES / "judgebench.jsonl").read_text(), "cannot be told", "judgebench="),
    ],
)
def test_a_file_that_is_no_file_of_records_with_gold_is_refused_with_a_hint(
    evaluate: Eval, home: Path, content: str, message: str, hint: str | None
) -> None:
    (home / "file.jsonl").write_text(content)
    done = evaluate("file.jsonl")
    assert done.returncode == 2
    assert message in done.stderr
    assert hint is None or hint in done.stderr.split("hint: ")[1]


def test_the_same_model_is_not_compared_with_itself(evaluate: Eval, tiny_model: Path) -> None:
    done = evaluate(example("verify"), "--against", tiny_model)
    assert done.returncode == 2
    assert "that is the same judge" in done.stderr


def test_fields_can_be_mapped_and_the_task_said(evaluate: Eval, home: Path) -> None:
    rows = [{"q": "1+1?", "reply": "2", "label": "yes"}, {"q": "1+2?", "reply": "2", "label": "no"}]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mapped = ("--map", "question=q", "--map", "answer=reply", "--map", "gold=label")
    done = evaluate("rows.jsonl", *mapped)
    assert done.returncode == 0, done.stderr
    assert "whether an answer is right" in done.stdout
    refused = evaluate("rows.jsonl", "--task", "verify")
    assert refused.returncode == 3
