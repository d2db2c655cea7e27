"""Thresholds learnt on simulated judges: what they save, that they hold on other records, and whose they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fare_cli.asks import Ask, Reply
from fare_cli.backends.replay import ReplayBackend
from fare_cli.errors import InputError, UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge
from fare_cli.meta.noninferiority import is_no_worse
from fare_cli.report.model import Report
from fare_cli.report.page import page
from fare_cli.report.text import text_lines
from fare_cli.run.reader import InputPlan
from fare_cli.studies.evaluating.cascading import learn_thresholds
from fare_cli.studies.evaluating.headline import HEADLINES
from fare_cli.studies.evaluating.running import judge_source
from fare_cli.studies.evaluating.sources import Source
from fare_cli.studies.evaluating.verdict_set import Protocol, VerdictSet
from fare_cli.thresholds import LearntThresholds
from tests.simulating import answers, judge, pairs, solutions, truth, two_stages

DIRECT = JudgingOptions(mode="direct")
CRITIQUE = JudgingOptions()
VOTES = JudgingOptions(votes="auto", temperature=0.7)
AUTO = JudgingOptions(mode="auto", votes="auto", temperature=0.7)
SHORT = JudgingOptions(mode="auto")
RECORDS = {"pairwise": pairs, "step": solutions, "verify": answers}


def verdicts(
    simulate: Callable[[Ask], Reply],
    task: str,
    records: Sequence[dict[str, Any]],
    options: JudgingOptions,
    thresholds: LearntThresholds | None = None,
) -> VerdictSet:
    """As `fare eval` judges them, so that the judge's identity is known."""
    asked = BackendJudge(ReplayBackend(simulate), options=options, thresholds=thresholds)
    source = Source("records", InputPlan(task, (), records=tuple(records)), Protocol(HEADLINES[task]))
    return judge_source(asked, source)


def accuracy(found: VerdictSet) -> float:
    return sum(bool(case.correct) for case in found.cases) / len(found.cases)


def tokens(found: VerdictSet) -> float:
    return sum(case.usage.prompt_tokens + case.usage.generated_tokens for case in found.cases) / len(found.cases)


@pytest.mark.parametrize("task", RECORDS)
def test_what_is_learnt_on_one_half_holds_on_the_other(task: str) -> None:
    """Of 600 records the cascade may be 3% worse than always voting, and chance adds up to 2% on the other 600."""
    simulate = two_stages(0.8, 0.9, seed=2)
    records = RECORDS[task](1200)
    first, second = records[:600], records[600:]
    stages = [verdicts(simulate, task, first, options) for options in (DIRECT, CRITIQUE, VOTES)]
    learnt = learn_thresholds(stages, tolerance=0.03).thresholds
    assert learnt.direct or learnt.critique
    cascade = verdicts(simulate, task, second, AUTO, learnt)
    direct, critique, votes = (verdicts(simulate, task, second, options) for options in (DIRECT, CRITIQUE, VOTES))
    assert accuracy(cascade) > accuracy(votes) - 0.05
    assert accuracy(cascade) > accuracy(direct) + 0.02
    assert tokens(cascade) < 0.7 * tokens(votes)
    assert tokens(direct) < tokens(critique) < tokens(votes)


def test_a_cascade_of_two_stages_beats_both_of_them_alone() -> None:
    """The direct judge is nearly as good, and knows when it is: most critiques are not written."""
    simulate = two_stages(0.88, 0.95, tokens=1000, seed=3)
    first, second = answers(2400)[:1200], answers(2400)[1200:]
    learnt = learn_thresholds([verdicts(simulate, "verify", first, one) for one in (CRITIQUE, DIRECT)]).thresholds
    assert learnt.direct is not None
    assert list(learnt.stages) == ["direct", "critique"]
    cascade = verdicts(simulate, "verify", second, SHORT, learnt)
    direct, critique = (verdicts(simulate, "verify", second, options) for options in (DIRECT, CRITIQUE))
    assert accuracy(cascade) > accuracy(critique) - 0.02
    assert accuracy(cascade) > accuracy(direct)
    assert tokens(cascade) < 0.8 * tokens(critique)
    # The thresholds that nobody learnt are careful: they lose nothing, and save less.
    careful = verdicts(simulate, "verify", second, SHORT)
    assert accuracy(careful) > accuracy(critique) - 0.01
    assert tokens(cascade) < tokens(careful) < tokens(critique)


def test_a_larger_tolerance_saves_more_and_few_records_show_nothing() -> None:
    simulate = two_stages(0.85, 0.9, seed=4)
    stages = [verdicts(simulate, "verify", answers(1000), options) for options in (DIRECT, CRITIQUE)]
    found = [learn_thresholds(stages, tolerance=share).thresholds.direct for share in (0.01, 0.03, 0.1)]
    assert [one if one is not None else 1.0 for one in found] == sorted((one or 1.0 for one in found), reverse=True)
    assert found[0] != found[2]
    few = [replace(one, cases=one.cases[:60]) for one in stages]
    learnt = learn_thresholds(few, tolerance=0.02)
    assert learnt.thresholds.direct is None
    assert "60 records with gold were there to show it" in learnt.warnings[0]


def test_a_judge_that_is_sure_and_wrong_is_not_believed() -> None:
    def simulate(ask: Ask) -> Reply:
        told = two_stages(0.9, 0.9, seed=5)(ask)
        if not hasattr(ask.script, "max_tokens"):
            wrong = next(label for label in ask.script.labels if label != truth(ask))  # type: ignore[union-attr]
            return replace(told, label=wrong, log_probabilities={wrong: -0.001, truth(ask): -7.0})  # type: ignore[dict-item]
        return told

    stages = [verdicts(simulate, "verify", answers(400), options) for options in (DIRECT, CRITIQUE)]
    assert learn_thresholds(stages).thresholds.direct is None


def test_the_report_shows_every_stage_and_draws_them() -> None:
    simulate = two_stages(0.8, 0.9, seed=2)
    stages = [verdicts(simulate, "verify", answers(400), options) for options in (DIRECT, CRITIQUE, VOTES)]
    learnt = learn_thresholds(stages, tolerance=0.05)
    report = Report("r", {}, tuple(learnt.parts), tuple(learnt.warnings))
    rows = report.to_json()["tables"]["cascade"]["rows"]
    assert [row["judge"] for row in rows] == [
        *(f"always {stage}" for stage in ("direct", "critique", "votes")),
        "learnt",
        "unlearnt (fare's own)",
    ]
    assert rows[0]["accuracy"]["cases"] == round(400 * accuracy(stages[0]))
    assert rows[0]["generated_tokens"] == 0
    assert rows[1]["generated_tokens"] == 200
    # What is foretold of the cascade is what it does on the same records.
    cascade = verdicts(simulate, "verify", answers(400), AUTO, learnt.thresholds)
    assert rows[3]["accuracy"]["cases"] == round(400 * accuracy(cascade))
    assert rows[3]["prompt_tokens"] + rows[3]["generated_tokens"] == pytest.approx(tokens(cascade))
    own = verdicts(simulate, "verify", answers(400), AUTO)
    assert rows[4]["prompt_tokens"] + rows[4]["generated_tokens"] == pytest.approx(tokens(own))
    assert "always votes" in "\n".join(text_lines(report))
    assert "tokens of a record" in page(report)
    # No stage by itself, and no cascade, lies above the line of the best.
    one_stage, front, as_learnt = report.to_json()["plots"]["cascade-plot"]["series"]
    heights = [point["y"] for point in front["points"]]
    assert heights == sorted(heights)
    for point in [*one_stage["points"], *as_learnt["points"]]:
        best = max(one["y"] for one in front["points"] if one["x"] <= point["x"])
        # The learnt thresholds are finer than those that the line tries.
        assert best >= point["y"] - (0.01 if point["label"] == "learnt" else 0)


def test_verdicts_that_are_no_stages_of_one_cascade_are_refused() -> None:
    simulate = two_stages(0.8, 0.9)
    records = answers(30)
    direct, critique, votes, auto = (
        verdicts(simulate, "verify", records, options) for options in (DIRECT, CRITIQUE, VOTES, AUTO)
    )
    other = verdicts(simulate, "verify", answers(60)[30:], CRITIQUE)
    longer = verdicts(simulate, "verify", records, replace(VOTES, max_tokens=50))
    sampled = verdicts(simulate, "verify", records, replace(CRITIQUE, temperature=0.5))
    ungolden = [{**record, "gold": None} for record in records]
    for sets, said in (
        ([direct], "no verdicts of the stage critique"),
        ([direct, direct, critique], "both of the stage direct"),
        ([direct, critique, auto], "verdicts of a cascade"),
        ([direct, replace(critique, identity={})], "no manifest"),
        ([direct, critique, longer], "max_tokens 1024, here 50"),
        ([direct, sampled], "not the stage critique"),
        ([direct, other], "no record with gold was judged by every stage"),
        ([verdicts(simulate, "verify", ungolden, one) for one in (DIRECT, CRITIQUE)], "no record with gold"),
    ):
        with pytest.raises(InputError, match=said):
            learn_thresholds(sets)
    assert votes.task == "verify"


def made(task: str = "verify") -> LearntThresholds:
    simulate = two_stages(0.8, 0.9)
    return learn_thresholds(
        [verdicts(simulate, task, RECORDS[task](300), options) for options in (DIRECT, CRITIQUE, VOTES)], tolerance=0.1
    ).thresholds


def test_thresholds_of_another_judge_are_refused_and_the_difference_named() -> None:
    learnt = made()
    for options, task, said in (
        (CRITIQUE, "verify", "for --mode auto"),
        (AUTO, "pairwise", "learnt on verify verdicts, and this is pairwise"),
        (SHORT, "verify", "stages direct, critique, votes, here direct, critique"),
        (replace(AUTO, max_tokens=9), "verify", "critique: max_tokens 1024, here 9"),
        (replace(AUTO, votes=4), "verify", "votes: votes auto, here 4"),
    ):
        other = judge(options)
        other.thresholds = learnt
        for refused in (other.task, other.identity):
            with pytest.raises(UsageError, match=said):
                refused(task)
    same = judge(AUTO)
    same.thresholds = learnt
    bound = same.identity("verify")
    assert bound.options.thresholds is not None
    assert (bound.options.thresholds.direct, bound.options.thresholds.critique) == (learnt.direct, learnt.critique)
    assert bound.fingerprint != judge(AUTO).identity("verify").fingerprint
    assert same.task("verify").options == bound.options


def test_a_file_gives_the_same_thresholds_back_and_anything_else_is_refused(tmp_path: Path) -> None:
    learnt = made()
    learnt.write(tmp_path / "t.json")
    assert LearntThresholds.read(tmp_path / "t.json") == learnt
    values = json.loads((tmp_path / "t.json").read_text())
    for change, said in (
        ({"direct": 1.5}, "direct"),
        ({"fare_thresholds": 2}, "fare_thresholds"),
        ({"stages": {"debate": {}}}, "stages"),
        ({"more": 1}, "more"),
    ):
        (tmp_path / "bad.json").write_text(json.dumps({**values, **change}))
        with pytest.raises(InputError, match=said):
            LearntThresholds.read(tmp_path / "bad.json")
    (tmp_path / "bad.json").write_bytes(b"\x00")
    for name in ("bad.json", "missing.json", "."):
        with pytest.raises(InputError, match="thresholds"):
            LearntThresholds.read(tmp_path / name)


def test_no_worse_by_hand() -> None:
    """n records of which none got worse: z^2 (1 - margin) / margin are needed, 133 for 2% at 95%."""
    for records, shown in ((132, False), (133, True)):
        assert is_no_worse([True] * records, [True] * records, 0.02, confidence=0.95) is shown
    assert not is_no_worse([], [], 0.02, confidence=0.95)
    # Half of them lost, half won: nothing is lost on the whole, which takes many more records to show.
    half = [True, False] * 200
    other = [not one for one in half]
    assert is_no_worse(half, half, 0.02, confidence=0.95)
    assert not is_no_worse(half, other, 0.02, confidence=0.95)
    assert is_no_worse(half, other, 0.1, confidence=0.95)
    # Records of a question that go together show no more than one of them.
    clusters = [number // 20 for number in range(400)]
    assert not is_no_worse(half, half, 0.02, clusters, confidence=0.95)
    right, one_question_lost = [True] * 400, [number >= 20 for number in range(400)]
    assert is_no_worse(right, one_question_lost, 0.1, confidence=0.95)
    assert not is_no_worse(right, one_question_lost, 0.1, clusters, confidence=0.95)


def test_no_worse_errs_as_rarely_as_it_says() -> None:
    """Judges that truly fall by the margin are called no worse in 5% of all samples at most, but for chance."""
    import random

    draw = random.Random(0)
    wrongly = 0
    for _ in range(1000):
        fates = [draw.random() for _ in range(300)]
        # 8% get worse, 5% better.
        before = [fate < 0.08 or fate >= 0.13 for fate in fates]
        after = [fate >= 0.08 for fate in fates]
        wrongly += is_no_worse(before, after, 0.03, confidence=0.95)
    assert 20 < wrongly < 70
