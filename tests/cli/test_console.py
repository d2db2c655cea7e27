"""What a person reads: verdicts, progress and the summary."""

from __future__ import annotations

from collections import Counter

import pytest

from fare_cli.cli.console import duration, printable, progress_line, summary_lines, verdict_line
from fare_cli.run.progress import ProgressSnapshot
from fare_cli.run.summary import Asking, Counts, Summary
from fare_cli.verdicts import CriterionScore, Source, Verdict, VerdictError


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (
            Verdict(id="p", task="pairwise", status="ok", verdict="A", confidence=0.934, consistent=True),
            "p  A  93% sure  both orders agree",
        ),
        (Verdict(id="p", task="pairwise", status="ok", consistent=False), "p  undecided  the orders disagree"),
        (
            Verdict(id="s", task="step", status="ok", verdict="-1", confidence=0.5, gold=2, correct=False),
            "s  no wrong step  50% sure  gold 2: wrong",
        ),
        (
            Verdict(id="s", task="step", status="ok", verdict="3", gold=3, correct=True),
            "s  step 3 is wrong  gold 3: right",
        ),
        (Verdict(id="v", task="verify", status="ok", verdict="no", gold=0.5), "v  no  gold 0.5: not comparable"),
        (
            Verdict(id="x", task="score", status="ok", verdict="4", score=4, expected_score=3.756),
            "x  4  expected 3.76",
        ),
        (
            Verdict(
                id="x",
                task="score",
                status="ok",
                expected_score=3.0,
                criteria={
                    "clear\x1b": CriterionScore(score=4, expected_score=4.0, probabilities={}),
                    "short": CriterionScore(score=2, expected_score=2.0, probabilities={}),
                },
            ),
            "x  clear  4, short 2  expected 3.00",
        ),
        (
            Verdict(
                id="",
                task="score",
                status="invalid",
                source=Source(file="a.jsonl", line=7),
                error=VerdictError(kind="bad_json", message="not\nJSON"),
            ),
            "a.jsonl:7  invalid  bad_json: not JSON",
        ),
    ],
)
def test_a_verdict_is_one_readable_line(verdict: Verdict, line: str) -> None:
    assert verdict_line(verdict, colour=False) == line
    assert "\x1b[" in verdict_line(verdict, colour=True)


def test_nothing_from_a_file_steers_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\u202ed\u0085e é 漢") == "a [2Jb c d e é 漢"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (59.99, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.9, "1 h 00 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_progress_says_how_far_and_how_long() -> None:
    snapshot = ProgressSnapshot(
        done=30,
        total=120,
        elapsed_s=15.0,
        records_per_s=2.0,
        left_s=45.0,
        consistency=0.5,
        accuracy=None,
        invalid=2,
        under_way=8,
        reused=0,
    )
    assert progress_line(snapshot) == "judged 30/120, 120 a minute, 45.0 s left, orders agree 50%, 2 invalid"


def test_the_summary_gives_both_accuracies_and_leaves_out_what_says_nothing() -> None:
    counts = Counts(
        total=10,
        ok=8,
        invalid=2,
        consistent=6,
        inconsistent=2,
        scored=8,
        correct=5,
        inconsistent_scored=2,
        without_reference=8,
        prompt_tokens=12_345,
        invalid_kinds=Counter({"too_long": 2}),
    )
    summary = Summary(counts, Asking(asked=10, reused=6), seconds=61.0, judged_s=60.0)
    assert list(summary_lines(summary)) == [
        "records: 10, 8 ok, 2 invalid (too_long 2)",
        "consistency: both orders agree in 6 of 8 (75.0%)",
        "accuracy: 5 of 8 (62.5%) with gold, orders that disagree counting as wrong; 5 of 6 (83.3%) where they agree",
        "tokens: 12,345 of prompts, 0 generated; 10 asked of the model, 6 taken from the journal",
        "time: 1 min 01 s, 10 records a minute",
    ]
