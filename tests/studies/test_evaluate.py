"""What a report says of judges whose accuracy, bias, noise and calibration are set, and of verdicts of any kind."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fare_cli.errors import InputError, RecordError
from fare_cli.identity import JudgingOptions
from fare_cli.meta.agreement import Proportion, wilson
from fare_cli.meta.bootstrap import Estimate
from fare_cli.report.model import Report
from fare_cli.report.page import page
from fare_cli.report.text import text_lines
from fare_cli.run.reader import InputPlan
from fare_cli.studies.evaluate import evaluate, report_on
from fare_cli.studies.evaluating.crossing import GENERAL_RUBRIC, crossed
from fare_cli.studies.evaluating.headline import BOTH_ORDERS, HEADLINES
from fare_cli.studies.evaluating.kept import read_kept
from fare_cli.studies.evaluating.running import Keeping, judge_source
from fare_cli.studies.evaluating.sources import Source
from fare_cli.studies.evaluating.verdict_set import Protocol, VerdictSet
from fare_cli.verdicts import Judgement, Usage, Verdict, VerdictError
from tests.simulating import DIRECT, annotators, answers, judge, judged, pairs, question_of, scored, solutions

GOLDEN = Path(__file__).with_name("kept_verdicts.jsonl")


def value(report: Report, table: str, row: str, column: int = 1) -> Any:
    """A cell by the first one of its row."""
    rows = next(one.rows for one in report.tables if one.name == table)
    return next(cells[column] for cells in rows if cells[0] == row)


def holds(found: Any, true: float) -> bool:
    assert isinstance(found, Proportion | Estimate)
    assert found.interval is not None
    return found.interval.low <= true <= found.interval.high


def source(task: str, records: Sequence[dict[str, Any]], name: str = "records") -> Source:
    return Source(name, InputPlan(task, (), records=tuple(records)), Protocol(HEADLINES[task]))


def test_accuracy_and_consistency_of_a_judge_of_pairs_are_recovered() -> None:
    report = evaluate(judged("pairwise", pairs(600), accuracy=0.8, seed=1))
    assert holds(value(report, "pairwise", "accuracy"), 0.8)
    # One opinion a record and no noise: both orders say the same.
    assert value(report, "pairwise", "orders agree").cases == 600
    assert value(report, "pairwise", "both orders right") == value(report, "pairwise", "accuracy")
    assert value(report, "pairwise", "position bias in nats").value == 0
    assert "chance" not in report.title
    assert not report.warnings


def test_a_position_bias_is_recovered_and_makes_pairs_undecided() -> None:
    report = evaluate(judged("pairwise", pairs(600), position_bias=1.5, noise=0.5, seed=2))
    assert holds(value(report, "pairwise", "position bias in nats"), 1.5)
    undecided, first = value(report, "pairwise", "undecided"), value(report, "pairwise", "always the first shown")
    assert undecided.cases == first.cases > 60
    # An undecided pair counts as wrong, though the judge never means the wrong answer by more than its bias.
    assert value(report, "pairwise", "accuracy").cases == 600 - undecided.cases
    assert value(report, "pairwise", "accuracy, decided pairs").share == 1


def test_the_parts_of_f1_are_recovered_for_steps() -> None:
    report = evaluate(judged("step", solutions(600), accuracy=0.7, seed=3))
    for row in ("F1", "accuracy, a step is wrong", "accuracy, no step is wrong"):
        assert holds(value(report, "step", row), 0.7), row
    off = dict(next(one.rows for one in report.tables if one.name == "off-by"))
    found = value(report, "step", "accuracy, a step is wrong")
    assert off["0"] == found.cases
    named = sum(count for distance, count in off.items() if distance.lstrip("+-").isdigit())
    assert named + off["none named, though one is wrong"] == found.of == 300
    assert off["one named, though none is wrong"] == 300 - value(report, "step", "accuracy, no step is wrong").cases


def test_measures_of_right_and_wrong_are_recovered() -> None:
    report = evaluate(judged("verify", answers(600), accuracy=0.85, seed=4))
    assert holds(value(report, "verify", "accuracy"), 0.85)
    assert holds(value(report, "verify", "F1"), 0.85)
    assert holds(value(report, "verify", "MCC"), 0.7)
    # Its certainty says nothing, so a wrong opinion is as far off as a right one: the area is the accuracy.
    assert holds(value(report, "verify", "AUROC"), 0.85)
    assert holds(value(report, "verify", "balanced accuracy"), 0.85)


def test_scores_are_measured_as_said_and_as_expected() -> None:
    report = evaluate(judged("score", scored(600), accuracy=0.7, seed=5))
    # A wrong score is any other: on average 2 away.
    assert holds(value(report, "score", "mean absolute error"), 0.3 * 2)
    # The covariance of gold with a score that is right in 70% and else the mean of the others, which is -gold / 4.
    assert holds(value(report, "score", "Pearson"), 0.7 - 0.3 / 4)
    # Doubt draws the expected score to the middle: the same order, smaller distances.
    assert holds(value(report, "score", "bias (said less gold)", column=2), 0)
    assert (
        value(report, "score", "root mean squared error", column=2).value
        < value(report, "score", "root mean squared error").value
    )
    assert "chance" not in report.title


@pytest.mark.parametrize(("factor", "is_calibrated"), [(1.0, True), (2.5, False)])
def test_calibration_is_recovered(factor: float, is_calibrated: bool) -> None:
    report = evaluate(judged("verify", answers(800), accuracy=0.75, calibration=factor, seed=6))
    over = value(report, "calibration", "overconfidence")
    assert holds(over, 0) is is_calibrated
    ece = value(report, "calibration", "ECE, bins of equal mass").value
    note = next(one.note for one in report.tables if one.name == "calibration")
    by_chance = float(note.split("confidences would have ")[1].split(" to ")[1].split(" ")[0])
    assert (ece <= by_chance) is is_calibrated
    # What it says of its certainty is worth something: the surest half is right more often.
    half, all_ = value(report, "coverage", "50%", column=3), value(report, "coverage", "100%", column=3)
    assert half.share > all_.share + 0.05
    assert all_ == value(report, "verify", "accuracy")


def test_intervals_respect_that_records_of_one_question_belong_together() -> None:
    verdicts = judged("verify", answers(60, each=10), accuracy=0.8, about=question_of, seed=7)
    found = value(evaluate(verdicts), "verify", "accuracy")
    assert holds(found, 0.8)
    alone = wilson(found.share, found.of)
    # All ten of a question are right or wrong together: 60 cases, not 600.
    assert found.interval.high - found.interval.low > 2.5 * (alone.high - alone.low)
    apart = [one.model_copy(update={"record": {**(one.record or {}), "group": one.id}}) for one in verdicts]
    assert value(evaluate(apart), "verify", "accuracy").interval == pytest.approx(alone)


def test_few_questions_have_a_warning_and_no_interval_where_it_would_be_resampled() -> None:
    report = evaluate(judged("verify", answers(4, each=30), accuracy=0.8, seed=7))
    assert any("fewer than 6 clusters" in text for text in report.warnings)
    assert value(report, "verify", "MCC").interval is None
    assert value(report, "verify", "accuracy").interval is not None
    assert not any("clusters" in text for text in evaluate(judged("verify", answers(6))).warnings)


def test_categories_are_measured_each_and_their_mean_weighs_them_the_same() -> None:
    records = [*pairs(300, category="easy"), *pairs(60, category="hard")]
    easy = judged("pairwise", records[:300], seed=8)
    hard = judged("pairwise", records[300:], accuracy=0.5, seed=8)
    report = evaluate([*easy, *hard])
    shares = [value(report, "categories", name, column=2).share for name in ("easy", "hard")]
    assert shares[0] == 1
    mean = value(report, "categories", "mean over categories", column=2)
    assert mean.value == pytest.approx(sum(shares) / 2)
    assert holds(mean, 0.75)


@pytest.mark.parametrize(("accuracy", "ceiling"), [(0.95, 0.8), (0.55, 0.8)])
def test_a_judge_is_measured_among_people(accuracy: float, ceiling: float) -> None:
    labels = annotators(200, 3, accuracy=ceiling)
    records = [{**pair, "annotations": given} for pair, given in zip(pairs(200), labels, strict=True)]
    report = evaluate(judged("pairwise", records, accuracy=accuracy, seed=9))
    is_better = accuracy > ceiling
    assert (value(report, "people", "judge less person").interval.low > 0) is is_better
    assert value(report, "alternative-annotator", 0.1, column=5) == ("yes" if is_better else "no")
    # Two people who are right in 80% each agree in 68%: alpha is 1 - 0.32 / 0.5.
    assert holds(value(report, "people", "Krippendorff's alpha, people"), 0.36)


def test_a_judge_at_chance_is_said_to_be_in_title_tables_and_a_warning() -> None:
    for verdicts in (judged("pairwise", pairs(100), accuracy=0.5), judged("score", scored(100), accuracy=0.2)):
        report = evaluate(verdicts)
        assert "not shown to be better than chance" in report.title
        assert "not shown to be better than chance" in report.warnings[0]
        claims = [one for one in report.parts if one.name not in ("records", "cost")]
        assert len(claims) > 3
        assert all("not shown to be better than chance" in one.title for one in claims)


def test_few_questions_asked_often_are_no_proof_of_more_than_chance() -> None:
    verdicts = judged("verify", answers(9, each=20), accuracy=0.75, about=question_of, seed=1)
    right = sum(bool(one.correct) for one in verdicts)
    assert right in (120, 140)
    assert "chance" in evaluate(verdicts).title
    apart = [one.model_copy(update={"record": None}) for one in verdicts]
    assert "chance" not in evaluate(apart).title


def test_scores_that_are_never_exact_but_go_with_gold_are_better_than_chance() -> None:
    records = [record for record in scored(100) if record["gold"] < 5]
    report = evaluate(judged("score", [{**record, "gold": record["gold"] + 1} for record in records]))
    assert value(report, "coverage", "100%", column=3).cases == 0
    assert value(report, "score", "bias (said less gold)").value == -1
    assert "chance" not in report.title


def test_invalid_verdicts_are_counted_by_kind_and_never_scored() -> None:
    records = pairs(50)
    records[3]["question"] = ""
    records[4]["id"] = "p5"
    verdicts = judged("pairwise", records)
    report = evaluate(verdicts)
    assert value(report, "records", "invalid").cases == 2
    assert value(report, "records", "invalid: empty") == 1
    assert value(report, "records", "invalid: duplicate_id") == 1
    assert value(report, "pairwise", "accuracy").of == 48


def test_ties_in_gold_count_only_for_a_judge_that_can_say_tie() -> None:
    records = [{**pair, "gold": "tie"} if number < 10 else pair for number, pair in enumerate(pairs(50))]
    report = evaluate(judged("pairwise", records))
    assert value(report, "pairwise", "accuracy").of == 40
    assert value(report, "records", "gold this judge cannot be right or wrong about") == 10
    assert "Ties in gold are left out (10): this judge cannot say tie" in next(
        one.note for one in report.tables if one.name == "pairwise"
    )
    with_tie = evaluate(judged("pairwise", records, JudgingOptions(mode="direct", tie=True)))
    assert value(with_tie, "pairwise", "accuracy").of == 50
    assert value(with_tie, "pairwise", "accuracy").cases == 40


def test_two_judges_are_compared_on_the_same_records() -> None:
    better, worse = (
        VerdictSet.of(judged("pairwise", pairs(400), options, accuracy=accuracy, seed=seed), name=name)
        for name, accuracy, seed, options in (
            ("better", 0.9, 1, DIRECT),
            ("worse", 0.7, 2, JudgingOptions(mode="direct", combine="mean")),
        )
    )
    report = report_on([better, worse])
    assert "worse compared with better" in [one.title for one in report.tables]
    assert holds(value(report, "compared", "accuracy, difference"), -0.2)
    assert value(report, "compared", "McNemar's test, p") < 0.001
    only = [
        cells[1] for cells in next(one.rows for one in report.tables if one.name == "compared") if "only" in cells[0]
    ]
    assert (only[1] - only[0]) / 400 == pytest.approx(value(report, "compared", "accuracy, difference").value)


def test_one_model_with_other_options_is_compared_under_names_that_tell_the_two_apart() -> None:
    options = (DIRECT, JudgingOptions(mode="direct", combine="mean"))
    sets = [replace(VerdictSet.of(judged("pairwise", pairs(20), one), name="pairs"), judge="tiny") for one in options]
    compared = next(one for one in report_on(sets).tables if one.name == "compared")
    assert compared.title == "pairs 2 compared with pairs"
    assert len({row[0] for row in compared.rows}) == len(compared.rows)
    assert "McNemar" in compared.note

    without = [replace(one, cases=tuple(replace(case, gold=None, correct=None) for case in one.cases)) for one in sets]
    compared = next(one for one in report_on(without).tables if one.name == "compared")
    assert "McNemar" not in compared.note + str(compared.rows)


def test_records_that_are_not_the_same_are_not_compared_but_named() -> None:
    first = judged("pairwise", pairs(50))
    others = pairs(60)
    for number in (7, 8):
        others[number]["question"] += ", changed"
    second = judged("pairwise", others, JudgingOptions(mode="direct", combine="mean"))
    report = report_on([VerdictSet.of(first, name="a"), VerdictSet.of(second, name="b")])
    assert value(report, "compared", "records") == 48
    assert any("2 ids name different records and are not compared: p7, p8" in text for text in report.warnings)
    assert any("10 only in the second" in text for text in report.warnings)


def test_two_judges_of_steps_are_compared_by_f1_and_by_records() -> None:
    sets = [
        VerdictSet.of(judged("step", solutions(300), options, accuracy=accuracy, seed=seed), name="steps")
        for accuracy, seed, options in ((0.6, 1, DIRECT), (0.8, 2, JudgingOptions(mode="critique")))
    ]
    report = report_on(sets)
    assert holds(value(report, "compared", "F1, difference"), 0.2)
    assert holds(value(report, "compared", "accuracy, difference"), 0.2)


def cross(records: list[dict[str, Any]], **settings: Any) -> Report:
    simulated = judge(**settings)
    return report_on([judge_source(simulated, one) for one in crossed(source("pairwise", records))])


def points(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same pairs, the points that their answers should get in them."""
    return [
        {
            **record,
            "answer_a": f"{record['answer_a']} points: {5 if 'RIGHT' in record['answer_a'] else 2}",
            "answer_b": f"{record['answer_b']} points: {5 if 'RIGHT' in record['answer_b'] else 2}",
        }
        for record in records
    ]


def test_a_judge_that_is_always_right_tells_one_story() -> None:
    report = cross(points(pairs(40)))
    for row in ("pairwise and verify", "pairwise and score", "verify and score", "all of them"):
        assert value(report, "one-story", row).cases == 40, row
        assert value(report, "one-story", row).of == 40, row
    assert not next(one.rows for one in report.tables if one.name == "contradictions")
    assert "chance" not in next(one.title for one in report.tables if one.name == "one-story")
    assert value(report, "sets", "records (verify)", column=4) is None


def test_a_judge_of_random_opinions_contradicts_itself_and_the_title_says_so() -> None:
    report = cross(points(pairs(200)), accuracy=0.5, seed=3)
    both = value(report, "one-story-by-probability", "pairwise and verify")
    assert holds(both, 0.5)
    against = value(report, "one-story", "pairwise and verify", column=2).cases
    assert (
        value(report, "contradictions", "the preferred answer is said to be wrong, the other one right") == against > 0
    )
    assert "no more than chance" in next(one.title for one in report.tables if one.name == "one-story")


def test_scores_and_yes_or_no_alone_are_compared_on_all_answers_of_a_question() -> None:
    answered = [
        {"question": f"question {number}", "answer": f"{kind} points: {score}"}
        for number in range(10)
        for kind, score in (("RIGHT", 5), ("WRONG", 2), ("WRONG more", 2))
    ]
    rated = [{**one, "rubric": "What are the points?"} for one in answered]
    sets = [VerdictSet.of(judged("verify", answered)), VerdictSet.of(judged("score", rated), name="scores")]
    report = report_on(sets)
    # Three pairs of answers a question; of one pair both answers are wrong and have the same score.
    assert (
        value(report, "one-story", "verify and score").cases == value(report, "one-story", "verify and score").of == 30
    )
    assert any("a manifest is missing" in text for text in report.warnings)


def test_answers_are_judged_once_and_by_the_rubric_of_their_record() -> None:
    records = pairs(4)
    records[1] |= {"rubric": "my own", "scale": [1, 3]}
    records[3] |= {"question": records[0]["question"], "answer_a": records[0]["answer_a"], "answer_b": "points: 3"}
    made = {one.plan.task: one.plan.records for one in crossed(source("pairwise", records))}
    assert len(made["verify"]) == len(made["score"]) == 7
    assert [record["rubric"] for record in made["score"][2:4]] == ["my own", "my own"]
    assert all(record["rubric"] == GENERAL_RUBRIC for record in (*made["score"][:2], *made["score"][4:]))
    first = crossed(replace(source("pairwise", records), limit=1))
    assert [len(one.plan.records) for one in first[1:]] == [2, 2]
    assert [one.limit for one in first] == [1, None, None]


def test_kept_verdicts_give_the_same_report_as_the_run(tmp_path: Path) -> None:
    simulated = judge(accuracy=0.7, position_bias=0.3, noise=0.3, seed=4)
    records = source("pairwise", [*pairs(60, category="x"), *pairs(3, gold=None, id=None)])
    made = judge_source(simulated, records, keeping=Keeping(tmp_path))
    kept = read_kept(tmp_path / "records.pairwise.replay.jsonl")
    assert kept.name == "records"
    assert not kept.warnings
    fresh, again = report_on([made]), report_on([kept])
    assert again.title == fresh.title
    parts = [[part.to_json() for part in one.parts if part.name != "cost"] for one in (fresh, again)]
    assert parts[0] == parts[1]
    for name in ("judge", "weights", "options", "prompts"):
        assert fresh.facts[name] == again.facts[name]
    assert value(again, "cost", "seconds") >= 0
    # The same run again asks nothing, which leaves no time to report.
    repeated = report_on([judge_source(simulated, records, keeping=Keeping(tmp_path))])
    assert "no time" in next(one.note for one in repeated.tables if one.name == "cost")


def test_verdicts_without_their_records_give_what_they_can_and_say_what_not() -> None:
    verdicts = judged("pairwise", pairs(80, category="x"), accuracy=0.9, seed=3)
    bare = [one.model_copy(update={"record": None}) for one in verdicts]
    report, whole = evaluate(bare), evaluate(verdicts)
    assert value(report, "pairwise", "accuracy") == value(whole, "pairwise", "accuracy")
    assert any("--no-record" in text for text in report.warnings)


def test_a_golden_file_gives_its_golden_report() -> None:
    report = report_on([read_kept(GOLDEN)])
    found = "\n".join(line for line in text_lines(report) if not line.startswith("verdicts: "))
    golden = GOLDEN.with_suffix(".txt").read_text(encoding="utf-8")
    assert found.split("\n\n", 1)[1] + "\n" == golden.split("\n\n", 1)[1]


def test_a_suite_is_known_by_the_figure_of_its_protocol_beside_the_reported_ones() -> None:
    found = VerdictSet.of(judged("pairwise", pairs(60), noise=3.0, seed=2), name="JudgeBench")
    protocol = Protocol(BOTH_ORDERS, {"FARE-8B": 55.71})
    report = report_on([VerdictSet("JudgeBench", "pairwise", found.cases, protocol)])
    assert value(report, "reported", "JudgeBench") == value(report, "pairwise", "both orders right")
    assert value(report, "reported", "JudgeBench", column=2) == 55.71
    assert "None of them was measured here" in next(one.note for one in report.tables if one.name == "reported")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "line 2"),
        ('{"id": "x", "task": "pairwise"}', "`status`"),
        ('{"id": "x", "task": "verify", "status": "ok", "verdict": "yes"}', "a verdict of task verify"),
        ('{"id": "x", "task": "pairwise", "status": "ok", "verdict": "C"}', "`verdict`: 'C' is no label of pairwise"),
        ('{"id": "x", "task": "pairwise", "status": "ok", "verdict": "A", "confidence": 1.5}', "`confidence`: 1.5"),
        ('{"id": "x", "task": "pairwise", "status": "ok", "verdict": "A", "confidence": NaN}', "`confidence`: nan"),
        ('{"id": "x", "task": "pairwise", "status": "ok", "record": {"question": "q"}}', "`answer_a`"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_with_line_and_field(
    tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "verdicts.jsonl"
    path.write_text(judged("pairwise", pairs(1))[0].to_line() + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2") as caught:
        read_kept(path)
    assert message in caught.value.message
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="holds no verdicts"):
        read_kept(path)


def test_a_changed_or_incomplete_file_is_measured_with_a_warning(tmp_path: Path) -> None:
    made = judge_source(judge(), replace(source("pairwise", pairs(20)), limit=5), keeping=Keeping(tmp_path))
    assert made.warnings == ("only the first 5 records were judged (--limit)",)
    path = tmp_path / "records.pairwise.replay.jsonl"
    assert any("ended by limit" in text for text in read_kept(path).warnings)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    assert any("changed after the run" in text for text in read_kept(path).warnings)


def test_verdicts_of_no_task_or_of_several_are_not_measured_together() -> None:
    with pytest.raises(ValueError, match="not of 0"):
        evaluate([])
    with pytest.raises(ValueError, match="not of 2"):
        evaluate([*judged("pairwise", pairs(1)), *judged("verify", answers(1))])
    with pytest.raises(RecordError):
        evaluate([judged("verify", answers(1))[0].model_copy(update={"verdict": "maybe"})])


_LABELS = {"pairwise": ["A", "B"], "step": ["-1", "0", "1", "2"], "verify": ["yes", "no"], "score": ["1", "2", "3"]}
_GOLDS: dict[str, list[Any]] = {
    "pairwise": ["A", "B", "tie", None],
    "step": [-1, 0, 2, None],
    "verify": ["yes", "no", None],
    "score": [1, 2, 2.5, 3, None],
}


@st.composite
def verdicts_of(draw: st.DrawFn, task: str) -> Verdict:
    """Any verdict that fare could write, on one of few questions."""
    number = draw(st.integers(0, 5))
    values: dict[str, Any] = {"id": draw(st.sampled_from(["a", "b", "c", "d", ""])), "task": task}
    if draw(st.booleans()):
        values["record"] = _record(task, number, draw(st.sampled_from(["x", "y", None])), draw(_people(task)))
    values["gold"] = gold = draw(st.sampled_from(_GOLDS[task]))
    if draw(st.integers(0, 3)) == 0:
        error = draw(st.none() | st.just(VerdictError(kind="too_long", message="it is")))
        return Verdict(status="invalid", error=error, **values)
    shares = draw(st.lists(st.floats(0, 1), min_size=len(_LABELS[task]), max_size=len(_LABELS[task])))
    total = math.fsum(shares) or 1.0
    probabilities = {label: share / total for label, share in zip(_LABELS[task], shares, strict=True)}
    label = max(probabilities, key=probabilities.__getitem__)
    if task == "pairwise":
        orders = draw(st.sampled_from([("ab", "ba"), ("ab",), ("ba",), ()]))
        values["judgments"] = [_judgement(order, draw(st.floats(0, 1))) for order in orders]
        means = {one.means for one in values["judgments"]}
        label = None if len(means) > 1 else label
        values |= {"rule": "agree", "consistent": len(means) == 1 if len(orders) == 2 else None}
    if task == "score":
        values |= {"expected_score": math.fsum(int(one) * share for one, share in probabilities.items())}
    comparable = gold is not None and gold != "tie" and not (isinstance(gold, float) and gold % 1)
    return Verdict(
        status="ok",
        verdict=label,
        confidence=None if label is None else probabilities[label],
        probabilities=probabilities,
        correct=str(gold) == label if comparable else None,
        usage=Usage(prompt_tokens=draw(st.integers(0, 9))),
        **values,
    )


def _judgement(order: Any, first: float) -> Judgement:
    label = "A" if first >= 0.5 else "B"
    means = label if order == "ab" else {"A": "B", "B": "A"}[label]
    return Judgement(order=order, label=label, means=means, probabilities={"A": first, "B": 1 - first}, margin=None)


def _people(task: str) -> st.SearchStrategy[dict[str, Any] | None]:
    labels = st.sampled_from([label for label in _GOLDS[task] if label is not None])
    return st.none() | st.dictionaries(st.sampled_from(["ann", "bo", "cy"]), labels)


def _record(task: str, number: int, category: str | None, people: dict[str, Any] | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "pairwise": {"answer_a": "one", "answer_b": "two"},
        "step": {"steps": ["one", "two", "three"]},
        "verify": {"answer": "one"},
        "score": {"answer": "one", "rubric": "a", "scale": [1, 3]},
    }[task]
    return {"question": f"question {number}", "category": category, "annotations": people, **fields}


def finite(values: Any) -> bool:
    json.dumps(values, allow_nan=False)
    return True


@pytest.mark.parametrize("task", list(_LABELS))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_verdicts_give_a_report_of_finite_numbers(task: str, data: st.DataObject) -> None:
    verdicts = data.draw(st.lists(verdicts_of(task), min_size=1, max_size=8))
    sets = [VerdictSet.of(verdicts)]
    if data.draw(st.booleans()):
        other = [one.model_copy(update={"judge": "another"}) for one in reversed(verdicts)]
        sets.append(VerdictSet.of(other, name="again"))
    report = report_on(sets)
    assert finite(report.to_json())
    assert list(text_lines(report))
    assert page(report)


@pytest.mark.parametrize("task", list(_LABELS))
def test_verdicts_that_are_all_alike_give_a_report(task: str) -> None:
    records = {"pairwise": pairs, "step": solutions, "verify": answers, "score": scored}[task](5)
    verdicts = judged(task, records)
    undecided = {"verdict": None, "confidence": None, "correct": False}
    invalid = {"status": "invalid", "error": VerdictError(kind="nan", message="it is")}
    no_gold = {"gold": None, "correct": None}
    for change in ({}, undecided, invalid, no_gold):
        for some in (verdicts, verdicts[:1]):
            assert finite(evaluate([one.model_copy(update=change) for one in some]).to_json())
