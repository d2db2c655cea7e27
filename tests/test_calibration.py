"""What a calibration does to a verdict, and whose verdicts it refuses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fare_cli.calibration import Calibration, Isotonic, Scores, Temperature
from fare_cli.errors import ExitCode, InputError, UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.verdicts import Verdict
from tests.simulating import DIRECT, answers, judge, judged, pairs, scored, solutions, truth

NOT_MEASURED = Scores(ece=None, brier=0, log_loss=0)
SHARES = st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda values: sum(values) > 0)
LINES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8)


def made(mending: Temperature | Isotonic, options: JudgingOptions = DIRECT, task: str = "pairwise") -> Calibration:
    identity = judge(options).identity(task)
    return Calibration(
        task=task,  # type: ignore[arg-type]
        judge=identity.to_json(),
        mending=mending,
        records=100,
        clusters=100,
        folds=10,
        before=NOT_MEASURED,
        after=NOT_MEASURED,
    )


def calibrated(calibration: Calibration, records: list[dict[str, Any]], options: JudgingOptions, **more: Any) -> Any:
    mended = judge(options, **more)
    mended.calibration = calibration
    return list(mended.verdicts(calibration.task, records))


@settings(max_examples=100)
@given(SHARES, st.floats(0.05, 100))
def test_a_temperature_keeps_the_order_of_labels(values: list[float], temperature: float) -> None:
    shares = {str(at): one / sum(values) for at, one in enumerate(values)}
    mended = Temperature(temperature=temperature).mended(shares, "0")
    assert math.fsum(mended.values()) == pytest.approx(1)
    for one in shares:
        for other in shares:
            assert shares[one] < shares[other] or mended[one] >= mended[other] - 1e-12


def test_a_temperature_by_hand() -> None:
    mended = Temperature(temperature=2).mended({"A": 0.9, "B": 0.1}, "A")
    assert mended == {"A": pytest.approx(3 / 4), "B": pytest.approx(1 / 4)}
    assert Temperature(temperature=1).mended({"A": 0.9, "B": 0.1}, "A") == pytest.approx({"A": 0.9, "B": 0.1})


@settings(max_examples=100)
@given(SHARES, LINES)
@example([1.0, 1.8681218113586683e-15], [(0.0, 0.0)])
def test_a_line_gives_the_verdict_its_share_and_the_others_theirs(
    values: list[float], points: list[tuple[float, float]]
) -> None:
    said = sorted({one for one, _ in points})
    line = Isotonic(said=tuple(said), right=tuple(sorted(right for _, right in points)[: len(said)]))
    shares = {str(at): one / sum(values) for at, one in enumerate(values)}
    mended = line.mended(shares, "0")
    assert list(mended) == list(shares)
    assert math.fsum(mended.values()) == pytest.approx(1)
    assert line.right[0] <= mended["0"] <= line.right[-1]
    others = [label for label in shares if label != "0" and shares[label] > 1e-9]
    for one, other in pairwise(others):
        assert mended[one] * shares[other] == pytest.approx(mended[other] * shares[one])


def test_a_line_by_hand() -> None:
    line = Isotonic(said=(0.5, 0.9), right=(0.4, 0.8))
    assert line.mended({"A": 0.7, "B": 0.2, "tie": 0.1}, "A") == pytest.approx(
        {"A": 0.6, "B": 0.4 * 2 / 3, "tie": 0.4 / 3}
    )
    assert line.mended({"A": 0.2, "B": 0.8}, "A")["A"] == 0.4
    assert line.mended({"A": 1.0, "B": 0.0, "tie": 0.0}, "A") == pytest.approx({"A": 0.8, "B": 0.1, "tie": 0.1})
    assert line.mended({"3": 1.0}, "3") == {"3": 1.0}
    for said, right in (((0.5, 0.5), (0.1, 0.2)), ((0.5, 0.6), (0.2, 0.1)), ((0.5,), (0.1, 0.2)), ((0.5,), (1.5,))):
        with pytest.raises(ValueError):
            Isotonic(said=said, right=right)


@pytest.mark.parametrize(
    "options",
    [
        DIRECT,
        replace(DIRECT, tie=True),
        replace(DIRECT, combine="mean"),
        replace(DIRECT, order="ab"),
        JudgingOptions(votes=3, temperature=1.0),
    ],
    ids=lambda options: f"{options.combine}-{options.tie}-{options.order}-{options.votes}",
)
@pytest.mark.parametrize(
    "mending", [Temperature(temperature=3), Isotonic(said=(0.5, 1.0), right=(0.3, 0.6))], ids=["T", "line"]
)
def test_no_verdict_on_a_pair_changes_and_judgments_keep_what_was_said(
    options: JudgingOptions, mending: Temperature | Isotonic
) -> None:
    faults = {"accuracy": 0.7, "position_bias": 0.8, "noise": 0.5}
    calibration = made(mending, options)
    plain = judged("pairwise", pairs(60), options, **faults)
    found = calibrated(calibration, pairs(60), options, **faults)
    assert len({one.verdict for one in plain}) > 1
    for before, after in zip(plain, found, strict=True):
        same = ("id", "verdict", "consistent", "rule", "judgments", "gold", "correct", "record")
        assert all(getattr(before, name) == getattr(after, name) for name in same)
        assert after.judge != before.judge
        assert after.probabilities != before.probabilities
        assert (after.confidence is None) is (before.verdict is None)
        if after.verdict is not None:
            assert after.confidence == after.probabilities[after.verdict]
        assert Verdict.from_line(after.to_line()).probabilities == pytest.approx(after.probabilities, abs=1e-6)


@pytest.mark.parametrize(
    ("task", "records"),
    [("step", solutions(40)), ("verify", answers(40)), ("score", scored(40))],
    ids=["step", "verify", "score"],
)
def test_labels_of_other_tasks_stay_and_an_expected_score_follows(task: str, records: Any) -> None:
    plain = judged(task, records, accuracy=0.7)
    found = calibrated(made(Temperature(temperature=2), task=task), records, DIRECT, accuracy=0.7)
    for before, after in zip(plain, found, strict=True):
        assert (after.verdict, after.step, after.score) == (before.verdict, before.step, before.score)
        assert after.confidence < before.confidence
        if task == "score":
            expected = sum(int(label) * share for label, share in after.probabilities.items())
            assert after.expected_score == pytest.approx(expected)
            # Doubt draws it to the middle of the scale.
            assert abs(after.expected_score - 3) <= abs(before.expected_score - 3) + 1e-9


def test_a_record_with_several_criteria_and_an_invalid_one_are_left_as_they_are() -> None:
    records = [
        {"question": "q", "answer": "points: 3", "criteria": {"clear": "Is it?", "deep": "Is it?"}},
        {"question": "", "answer": "points: 3", "rubric": "r"},
    ]
    for before, after in zip(
        judged("score", records),
        calibrated(made(Temperature(temperature=2), task="score"), records, DIRECT),
        strict=True,
    ):
        assert after.model_copy(update={"judge": before.judge}) == before


def test_another_judge_or_task_is_refused_and_the_difference_named() -> None:
    calibration = made(Temperature(temperature=2), DIRECT)
    for options, said in (
        (JudgingOptions(), "mode direct, here critique"),
        (replace(DIRECT, combine="mean"), "combine agree, here mean"),
    ):
        other = judge(options)
        other.calibration = calibration
        with pytest.raises(UsageError, match=said) as refused:
            other.task("pairwise")
        assert refused.value.exit_code == ExitCode.USAGE
        with pytest.raises(UsageError, match=said):
            other.identity("pairwise")
    same = judge(DIRECT, right=truth)
    same.calibration = calibration
    with pytest.raises(UsageError, match="fitted on pairwise verdicts, and this is verify"):
        same.identity("verify")
    # What changes nothing here makes no other judge.
    seeded = judge(replace(DIRECT, seed=7))
    seeded.calibration = calibration
    plain = judge(DIRECT).identity("pairwise")
    assert seeded.identity("pairwise").calibration == calibration.fingerprint
    assert seeded.identity("pairwise").fingerprint != plain.fingerprint
    assert seeded.identity("pairwise").asking_fingerprint == plain.asking_fingerprint


def test_a_file_gives_the_same_calibration_back_and_anything_else_is_refused(tmp_path: Path) -> None:
    for mending in (Temperature(temperature=1.7), Isotonic(said=(0.5, 0.75), right=(0.4, 0.9))):
        calibration = made(mending)
        calibration.write(tmp_path / "c.json")
        assert Calibration.read(tmp_path / "c.json") == calibration
    values = json.loads((tmp_path / "c.json").read_text())
    for change, said in (
        ({"mending": {"method": "temperature", "temperature": 0}}, "temperature"),
        ({"fare_calibration": 2}, "fare_calibration"),
        ({"more": 1}, "more"),
    ):
        (tmp_path / "bad.json").write_text(json.dumps({**values, **change}))
        with pytest.raises(InputError, match=said):
            Calibration.read(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_bytes(b"\x00")
    for name in ("bad.json", "missing.json", "."):
        with pytest.raises(InputError, match="calibration"):
            Calibration.read(tmp_path / name)
