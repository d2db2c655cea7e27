"""`fare audit` as a shell sees it, on a model with random weights."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Fare
from tests.run.making import pair

Audit = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def audit(fare: Fare, tiny_model: Path, tmp_path: Path) -> Audit:
    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        env = {
            "FARE_HOME": str(tmp_path / "home"), "FARE_THREADS": "1", "FARE_CTX": "2048", "FARE_MODE": "direct",
            "FARE_MODEL": str(tiny_model),
        }  # fmt: skip
        return fare("audit", *arguments, env=env)

    return call


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair(number)) + "\n" for number in range(6)), encoding="utf-8")
    return path


def test_an_audit_prints_tables_and_writes_its_report(audit: Audit, pairs: Path, tmp_path: Path) -> None:
    done = audit(pairs, "--only", "injection", "--only", "order", "--report", tmp_path / "audit.html")
    assert done.returncode == 0, done.stderr
    assert "tiny: how it can be fooled" in done.stdout
    assert "task: pairwise" in done.stdout
    assert "nothing is sampled" in done.stdout
    for name in ("order_swap", "fake_verdict", "restated_instruction"):
        assert f"  {name} " in done.stdout
    assert "padding" not in done.stdout
    assert "<svg" in (tmp_path / "audit.html").read_text(encoding="utf-8")
    again = audit(pairs, "--only", "injection", "--only", "order", "--json")
    assert json.loads(again.stdout)["facts"]["records"] == 6
    assert json.loads(again.stdout)["tables"]["classes"]["rows"][0]["flipped"]["of"] == 6


def test_a_limit_decides_the_exit_code(audit: Audit, pairs: Path) -> None:
    only = (pairs, "--only", "self_praise", "--only", "negated_sentence")
    kept = audit(*only, "--fail-on", "self_praise=99%")
    assert kept.returncode == 0, kept.stderr
    assert "self_praise=99% is kept: " in kept.stderr
    undecided = audit(*only, "--fail-on", "self_praise=1%", "--json")
    assert undecided.returncode == 4, undecided.stderr
    assert json.loads(undecided.stdout)["tables"]["limits"]["rows"][0]["outcome"] == "undecided"


def test_a_weakness_that_is_too_large_is_a_broken_limit(audit: Audit, tmp_path: Path) -> None:
    """Asked in one order, a random model holds on to one place, whatever stands there."""
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair(number)) + "\n" for number in range(20)), encoding="utf-8")
    done = audit(path, "--only", "order", "--order", "ab", "--fail-on", "order_swap=1%")
    assert done.returncode == 1, done.stderr + done.stdout
    assert "order_swap=1% is broken" in done.stderr


def test_the_task_is_told_by_the_fields(audit: Audit, tmp_path: Path) -> None:
    record = {"question": "How much is 6 * 7?", "answer": "It is 42.", "gold": "yes"}
    for fields, task in (({}, "verify"), ({"rubric": "Is it right?", "gold": 5}, "score")):
        path = tmp_path / f"{task}.jsonl"
        path.write_text(json.dumps(record | fields) + "\n", encoding="utf-8")
        shown = audit(path, "--show", "changed_number")
        assert shown.returncode == 0, shown.stderr
        before, after = map(json.loads, shown.stdout.splitlines())
        assert ("rubric" in before) == (task == "score")
        assert before["answer"] == "It is 42."
        assert after["answer"] != before["answer"]
    path.write_text('{"frage": "Was?"}\n')
    unknown = audit(path, "--show", "padding")
    assert unknown.returncode == 2
    assert "--task" in unknown.stderr
    mapped = audit(path, "--map", "question=frage", "--map", "answer=frage", "--show", "padding")
    assert mapped.returncode == 0, mapped.stderr
    pair = audit(
        path, "--map", "question=frage", "--map", "answer_a=frage", "--map", "answer_b=frage", "--show", "padding"
    )
    assert pair.returncode == 0, pair.stderr
    assert set(json.loads(pair.stdout.splitlines()[0])) == {"id", "question", "answer_a", "answer_b"}


def test_a_limit_that_nothing_can_be_measured_on_does_not_cost_the_report(audit: Audit, pairs: Path) -> None:
    done = audit(pairs, "--only", "order", "--only", "broken_code", "--fail-on", "broken_code=90%")
    assert done.returncode == 3
    assert "  order_swap " in done.stdout
    assert "no record could be tried with broken_code" in done.stderr


def test_everything_is_listed_without_a_model(fare: Fare) -> None:
    done = fare("audit", "--list")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == ["name", "class", "effect", "placement", "tasks"]
    rows = json.loads(fare("audit", "--list", "--json").stdout)
    assert len(rows) == len(done.stdout.splitlines()) - 1 == 30
    assert all(row["description"] for row in rows)


def test_only_the_first_records_are_taken_and_it_is_said(audit: Audit, pairs: Path) -> None:
    done = audit(pairs, "--only", "order", "--limit", "2")
    assert done.returncode == 0, done.stderr
    assert "only the first 2 records were tried" in done.stderr
    assert "records: 2" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "the records are missing"),
        (("pairs.jsonl", "--only", "injecton"), 2, "did you mean injection?"),
        (("pairs.jsonl", "--show", "injection"), 2, "--show injection"),
        (("pairs.jsonl", "--show", "reversed_scale"), 2, "is for score, and these records are pairwise"),
        (("pairs.jsonl", "--show", "translation"), 3, "none of the records"),
        (("pairs.jsonl", "--fail-on", "injection>5%"), 2, "--fail-on 'injection>5%'"),
        (("pairs.jsonl", "--only", "form", "--fail-on", "injection=5%"), 2, "--only leaves injection out"),
        (("pairs.jsonl", "--limit", "0"), 2, "--limit 0"),
        (("missing.jsonl",), 2, "missing.jsonl"),
        (("pairs.jsonl", "--report", "audit.pdf"), 2, ".html or .json"),
        (("pairs.jsonl", "--task", "score"), 3, "could be judged"),
    ],
)
def test_what_cannot_be_is_an_error_with_a_code(
    audit: Audit, pairs: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = audit(*arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_malformed_translation_is_named_with_file_and_line(audit: Audit, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    good = json.dumps(pair(0))
    path.write_text(good + "\n" + json.dumps(pair(1) | {"translations": {"de": "Wie?"}}) + "\n", encoding="utf-8")
    done = audit(path, "--only", "translation")
    assert done.returncode == 3
    assert "bad.jsonl, line 2: `translations.de`" in done.stderr
