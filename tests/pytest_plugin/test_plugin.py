"""The pytest plugin: sessions of pytest of their own, with the small model as judge."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fare_cli as fare
from fare_cli.cli.judge import open_judge
from fare_cli.pytest_plugin.cases import Case, FareJudge
from fare_cli.pytest_plugin.words import objection
from fare_cli.run.manifest import read_manifest
from fare_cli.settings import Settings
from fare_cli.verdicts import Verdict, invalid_verdict
from tests.cli.conftest import environment

pytest_plugins = ["pytester"]

PAIR = {"question": "Name a colour.", "answer_a": "A chair.", "answer_b": "Blue, like the sky."}
ANSWER = {"question": "What is 2+2?", "answer": "It is 4."}
OTHER = {"A": "B", "B": "A", "yes": "no", "no": "yes"}

Run = Callable[..., pytest.RunResult]


@pytest.fixture(scope="module")
def said(smollm2_path: Path) -> dict[str, Verdict]:
    """What the judge of these sessions says, asked as a library."""
    settings = Settings(mode="direct", combine="mean", threads=1, model=str(smollm2_path))
    with open_judge(settings) as judge:
        (pair,), (answer,) = judge.pairwise([PAIR]), judge.verify([ANSWER])
    return {"pairwise": pair, "verify": answer}


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, smollm2_path: Path) -> Run:
    """Runs pytest on the source of a test module, in a process and a folder of their own."""
    variables = {"MODE": "direct", "COMBINE": "mean", "THREADS": "1", "MODEL": str(smollm2_path)}
    for name, value in variables.items():
        monkeypatch.setenv(f"FARE_{name}", value)
    for name, value in environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS="").items():
        monkeypatch.setenv(name, value)

    def call(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_bot=source)
        return pytester.runpytest_subprocess("-p", "fare_cli.pytest_plugin", *arguments)

    return call


def module(said: dict[str, Verdict]) -> str:
    """A test module with all outcomes that there are."""
    verdict = {task: one.verdict for task, one in said.items()}
    wrong = {task: OTHER[str(label)] for task, label in verdict.items()}
    return f"""
import pytest

PAIR, ANSWER = {PAIR!r}, {ANSWER!r}

def test_plain():
    pass

def test_pair(fare_judge):
    fare_judge.pairwise(PAIR, expect={verdict["pairwise"]!r})

def test_pair_refused(fare_judge):
    fare_judge.pairwise(**PAIR, expect={{{wrong["pairwise"]!r}, "tie"}})

@pytest.mark.parametrize("expect", [{verdict["verify"]!r}, {wrong["verify"]!r}])
def test_answer(fare_judge, expect):
    print("what the test printed")
    fare_judge.verify(ANSWER, expect=expect)

def test_two_cases(fare_judge):
    fare_judge.verify(ANSWER, expect={verdict["verify"]!r})
    fare_judge.verify(ANSWER, expect={wrong["verify"]!r}, id="second")

def test_no_record(fare_judge):
    fare_judge.verify(question="What is 2+2?", expect="no")

@pytest.mark.xfail(reason="known")
def test_known(fare_judge):
    fare_judge.verify(ANSWER, expect={wrong["verify"]!r})

@pytest.mark.xfail(strict=True)
def test_mended(fare_judge):
    fare_judge.verify(ANSWER, expect={verdict["verify"]!r})

def test_own_failure(fare_judge):
    fare_judge.verify(ANSWER, expect={verdict["verify"]!r})
    assert ANSWER == {{}}

def test_skipped(fare_judge):
    pytest.skip("not today")

@pytest.fixture
def breaking(fare_judge):
    yield
    raise OSError("no teardown")

def test_teardown(fare_judge, breaking):
    fare_judge.verify(ANSWER, expect={verdict["verify"]!r})
"""


OUTCOMES = {"passed": 4, "failed": 6, "skipped": 1, "xfailed": 1, "errors": 1}


def verdicts_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_cases_of_a_session_are_judged_together_and_tell_their_tests(
    run: Run, pytester: pytest.Pytester, said: dict[str, Verdict]
) -> None:
    done = run(module(said), "--fare-verdicts", "kept", "--junit-xml", "junit.xml", "-rA")
    done.assert_outcomes(**OUTCOMES)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    lines = done.stderr.lines + done.outlines
    # One run a task, after the last test.
    assert [line for line in lines if " judges " in line] == [
        "fare: smollm2 judges pairwise, cases: 2",
        "fare: smollm2 judges verify, cases: 8",
    ]
    text = done.stdout.str()
    assert re.search(r"fare: 10 cases judged by smollm2 in [\d.]+ s: 5 as expected, 1 invalid, 4 not as expected", text)
    assert "FAILED test_bot.py::test_no_record - no verdict: `answer` is missing" in text
    assert re.search(r"Captured stdout call -+\nwhat the test printed", text)
    # What failed by itself was not judged; all others are in the file, with the line of the test.
    kept = verdicts_in(pytester.path / "kept" / "verify.jsonl")
    assert [one["id"].removeprefix("test_bot.py::test_") for one in kept] == [
        f"answer[{said['verify'].verdict}]",
        f"answer[{OTHER[str(said['verify'].verdict)]}]",
        "two_cases",
        "second",
        "no_record",
        "known",
        "mended",
        "teardown",
    ]
    source = (pytester.path / "test_bot.py").read_text().splitlines()
    for one in kept:
        assert one["source"]["file"] == "test_bot.py"
        assert "fare_judge.verify(" in source[one["source"]["line"] - 1]
    assert [one["status"] for one in kept].count("invalid") == 1
    failures = {
        case.get("name"): found.get("message")
        for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
        if (found := case.find("failure")) is not None
    }
    assert set(failures) >= {"test_pair_refused", "test_two_cases", "test_no_record", "test_mended"}
    assert str(failures["test_pair_refused"]).startswith("expected ")


def test_fare_gate_and_fare_report_read_what_a_session_keeps(
    run: Run, pytester: pytest.Pytester, said: dict[str, Verdict]
) -> None:
    source = f"""
import pytest

@pytest.mark.parametrize("number", range(3))
def test_answer(fare_judge, number):
    fare_judge.verify(question=f"What is {{number}}+2?", answer=f"It is {{number + 2}}.")

def test_pair(fare_judge):
    fare_judge.pairwise({PAIR!r}, expect={said["pairwise"].verdict!r})
"""
    run(source, "--fare-verdicts", "kept")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fare_cli", *arguments], capture_output=True, text=True, check=False
        )

    gate = command("gate", "kept/verify.jsonl", "--min-right", "1%")
    assert gate.returncode == fare.ExitCode.OK, gate.stderr
    assert "3 records" in gate.stdout
    report = command("report", "kept/pairwise.jsonl", "-o", "page.html")
    assert report.returncode == 0, report.stderr
    # The same session again takes its replies from there, and a smaller one keeps what it judged.
    run(source, "--fare-verdicts", "kept", "-k", "answer and not 1")
    manifest = read_manifest(pytester.path / "kept" / "verify.jsonl")
    assert manifest is not None
    assert (manifest.counts["total"], manifest.asking["asked"], manifest.asking["reused"]) == (2, 0, 2)
    other = run(source, "--fare-verdicts", "kept", "--fare", "mode=critique", "-k", "pair")
    other.assert_outcomes(failed=1, deselected=3)
    other.stdout.fnmatch_lines(["not judged: output *pairwise.jsonl was written by another judge*"])
    other.stdout.fnmatch_lines(["hint: name another folder with --fare-verdicts, or remove *pairwise.jsonl[*]"])


def test_a_failure_shows_both_answers_verdict_and_probability(run: Run, said: dict[str, Verdict]) -> None:
    verdict = said["pairwise"]
    wrong = OTHER[str(verdict.verdict)]
    source = f"def test_pair(fare_judge):\n    fare_judge.pairwise({PAIR!r}, expect={wrong!r})\n"
    done = run(source)
    done.assert_outcomes(failed=1)
    probability = f"{verdict.confidence:.2f}"
    headline = f"expected {wrong}, the judge says {verdict.verdict} (probability {probability})"
    text = done.stdout.str()
    assert f"test_bot.py:2: {headline}" in text
    for words in (
        "question       Name a colour.",
        "answer A       A chair.",
        "answer B       Blue, like the sky.",
        f"{verdict.verdict} {probability}",
        "A first        ",
        "B first        ",
        f"judge          smollm2, direct, order both, combine mean; {verdict.judge}",
    ):
        assert words in text
    assert "fare_cli" not in text, "no traceback of our own"


def test_nothing_is_judged_where_no_test_has_run(run: Run, pytester: pytest.Pytester, said: dict[str, Verdict]) -> None:
    # A model that is not there would be noticed.
    for arguments in (["--collect-only"], ["-k", "plain"], ["--setup-plan"]):
        done = run(module(said), "--fare", "model=none", "--fare-verdicts", "kept", *arguments)
        assert done.ret == pytest.ExitCode.OK, done.stdout.str()
        assert not (pytester.path / "kept").exists()
        assert "fare:" not in done.stdout.str()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=none"], "no model is called none"),
        (["mode=quickly"], "--mode cannot be 'quickly'"),
        (["modle=x"], "there is no setting 'modle' here"),
        (["strict=true"], "there is no setting 'strict' here"),
        (["mode"], "--fare 'mode' is not NAME=VALUE"),
    ],
)
def test_a_judge_that_cannot_be_opened_fails_its_tests_before_they_work(
    run: Run, pytester: pytest.Pytester, arguments: list[str], words: str
) -> None:
    plain, bot = "def test_plain():\n    pass\n", "def test_bot(fare_judge):\n    Path('ran').touch()\n"
    source = f"from pathlib import Path\n\n{plain}\n{bot}"
    done = run(source, *(f"--fare={argument}" for argument in arguments))
    done.assert_outcomes(passed=1, errors=1)
    assert words in done.stdout.str()
    assert not (pytester.path / "ran").exists()


def test_under_xdist_one_process_judges_what_all_workers_gathered(
    run: Run, pytester: pytest.Pytester, said: dict[str, Verdict]
) -> None:
    done = run(module(said), "-p", "xdist", "-n", "2", "--fare-verdicts", "kept", "-v")
    done.assert_outcomes(**OUTCOMES)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    assert [line for line in done.stderr.lines + done.outlines if " judges " in line] == [
        "fare: smollm2 judges pairwise, cases: 2",
        "fare: smollm2 judges verify, cases: 8",
    ]
    assert re.search(r"\[gw[01]\].* PASSED test_bot.py::test_pair ", done.stdout.str())
    assert re.search(r"\[gw[01]\].* FAILED test_bot.py::test_pair_refused ", done.stdout.str())
    assert len(verdicts_in(pytester.path / "kept" / "verify.jsonl")) == 8


def test_a_worker_that_crashes_with_waiting_tests_fails_the_session(run: Run, said: dict[str, Verdict]) -> None:
    source = f"""
import os

def test_answer(fare_judge):
    fare_judge.verify({ANSWER!r}, expect={said["verify"].verdict!r})

def test_crash():
    os._exit(1)
"""
    lost = "gw0 crashed: tests that waited there for the judge are lost"
    done = run(source, "-p", "xdist", "-n", "1")
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    assert "passed" not in done.stdout.str()
    assert lost in done.stdout.str()
    # Sessions without the fixture have nothing to do with it.
    assert lost not in run("import os\n\ndef test_crash():\n    os._exit(1)\n", "-p", "xdist", "-n", "1").stdout.str()


def test_a_session_that_is_stopped_says_that_it_did_not_judge(run: Run, said: dict[str, Verdict]) -> None:
    source = f"""
def test_answer(fare_judge):
    fare_judge.verify({ANSWER!r}, expect={said["verify"].verdict!r})

def test_fails():
    assert 0

def test_never():
    pass
"""
    done = run(source, "-x")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["fare: 1 tests have run and were not judged, as the session was stopped"])


def test_what_pytest_does_not_see_coming_is_refused(run: Run) -> None:
    source = "def test_late(request):\n    request.getfixturevalue('fare_judge')\n"
    done = run(source)
    done.assert_outcomes(failed=1)
    assert "fare_judge must be an argument" in done.stdout.str()


def test_a_session_without_the_fixture_pays_nothing(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "import sys\n\ndef pytest_unconfigure():\n"
        "    print('loaded:', *sorted(name for name in sys.modules if name.split('.')[0] in "
        "{'fare_cli', 'pydantic', 'numpy', 'llama_cpp', 'typer', 'jinja2', 'huggingface_hub'}))\n"
    )
    done = run("def test_plain():\n    pass\n")
    done.assert_outcomes(passed=1)
    (loaded,) = [line for line in done.outlines if line.startswith("loaded:")]
    assert loaded.split()[1:] == [
        "fare_cli",
        "fare_cli.errors",
        "fare_cli.pytest_plugin",
    ]


def cases() -> FareJudge:
    return FareJudge("test_bot.py::test", Path("/"))


@pytest.mark.parametrize(
    ("gather", "words"),
    [
        (lambda judge: judge.pairwise(PAIR, expect="b"), "expect='b' is no verdict of pairwise"),
        (lambda judge: judge.pairwise(PAIR, expect=set()), "expect names no verdict"),
        (lambda judge: judge.verify(ANSWER, expect="right"), "expect='right' is no verdict of verify"),
        (lambda judge: judge.step(ANSWER, expect=-2), "expect=-2 is no index of a step"),
        (lambda judge: judge.step(ANSWER, expect=True), "expect=True is no index of a step"),
        (lambda judge: judge.verify(ANSWER, reference=b"4"), "a record must be JSON"),
        (lambda judge: judge.verify(ANSWER, extra=float("nan")), "a record must be JSON"),
    ],
)
def test_an_expectation_that_cannot_be_met_is_an_error_at_once(gather: Callable[[FareJudge], None], words: str) -> None:
    judge = cases()
    with pytest.raises(fare.UsageError, match=re.escape(words)):
        gather(judge)
    assert judge.gathered == []


def verdict(task: str, **values: Any) -> Verdict:
    return Verdict(id="x", task=task, status="ok", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gather", "found", "met"),
    [
        (lambda judge: judge.pairwise(PAIR, expect="A"), verdict("pairwise", verdict="A"), True),
        (lambda judge: judge.pairwise(PAIR, expect="A"), verdict("pairwise", verdict=None), False),
        (lambda judge: judge.pairwise(PAIR, expect={"A", "undecided"}), verdict("pairwise", verdict=None), True),
        (lambda judge: judge.pairwise(PAIR, expect=["tie"]), verdict("pairwise", verdict="tie"), True),
        (lambda judge: judge.verify(ANSWER), verdict("verify", verdict="no"), False),
        (lambda judge: judge.step(ANSWER), verdict("step", verdict="-1", step=-1), True),
        (lambda judge: judge.step(ANSWER, expect=1), verdict("step", verdict="0", step=0), False),
        (lambda judge: judge.score(ANSWER, at_least=3), verdict("score", verdict="3", expected_score=3.0), True),
        (lambda judge: judge.score(ANSWER, at_least=3), verdict("score", verdict="3", expected_score=2.99), False),
        # A server that tells no probabilities.
        (lambda judge: judge.score(ANSWER, at_least=3), verdict("score", verdict="3", score=3), True),
        (lambda judge: judge.score(ANSWER, at_least=3), verdict("score", verdict="2", score=2), False),
        # Several criteria: no verdict, but their mean.
        (lambda judge: judge.score(ANSWER, at_least=3), verdict("score", expected_score=3.5), True),
    ],
)
def test_what_is_expected_is_compared_with_what_the_judge_says(
    gather: Callable[[FareJudge], None], found: Verdict, met: bool
) -> None:
    judge = cases()
    gather(judge)
    (case,) = judge.gathered
    assert case.is_met(found) is met


def test_an_invalid_verdict_meets_no_expectation() -> None:
    judge = cases()
    judge.pairwise(PAIR, expect={"A", "B", "tie", "undecided"})
    judge.score(ANSWER, at_least=-100)
    error = fare.RecordError("too_long", "the prompt has 9,000 tokens")
    for case in judge.gathered:
        assert not case.is_met(invalid_verdict(case.task, error))


def test_a_failed_score_is_told_where_the_judge_tells_no_probabilities() -> None:
    case = Case("score", dict(ANSWER), (), 3.0, "test_bot.py", 7)
    plain = verdict("score", verdict="2", score=2)
    assert objection([(case, plain)], lambda _task: "judge", full=False)[1] == (
        "expected a score of at least 3, the judge says 2.00"
    )
    short = {"score": 2, "expected_score": None, "probabilities": None}
    text, _ = objection([(case, verdict("score", criteria={"short": short}))], lambda _task: "judge", full=False)
    assert re.search(r"^  short +2$", text, re.MULTILINE)


def test_long_and_hostile_texts_are_shown_cut_and_visible() -> None:
    case = Case("verify", {"question": "\x1b[2Jgone", "answer": "x" * 3000}, ("yes",), None, "test_bot.py", 7)
    failed = [(case, verdict("verify", verdict="no", probabilities={"yes": 0.25, "no": 0.75}, confidence=0.75))]
    text, short = objection(failed, lambda _task: "judge", full=False)
    assert short == "expected yes, the judge says no (probability 0.75)"
    assert r"\x1b[2Jgone" in text
    assert "x" * 1001 not in text
    assert "2,000 more characters: -vv shows them" in text
    whole, _ = objection(failed, lambda _task: "judge", full=True)
    assert "x" * 3000 in whole


def test_two_tests_may_ask_about_the_same_record(run: Run, said: dict[str, Verdict], tmp_path: Path) -> None:
    source = f"""
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_answer(fare_judge, number):
    fare_judge.verify({ANSWER!r}, id="sum", expect={said["verify"].verdict!r})
"""
    result = run(source, "--fare-verdicts", str(tmp_path / "kept"))
    result.assert_outcomes(passed=2)
    lines = (tmp_path / "kept" / "verify.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["sum", "sum#2"]
