"""Against a baseline only changes count, paired, and no more than the judge's own noise explains."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import ExitCode, InputError, InvalidRecordsError, UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.meta.bootstrap import Estimate
from tests.gate.making import Record, gated, judged_file
from tests.simulating import judge, scored, solutions

PASS, FAIL, UNDECIDED = ExitCode.OK, ExitCode.GATE, ExitCode.UNDECIDED


def answered(count: int, right: Any, version: str = "") -> list[Record]:
    """Answers of which those are right that `right` says; another version has other words, not another worth."""
    return [
        {
            "id": f"v{number}",
            "question": f"question {number}",
            "answer": f"{'RIGHT' if right(number) else 'WRONG'} {version}",
        }
        for number in range(count)
    ]


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """Three of four answers are right."""
    return judged_file(tmp_path / "main.jsonl", "verify", answered(100, lambda number: number % 4))


def change(tmp_path: Path, records: list[Record], **judge_settings: Any) -> Path:
    return judged_file(tmp_path / "change.jsonl", "verify", records, by=judge(**judge_settings))


def test_nothing_changed_is_a_pass(main: Path, tmp_path: Path) -> None:
    same = change(tmp_path, answered(100, lambda number: number % 4))
    result = gated(same, baseline=main)
    assert result.outcome is PASS
    assert (result.checks[0].shown, result.checks[0].figure) == ("no verdict changed", None)
    assert not result.changed
    reworded = change(tmp_path, answered(100, lambda number: number % 4, "again"))
    assert gated(reworded, baseline=main).outcome is PASS


def test_a_change_for_the_worse_fails_and_names_the_records(main: Path, tmp_path: Path) -> None:
    worse = change(tmp_path, answered(100, lambda number: number % 4 and number > 40))
    result = gated(worse, baseline=main)
    assert result.outcome is FAIL
    assert [one.after.id for one in result.changed] == [f"v{number}" for number in range(41) if number % 4]
    assert {(one.before_said, one.after_said) for one in result.changed} == {("yes", "no")}
    (check,) = result.checks
    assert check.figure is not None
    assert check.figure.value == pytest.approx(-0.30)
    assert "30 worse and 0 better of 100 records" in check.records
    assert result.blamed[0].case.source is not None
    # A limit far below still fails: it is about what changed.
    assert gated(worse, "min-right=10%", baseline=main).outcome is FAIL


def test_a_change_for_the_better_passes(main: Path, tmp_path: Path) -> None:
    result = gated(change(tmp_path, answered(100, lambda number: True)), baseline=main)
    assert result.outcome is PASS
    assert [one.better for one in result.changed] == [1.0] * 25


def test_a_few_changes_are_undecided_and_a_margin_decides(main: Path, tmp_path: Path) -> None:
    """One record got worse, one better."""
    moved = change(tmp_path, answered(100, lambda number: (number % 4 and number != 1) or number == 4))
    assert gated(moved, baseline=main).outcome is UNDECIDED
    assert gated(moved, baseline=main, max_drop="10%").outcome is PASS
    assert gated(moved, baseline=main, undecided="pass").outcome is PASS


def test_a_limit_that_the_baseline_breaks_too_is_not_held_against_the_change(main: Path, tmp_path: Path) -> None:
    same = change(tmp_path, answered(100, lambda number: number % 4, "again"))
    assert gated(same, "min-right=95%").outcome is FAIL
    result = gated(same, "min-right=95%", baseline=main)
    assert result.outcome is PASS
    assert "fail on the baseline, too" in result.checks[1].words


def test_fewer_wrong_steps_are_better(tmp_path: Path) -> None:
    records = solutions(80)
    before = judged_file(tmp_path / "before.jsonl", "step", records)
    mended = [
        {**record, "steps": [step.replace("WRONG", "fine") for step in record["steps"]], "gold": record["gold"]}
        for record in records
    ]
    after = judged_file(tmp_path / "after.jsonl", "step", mended)
    result = gated(after, baseline=before)
    assert result.outcome is PASS
    figure = result.checks[0].figure
    assert figure is not None
    assert figure.value == pytest.approx(-0.5)
    assert gated(before, baseline=after).outcome is FAIL


def test_scores_are_compared_in_points(tmp_path: Path) -> None:
    records = scored(100)
    before = judged_file(tmp_path / "before.jsonl", "score", records)
    lower = [{**record, "answer": f"points: {max(record['gold'] - 1, 1)}"} for record in records]
    after = judged_file(tmp_path / "after.jsonl", "score", lower)
    result = gated(after, baseline=before)
    assert result.outcome is FAIL
    figure = result.checks[0].figure
    assert isinstance(figure, Estimate)
    assert -0.8 < figure.value < -0.2
    assert gated(after, baseline=before, max_drop="1.5").outcome is PASS


def noisy_runs(tmp_path: Path, number: int, noise: float, count: int = 80) -> tuple[Path, Path]:
    """The same answers in other words, judged twice by a judge that is not sure of anything."""
    draw = random.Random(number)
    rights = [draw.random() < 0.5 for _ in range(count)]
    by = {"noise": noise, "accuracy": 0.8, "seed": number}
    before = judged_file(tmp_path / "b.jsonl", "verify", answered(count, rights.__getitem__), by=judge(**by))
    after = judged_file(tmp_path / "a.jsonl", "verify", answered(count, rights.__getitem__, "again"), by=judge(**by))
    return before, after


def test_a_noisy_judge_does_not_fail_changes_that_change_nothing(tmp_path: Path) -> None:
    """25 changes that only reword: a fifth of the verdicts flips, as often for the better."""
    failed = 0
    for number in range(25):
        before, after = noisy_runs(tmp_path, number, noise=2.5)
        failed += gated(after, baseline=before, noise="20%").outcome is FAIL
    assert failed <= 1


def test_records_that_did_not_change_tell_the_noise_and_do_not_count(main: Path, tmp_path: Path) -> None:
    """30 answers are new ones, and ten verdicts on old ones came out otherwise."""
    records = answered(100, lambda number: number % 4 and number >= 30)
    after = change(tmp_path, records)
    rows = [json.loads(line) for line in after.read_text().splitlines()]
    for row in rows[90:]:
        flipped = "no" if row["verdict"] == "yes" else "yes"
        row.update(verdict=flipped, probabilities={"yes": 0.5, "no": 0.5}, confidence=0.5)
    doctored = tmp_path / "doctored.jsonl"
    doctored.write_text("".join(json.dumps(row) + "\n" for row in rows))
    from fare_cli.gate.gate import GatePlan, gate
    from tests.gate.making import read

    result = gate(read(doctored, records=100), GatePlan((), baseline=read(main)))
    plain = gated(after, baseline=main)
    assert any("10 verdicts are other ones on records that did not change" in text for text in result.warnings)
    assert {one.after.id for one in result.changed} == {one.after.id for one in plain.changed}
    widths = []
    for found in (plain, result):
        figure = found.checks[0].figure
        assert figure is not None
        assert figure.interval is not None
        assert figure.value == pytest.approx(-0.22)
        widths.append(figure.interval.high - figure.interval.low)
    assert widths[1] > 1.05 * widths[0]


def test_noise_comes_from_a_share_an_audit_or_a_second_run(main: Path, tmp_path: Path) -> None:
    worse = change(tmp_path, answered(100, lambda number: number % 4 and number > 12, "again"))
    fingerprint = json.loads(main.read_text().splitlines()[0])["judge"]
    audit = tmp_path / "audit.json"
    row = {"class": "paraphrase", "flipped": {"share": 0.3, "cases": 30, "of": 100, "interval": [0.2, 0.4]}}
    report: dict[str, Any] = {"facts": {"fingerprint": fingerprint}, "tables": {"classes": {"rows": [row]}}}
    audit.write_text(json.dumps(report))
    assert gated(worse, baseline=main).outcome is FAIL
    assert any("--noise" in text for text in gated(worse, baseline=main).warnings)
    by_share = gated(worse, baseline=main, noise="30%")
    by_audit = gated(worse, baseline=main, noise=str(audit))
    assert by_share.checks == by_audit.checks
    assert by_share.outcome is UNDECIDED
    again = judged_file(tmp_path / "again.jsonl", "verify", answered(100, lambda number: number % 4))
    assert gated(worse, baseline=main, noise=str(again)).outcome is FAIL
    report["facts"]["fingerprint"] = "another"
    audit.write_text(json.dumps(report))
    with pytest.raises(InputError, match="of another judge"):
        gated(worse, baseline=main, noise=str(audit))
    audit.write_text("{}")
    with pytest.raises(InputError, match="no report of fare audit"):
        gated(worse, baseline=main, noise=str(audit))
    with pytest.raises(UsageError, match="--noise"):
        gated(worse, baseline=main, noise="nowhere.json")


def test_a_second_run_with_another_seed_measures_the_noise(tmp_path: Path) -> None:
    records = answered(120, lambda number: number % 4)
    voting = {"mode": "critique", "temperature": 0.7}
    files = [
        judged_file(
            tmp_path / f"{name}.jsonl",
            "verify",
            answered(120, lambda number: number % 4 and number > 16, "again") if name == "after" else records,
            by=judge(JudgingOptions(**voting, seed=seed), noise=2.0),  # type: ignore[arg-type]
        )
        for name, seed in (("before", 0), ("after", 0), ("repeat", 1))
    ]
    before, after, repeat = files
    quiet, noisy = gated(after, baseline=before), gated(after, baseline=before, noise=str(repeat))
    widths = []
    for found in (quiet, noisy):
        figure = found.checks[0].figure
        assert figure is not None
        assert figure.interval is not None
        widths.append(figure.interval.high - figure.interval.low)
    assert widths[1] > 1.1 * widths[0]
    other = judged_file(
        tmp_path / "other.jsonl", "verify", records, by=judge(JudgingOptions(mode="critique", max_tokens=7))
    )
    with pytest.raises(InputError, match="of another judge"):
        gated(after, baseline=before, noise=str(other))


def test_a_baseline_of_another_judge_is_refused(main: Path, tmp_path: Path) -> None:
    records = answered(100, lambda number: number % 4)
    other = judged_file(tmp_path / "other.jsonl", "verify", records, by=judge(JudgingOptions(mode="critique")))
    with pytest.raises(InputError, match="made by another judge"):
        gated(other, baseline=main)
    with pytest.raises(InputError, match=r"is of verify, and .* is of score"):
        gated(judged_file(tmp_path / "score.jsonl", "score", scored(10)), baseline=main)


def test_records_that_are_dropped_do_not_make_a_change_pass(main: Path, tmp_path: Path) -> None:
    right_only = [record for record in answered(100, lambda number: number % 4) if "RIGHT" in record["answer"]]
    with pytest.raises(InvalidRecordsError, match="25 of 100 records of the baseline cannot be compared"):
        gated(change(tmp_path, right_only), baseline=main)
    result = gated(change(tmp_path, right_only), baseline=main, max_invalid=0.3)
    assert any("v0: it is missing" in text for text in result.warnings)


def test_another_question_or_gold_under_an_id_is_not_compared(tmp_path: Path) -> None:
    def with_gold(gold: str, question: str = "question") -> list[Record]:
        return [
            {**record, "gold": gold, "question": f"{question} {number}"}
            for number, record in enumerate(answered(50, lambda number: True))
        ]

    before = judged_file(tmp_path / "before.jsonl", "verify", with_gold("yes"))
    for records, reason in (
        (with_gold("no"), "its gold label is another one"),
        (with_gold("yes", "another"), "its question is another one"),
    ):
        after = judged_file(tmp_path / "after.jsonl", "verify", records)
        with pytest.raises(InvalidRecordsError) as refused:
            gated(after, baseline=before)
        assert reason in str(refused.value.hint)


def test_without_common_ids_nothing_is_compared_and_the_hint_says_why(main: Path, tmp_path: Path) -> None:
    nameless = [
        {name: value for name, value in record.items() if name != "id"} for record in answered(100, lambda number: True)
    ]
    with pytest.raises(InputError, match="no record in common") as refused:
        gated(change(tmp_path, nameless), baseline=main)
    assert "`id`" in str(refused.value.hint)
