"""Limits on whole files: what a known judge is known to be comes out as pass, fail or undecided."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import ExitCode, InputError, InvalidRecordsError, UsageError
from fare_cli.gate.check import check_level
from fare_cli.gate.measures import parse_limit, read_confidence
from fare_cli.identity import JudgingOptions
from tests.gate.making import gated, judged_file, read, write_records
from tests.simulating import answers, judge, pairs, scored, solutions

PASS, FAIL, UNDECIDED = ExitCode.OK, ExitCode.GATE, ExitCode.UNDECIDED


@pytest.fixture
def known(tmp_path: Path) -> dict[str, Path]:
    """Files of each task. Of 80 pairs B is better in 3 of 4, half of the answers and solutions are right."""
    wins = [
        {**record, "answer_a": "WRONG", "answer_b": "RIGHT", "gold": "B"} if number % 4 == 1 else record
        for number, record in enumerate(pairs(80))
    ]
    records: dict[str, list[dict[str, Any]]] = {
        "pairwise": wins,
        "verify": answers(80),
        "step": solutions(80),
        "score": scored(80),
    }
    return {task: judged_file(tmp_path / f"{task}.jsonl", task, some) for task, some in records.items()}


@pytest.mark.parametrize(
    ("task", "limit", "expected"),
    [
        ("pairwise", "min-win-rate=60%", PASS),
        ("pairwise", "min-win-rate=0.9", FAIL),
        ("pairwise", "min-win-rate=75%", UNDECIDED),
        ("pairwise", "min-accuracy=90%", PASS),
        ("verify", "min-right=30%", PASS),
        ("verify", "min-right=70%", FAIL),
        ("verify", "min-right=50%", UNDECIDED),
        ("step", "max-wrong-steps=70%", PASS),
        ("step", "max-wrong-steps=30%", FAIL),
        ("step", "max-wrong-steps=50%", UNDECIDED),
        ("score", "min-score=2.5", PASS),
        ("score", "min-score=3.5", FAIL),
        ("score", "min-score=3", UNDECIDED),
    ],
)
def test_known_shares_are_ruled_on_by_their_interval(
    known: dict[str, Path], task: str, limit: str, expected: ExitCode
) -> None:
    result = gated(known[task], limit)
    assert result.outcome is expected
    assert result.checks[0].decided in result.title


def test_all_limits_have_to_be_kept(known: dict[str, Path]) -> None:
    assert gated(known["verify"], "min-right=30%", "min-accuracy=90%").outcome is PASS
    assert gated(known["verify"], "min-right=50%", "min-accuracy=90%").outcome is UNDECIDED
    assert gated(known["verify"], "min-right=50%", "min-right=70%").outcome is FAIL


def test_undecided_can_be_taken_as_either_but_nothing_else_can(known: dict[str, Path]) -> None:
    assert gated(known["verify"], "min-right=50%", undecided="pass").outcome is PASS
    assert gated(known["verify"], "min-right=50%", undecided="fail").outcome is FAIL
    assert "undecided, and taken so" in gated(known["verify"], "min-right=50%", undecided="fail").title
    assert gated(known["verify"], "min-right=70%", undecided="pass").outcome is FAIL
    assert gated(known["verify"], "min-right=30%", undecided="fail").outcome is PASS


def test_more_confidence_decides_less(known: dict[str, Path]) -> None:
    assert gated(known["verify"], "min-right=39%", confidence=0.8).outcome is PASS
    assert gated(known["verify"], "min-right=39%", confidence=0.99).outcome is UNDECIDED


def test_undecided_pairs_count_half(tmp_path: Path) -> None:
    """A judge that always takes the first shown has no verdict on any pair: nobody wins."""
    path = judged_file(tmp_path / "biased.jsonl", "pairwise", pairs(60), by=judge(position_bias=20.0))
    (check,) = gated(path, "min-win-rate=50%").checks
    assert check.figure is not None
    assert check.figure.value == 0.5
    assert check.outcome is UNDECIDED
    assert gated(path, "min-win-rate=30%").outcome is PASS


def test_answers_to_one_question_are_no_independent_ones(tmp_path: Path) -> None:
    several = judged_file(tmp_path / "several.jsonl", "verify", answers(20, each=6))
    single = judged_file(tmp_path / "single.jsonl", "verify", answers(120))
    assert gated(several, "min-right=35%").outcome is UNDECIDED
    assert gated(single, "min-right=35%").outcome is PASS


def test_at_the_limit_a_wrong_decision_is_as_rare_as_promised(tmp_path: Path) -> None:
    """150 files of 60 pairs between two equally good systems, held to a win rate of 50% at 90%."""
    draw = random.Random(2)
    run = read(judged_file(tmp_path / "pairs.jsonl", "pairwise", pairs(2)))
    by_label = {case.verdict: case for case in run.cases}
    limit = parse_limit("min-win-rate", "50%")
    decided = 0
    for _ in range(150):
        cases = [replace(by_label[draw.choice("AB")], cluster=f"q{number}") for number in range(60)]
        decided += check_level(limit, cases, confidence=0.9).outcome is not UNDECIDED
    # 10% are 15; 25 or more would come with a chance of 1 in 100.
    assert 2 <= decided <= 25


@pytest.mark.parametrize(
    ("task", "limit", "message"),
    [
        ("verify", "min-win-rate=50%", "is about pairwise, and these are verdicts of verify"),
        ("score", "min-score=6", "scores are from 1 to 5 here"),
        ("score", "min-score=nan", "scores are from 1 to 5 here"),
    ],
)
def test_a_limit_that_does_not_fit_is_refused(known: dict[str, Path], task: str, limit: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gated(known[task], limit)


@pytest.mark.parametrize(
    ("option", "value"),
    [("min-right", "2"), ("min-right", "0"), ("min-right", "x%"), ("min-score", "high"), ("max", "1")],
)
def test_what_is_no_limit_is_refused(option: str, value: str) -> None:
    with pytest.raises(UsageError):
        parse_limit(option, value)


def test_a_confidence_is_more_than_a_coins() -> None:
    assert read_confidence(None) == 0.95
    assert read_confidence("99%") == 0.99
    for text in ("40%", "100%", "sure"):
        with pytest.raises(UsageError):
            read_confidence(text)


def test_without_gold_there_is_no_accuracy(tmp_path: Path) -> None:
    records = [{name: value for name, value in record.items() if name != "gold"} for record in answers(20)]
    path = judged_file(tmp_path / "no_gold.jsonl", "verify", records)
    with pytest.raises(InvalidRecordsError, match="no record has gold"):
        gated(path, "min-accuracy=50%")


def test_scores_on_several_scales_have_no_mean(tmp_path: Path) -> None:
    records = [{**record, "scale": [1, 10]} if number % 2 else record for number, record in enumerate(scored(20))]
    path = judged_file(tmp_path / "scales.jsonl", "score", records)
    with pytest.raises(InputError, match=r"several scales \(1 to 5 and 1 to 10\)"):
        gated(path, "min-score=3")


def test_one_score_throughout_is_no_certainty(tmp_path: Path) -> None:
    same = [record for record in scored(100) if record["gold"] == 4]
    path = judged_file(tmp_path / "same.jsonl", "score", same, by=judge(calibration=1.0))
    assert gated(path, "min-score=3.9").outcome is UNDECIDED
    assert gated(path, "min-score=3").outcome is PASS


def test_a_file_that_is_not_whole_is_never_a_pass(tmp_path: Path) -> None:
    path = judged_file(tmp_path / "limited.jsonl", "verify", answers(40), limit=30)
    with pytest.raises(InvalidRecordsError, match="ended by --limit"):
        read(path)
    assert len(read(path, records=30).cases) == 30
    with pytest.raises(InvalidRecordsError, match="30 verdicts, and --records says 40"):
        read(path, records=40)


def test_a_file_that_was_changed_or_cut_is_never_a_pass(tmp_path: Path) -> None:
    path = judged_file(tmp_path / "whole.jsonl", "verify", answers(40))
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:-1]))
    with pytest.raises(InvalidRecordsError, match="not what its run wrote"):
        read(path)
    with pytest.raises(InvalidRecordsError, match="not what its run wrote"):
        read(path, records=39)
    path.with_name("whole.jsonl.manifest.json").unlink()
    with pytest.raises(InvalidRecordsError, match="has no manifest"):
        read(path)
    assert len(read(path, records=39).cases) == 39


def test_too_many_invalid_records_are_never_a_pass(tmp_path: Path) -> None:
    records = [*answers(40), {"question": "no answer"}, {"question": "none either"}]
    path = judged_file(tmp_path / "some.jsonl", "verify", records)
    with pytest.raises(InvalidRecordsError, match="2 of 42 records are invalid"):
        read(path)
    assert len(read(path, max_invalid=0.05).invalid) == 2


def test_verdicts_of_two_judges_are_no_run(tmp_path: Path) -> None:
    one = judged_file(tmp_path / "one.jsonl", "pairwise", pairs(10))
    other = judged_file(
        tmp_path / "other.jsonl", "pairwise", pairs(10), by=judge(JudgingOptions(mode="direct", combine="mean"))
    )
    both = tmp_path / "both.jsonl"
    both.write_text(one.read_text() + other.read_text())
    with pytest.raises(InputError, match="verdicts of 2 judges"):
        read(both, records=20)


def test_without_their_records_every_verdict_stands_alone_and_that_is_said(tmp_path: Path) -> None:
    path = judged_file(tmp_path / "bare.jsonl", "verify", answers(20, each=6), include_record=False)
    result = gated(path, "min-right=35%")
    assert result.outcome is PASS
    assert "without their records" in result.warnings[0]


def test_records_of_a_question_need_not_stand_together(tmp_path: Path) -> None:
    mixed = answers(30, each=3)
    random.Random(1).shuffle(mixed)
    one = gated(judged_file(tmp_path / "mixed.jsonl", "verify", mixed), "min-right=35%")
    other = gated(judged_file(tmp_path / "sorted.jsonl", "verify", answers(30, each=3)), "min-right=35%")
    assert one.checks == other.checks


def test_a_verdict_that_fare_does_not_write_is_named(tmp_path: Path) -> None:
    path = judged_file(tmp_path / "scored.jsonl", "score", scored(10))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3]["expected_score"] = 17.0
    write_records(tmp_path / "changed.jsonl", rows)
    with pytest.raises(InputError, match=r"line 4: `expected_score`: 17.0 is not on the scale \[1, 5\]"):
        read(tmp_path / "changed.jsonl", records=10)
