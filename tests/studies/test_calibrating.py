"""Judges whose calibration is set: what is wrong with it is recovered, and mended on records not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from fare_cli.calibration import Isotonic, Temperature
from fare_cli.errors import InputError
from fare_cli.meta.calibration import calibration
from fare_cli.report.model import Report
from fare_cli.report.page import page
from fare_cli.report.text import text_lines
from fare_cli.run.reader import InputPlan
from fare_cli.studies.evaluating.calibrating import Fitted, fit_calibration
from fare_cli.studies.evaluating.headline import HEADLINES
from fare_cli.studies.evaluating.running import judge_source
from fare_cli.studies.evaluating.sources import Source
from fare_cli.studies.evaluating.verdict_set import Protocol, VerdictSet
from tests.simulating import DIRECT, answers, judge, judged, pairs, question_of, scored, solutions

RECORDS = {"pairwise": pairs, "step": solutions, "verify": answers, "score": scored}


def verdicts(task: str, records: Sequence[dict[str, Any]], options: Any = DIRECT, **faults: Any) -> VerdictSet:
    """As `fare eval` judges them, so that the judge's identity is known."""
    source = Source("records", InputPlan(task, (), records=tuple(records)), Protocol(HEADLINES[task]))
    return judge_source(judge(options, **faults), source)


def row(found: Fitted, name: str) -> Any:
    table = next(part for part in found.parts if part.name == "calibrated")
    return next(cells for cells in table.rows if cells[0] == name)  # type: ignore[union-attr]


@pytest.mark.parametrize("task", ["pairwise", "step", "verify", "score"])
@pytest.mark.parametrize("factor", [0.5, 2.5])
def test_the_temperature_of_a_simulated_judge_is_recovered_and_mends_it(task: str, factor: float) -> None:
    faults = {"accuracy": 0.75, "calibration": factor}
    found = fit_calibration([verdicts(task, RECORDS[task](800), **faults, seed=1)], "temperature")
    mending = found.calibration.mending
    assert isinstance(mending, Temperature)
    assert mending.temperature == pytest.approx(factor, rel=0.25)
    assert not found.warnings
    gain = row(found, "log loss, the difference")[2]
    assert gain.interval.high < 0
    before, after = row(found, "ECE, bins of equal mass")[1:]
    assert after.value < before.value / 2
    overconfidence = row(found, "overconfidence")[2]
    assert overconfidence.interval.low < 0 < overconfidence.interval.high
    # And on records that nobody has seen yet.
    mended = judge(DIRECT, **faults, seed=1)
    mended.calibration = found.calibration
    fresh = [
        {**record, "id": "n" + record["id"], "question": "new " + record["question"]} for record in RECORDS[task](800)
    ]
    given = list(mended.verdicts(task, fresh))
    measured = calibration([one.confidence or 0 for one in given], [bool(one.correct) for one in given])
    assert measured is not None
    assert measured.ece.value < measured.ece_if_calibrated.high * 1.5
    assert measured.ece.value < before.value / 2


def test_a_line_mends_what_no_temperature_can() -> None:
    """A judge that is right in 70% whatever it says, and says 73% to 95%."""
    kept = [verdicts("verify", answers(1500), accuracy=0.7, seed=2)]
    line = fit_calibration(kept, "isotonic")
    assert isinstance(line.calibration.mending, Isotonic)
    ece = row(line, "ECE, bins of equal mass")[2]
    assert ece.interval.low == 0
    assert ece.value < row(line, "ECE, bins of equal mass")[1].value / 3
    assert row(line, "overconfidence")[1].value > 0.1
    assert row(line, "overconfidence")[2].value == pytest.approx(0, abs=0.01)
    temperature = fit_calibration(kept, "temperature")
    assert row(line, "Brier score of the verdict")[2].value < row(temperature, "Brier score of the verdict")[2].value


def test_a_position_bias_is_mended_where_one_order_was_asked() -> None:
    options = replace(DIRECT, order="ab")
    faults = {"accuracy": 0.8, "calibration": 1.0, "position_bias": 1.5, "seed": 3}
    found = fit_calibration([verdicts("pairwise", pairs(1000), options, **faults)], "temperature")
    assert row(found, "log loss, the difference")[2].interval.high < 0
    assert found.calibration.mending.temperature > 1.2  # type: ignore[union-attr]


def test_undecided_pairs_are_fitted_on_but_have_no_confidence() -> None:
    kept = verdicts("pairwise", pairs(600), accuracy=0.75, calibration=2.0, position_bias=1.0, noise=0.5, seed=4)
    undecided = sum(case.is_undecided for case in kept.cases)
    assert undecided > 30
    found = fit_calibration([kept], "temperature")
    assert found.calibration.records == 600
    table = next(part for part in found.parts if part.name == "calibrated")
    assert f"of the {600 - undecided} verdicts that were given" in table.note


def test_a_judge_that_knows_nothing_is_said_to() -> None:
    found = fit_calibration([verdicts("verify", answers(400), accuracy=0.5, seed=1)], "temperature")
    assert any("not shown to be worth more than equal probabilities" in text for text in found.warnings)
    fine = fit_calibration([verdicts("verify", answers(600), accuracy=0.75, calibration=1.0, seed=5)], "temperature")
    assert any("not shown to mend" in text for text in fine.warnings)


def test_records_of_one_question_are_never_on_both_sides() -> None:
    """Twenty answers of a question share an opinion: if it is seen, the rest are known, and a line fits them all."""
    kept = verdicts("verify", answers(12, each=30), accuracy=0.7, about=question_of, seed=6)
    found = fit_calibration([kept], "isotonic")
    assert found.calibration.folds == 10
    assert found.calibration.clusters == 12
    alone = replace(kept, cases=tuple(replace(case, cluster=case.id) for case in kept.cases))
    leaky = fit_calibration([alone], "isotonic")
    assert row(leaky, "log loss in nats")[2].value < row(found, "log loss in nats")[2].value - 0.05


def test_what_cannot_be_calibrated_is_refused() -> None:
    fine = verdicts("verify", answers(100), accuracy=0.75, seed=7)
    for kept, said in (
        ([verdicts("verify", answers(100), seed=7)], "100 of 100 labels with gold are right, 0 wrong"),
        ([verdicts("verify", answers(4, each=30), accuracy=0.6, seed=7)], "of 4 clusters"),
        ([fine, verdicts("pairwise", pairs(100), accuracy=0.7)], "one task"),
        ([fine, verdicts("verify", answers(100), replace(DIRECT, mode="critique"), accuracy=0.7)], "2 judges"),
        (
            [
                VerdictSet.of(
                    one.model_copy(update={"judge": ""}) for one in judged("verify", answers(50), accuracy=0.6)
                )
            ],
            "whose",
        ),
    ):
        with pytest.raises(InputError, match=said):
            fit_calibration(kept, "temperature")
    mended = judge(DIRECT, accuracy=0.75, seed=7)
    mended.calibration = fit_calibration([fine], "temperature").calibration
    source = Source("records", InputPlan("verify", (), records=tuple(answers(100))), Protocol(HEADLINES["verify"]))
    with pytest.raises(InputError, match="calibrated already"):
        fit_calibration([judge_source(mended, source)], "temperature")


def test_the_report_is_readable_as_text_and_as_a_page() -> None:
    for method in ("temperature", "isotonic"):
        found = fit_calibration([verdicts("verify", answers(200), accuracy=0.75, calibration=2.0, seed=8)], method)  # type: ignore[arg-type]
        report = Report("calibrated", {}, tuple(found.parts), tuple(found.warnings))
        text = "\n".join(text_lines(report))
        assert "calibrated, out of fold" in text
        assert found.calibration.fingerprint in text
        assert "before and after calibration" in page(report)
