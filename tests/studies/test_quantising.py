"""What a check says of simulated judges whose flips, shifts and accuracy are set, and of real files."""

from __future__ import annotations

import hashlib
import math
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fare_cli as fare
from fare_cli.asks import Ask, Reply
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.errors import InputError, InvalidRecordsError, UsageError
from fare_cli.gguf.quantize import quantize
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.meta.agreement import proportion, records_needed
from fare_cli.prompting import load_task_prompt
from fare_cli.run.reader import InputPlan, items_of
from fare_cli.run.stream import Judging
from fare_cli.studies.judging import Talk, at_chance
from fare_cli.studies.quantising import (
    Quantised,
    Standing,
    Subject,
    advise,
    check_lost,
    check_quantised,
    compared,
)
from fare_cli.studies.same_records import Comparison
from fare_cli.tasks import TASKS
from fare_cli.verdicts import Verdict
from tests.engine.tiny_models import write_qwen3
from tests.run.making import INFO, pair, right_label, write_pairs

Simulated = Callable[[Ask], Reply]

MEAN = JudgingOptions(mode="direct", combine="mean")
AGREE = JudgingOptions(mode="direct")


def judged(judge: Simulated, records: list[dict[str, Any]], options: JudgingOptions = MEAN) -> list[Verdict]:
    """Verdicts of a simulated judge, through the task and the run that real ones take."""
    prompt = load_task_prompt("pairwise")
    identity = JudgeIdentity("pairwise", INFO.model, INFO.weights, prompt.fingerprint, prompt.origin, options)
    backend = ReplayBackend(judge, info=INFO)
    judging = Judging(TASKS["pairwise"](prompt, options), lambda: backend, identity)
    return list(judging.verdicts(items_of("pairwise", records)))


def chance_of(ask: Ask, seed: int) -> float:
    """A number in 0 to 1 that is the same for both orders of a record."""
    question = ask.messages[-1].text.split("\n")[1]
    return random.Random(int(hashlib.sha256(f"{seed}/{question}".encode()).hexdigest(), 16)).random()


def flipped(judge: Simulated, rate: float, seed: int = 0) -> Simulated:
    """The same judge, saying the opposite of a share of the records, with the same certainty."""

    def answer(ask: Ask) -> Reply:
        reply = judge(ask)
        read = reply.log_probabilities
        if chance_of(ask, seed) >= rate or read is None:
            return reply
        turned = dict(zip(read, reversed(read.values()), strict=True))
        return replace(reply, log_probabilities=turned, label=max(turned, key=turned.__getitem__))

    return answer


def moved(judge: Simulated, logits: float) -> Simulated:
    """The same judge, less sure by so many nats, yet of the same opinion."""

    def answer(ask: Ask) -> Reply:
        reply = judge(ask)
        assert reply.log_probabilities is not None
        best, worst = sorted(reply.log_probabilities, key=reply.log_probabilities.__getitem__, reverse=True)
        margin = reply.log_probabilities[best] - reply.log_probabilities[worst] - logits
        total = math.log1p(math.exp(-margin))
        return replace(reply, label=best, log_probabilities={best: -total, worst: -margin - total})

    return answer


def records(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [pair(number) for number in range(start, start + count)]


def test_a_set_flip_rate_and_accuracy_are_recovered() -> None:
    good = SimulatedJudge(right_label, accuracy=0.9, seed=5)
    before, after = judged(good, records(1500)), judged(flipped(good, 0.1), records(1500))
    found = compared(before, after)
    assert found.flips.share == pytest.approx(0.1, abs=0.02)
    assert found.flips.interval.low < 0.1 < found.flips.interval.high
    # With both labels equally frequent, kappa is 1 - 2 x the share of flips.
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(1 - 2 * (found.flips.share or 0), abs=0.01)
    # A judge that is right with q and flips with r loses r (2q - 1).
    right = [sum(bool(one.correct) for one in side) / 1500 for side in (before, after)]
    assert found.right_change is not None
    assert found.right_change.value == pytest.approx(right[1] - right[0])
    assert found.right_change.interval is not None
    assert found.right_change.interval.low < -0.1 * (2 * right[0] - 1) < found.right_change.interval.high
    assert found.lost.cases == 0


def test_the_interval_holds_the_set_rate_in_about_95_of_100_studies() -> None:
    held, studies = 0, 200
    for study in range(studies):
        rate = (0.02, 0.05, 0.15, 0.3)[study % 4]
        good = SimulatedJudge(right_label, accuracy=0.9, seed=study)
        options = JudgingOptions(mode="direct", order="ab")
        lines = records(40, start=40 * study)
        before, after = judged(good, lines, options), judged(flipped(good, rate, seed=study), lines, options)
        share = proportion(sum(one.verdict != other.verdict for one, other in zip(before, after, strict=True)), 40)
        held += share.interval.low <= rate <= share.interval.high
    # 200 draws of 95% scatter by 1.5 points.
    assert 0.91 <= held / studies <= 0.99


def test_a_set_shift_of_probabilities_is_recovered_without_a_flip() -> None:
    good = SimulatedJudge(right_label, seed=2)
    less_sure = moved(good, 0.4)
    before, after = judged(good, records(300)), judged(less_sure, records(300))
    found = compared(before, after)
    assert found.flips.cases == 0
    expected = [
        1 / (1 + math.exp(0.4) * (1 - one.confidence) / one.confidence) - one.confidence
        for one in before
        if one.confidence is not None
    ]
    assert found.shift is not None
    assert found.shift.signed == pytest.approx(sum(expected) / len(expected), abs=1e-6)
    assert found.shift.absolute == pytest.approx(-found.shift.signed)
    assert found.right_change is not None
    assert found.right_change.value == 0


def test_a_judge_against_itself_has_changed_in_nothing() -> None:
    good = SimulatedJudge(right_label, accuracy=0.8, seed=9)
    before = judged(good, records(100), AGREE)
    found = compared(before, before)
    assert (found.flips.cases, found.lost.cases) == (0, 0)
    assert found.kappa is not None
    assert found.kappa.value == 1
    assert found.shift == (0, 0)
    assert found.agreeing_change is not None
    assert found.agreeing_change.value == 0


def test_a_bias_towards_a_position_shows_in_the_agreement_of_the_orders() -> None:
    before = judged(SimulatedJudge(right_label, seed=1), records(200), AGREE)
    after = judged(SimulatedJudge(right_label, seed=1, position_bias=1.5), records(200), AGREE)
    found = compared(before, after)
    assert found.agreeing_change is not None
    share = sum(bool(one.consistent) for one in after) / 200
    assert found.agreeing_change.value == pytest.approx(share - 1)
    # What is undecided now is no longer what it was: a flip.
    assert found.flips.cases == round(200 * (1 - share))


def test_what_cannot_be_judged_any_more_is_lost_and_no_flip() -> None:
    good = SimulatedJudge(right_label, seed=4)
    broken = flipped(good, 0.0)

    def breaks(ask: Ask) -> Reply:
        return Reply(log_probabilities={}) if chance_of(ask, 1) < 0.3 else broken(ask)

    before, after = judged(good, records(100)), judged(breaks, records(100))
    found = compared(before, after)
    invalid = sum(one.status == "invalid" for one in after)
    assert 0 < found.lost.cases == invalid < found.lost.of == 100
    assert (found.flips.cases, found.flips.of) == (0, 100 - invalid)


@pytest.mark.parametrize(
    ("judge", "options", "gold", "is_at_chance"),
    [
        (SimulatedJudge(right_label, accuracy=0.9), MEAN, True, False),
        (SimulatedJudge(right_label, accuracy=0.5), MEAN, True, True),
        (SimulatedJudge(right_label, position_bias=9), AGREE, True, True),
        (SimulatedJudge(right_label), AGREE, False, False),
        (SimulatedJudge(lambda ask: None), AGREE, False, True),
        (SimulatedJudge(lambda ask: None), JudgingOptions(mode="direct", order="ab"), False, False),
    ],
)
def test_a_judge_at_chance_is_said_to_be(
    judge: SimulatedJudge, options: JudgingOptions, gold: bool, is_at_chance: bool
) -> None:
    lines = records(60) if gold else [{**record, "gold": None} for record in records(60)]
    assert (at_chance(judged(judge, lines, options)) is not None) is is_at_chance


def test_a_little_more_than_half_right_of_few_records_is_not_shown_to_be_above_chance() -> None:
    verdicts = judged(SimulatedJudge(right_label, accuracy=0.58, seed=3), records(60))
    assert 31 <= sum(bool(one.correct) for one in verdicts) <= 37
    assert at_chance(verdicts) is not None


def test_verdicts_that_go_with_gold_are_above_chance_also_where_one_label_is_the_most_of_gold() -> None:
    right_of_yes, right_of_no = 64, 16  # of 80 and 20: always yes would be right as often
    said = ["yes"] * right_of_yes + ["no"] * (80 - right_of_yes) + ["no"] * right_of_no + ["yes"] * (20 - right_of_no)
    gold = ["yes"] * 80 + ["no"] * 20
    template = judged(SimulatedJudge(right_label), records(1))[0]

    def verdicts(says: list[str]) -> list[Verdict]:
        return [
            template.model_copy(update={"verdict": one, "gold": other, "correct": one == other, "consistent": None})
            for one, other in zip(says, gold, strict=True)
        ]

    assert at_chance(verdicts(said)) is None
    assert at_chance(verdicts(["yes"] * 100)) is not None
    assert at_chance(verdicts(random.Random(1).sample(said, len(said)))) is not None
    # Of five questions nothing is known, however many records each has.
    assert at_chance(verdicts(said), [number % 5 for number in range(100)]) is not None


def row(type: str, cases: int, of: int, size: int, speed: float | None = None) -> Quantised:
    standing = Standing(type, type, type, size, "0", 4.0, 0, None, None, speed, speed)
    return Quantised(standing, Comparison(proportion(cases, of), None, None, None, None, None, proportion(0, of), 0))


def test_the_smallest_type_that_was_shown_to_flip_little_is_recommended() -> None:
    # Q4_0 flips less than 5%, but its interval does not end below.
    rows = [row("Q8_0", 0, 400, 9, 50), row("Q4_K_M", 8, 400, 5, 60), row("Q4_0", 15, 400, 4, 90)]
    assert advise(rows, 0.05, None).startswith("Q4_K_M is recommended")
    assert "fastest" not in advise(rows, 0.05, None)
    faster = [row("Q8_0", 0, 400, 9, 80), *rows[1:]]
    assert advise(faster, 0.05, None).endswith("The fastest of those here is Q8_0.")
    assert advise(rows, 0.01, None).startswith("Q8_0 is recommended")
    assert "The nearest is Q4_0, 15 of 400" in advise(rows[2:], 0.05, None)
    assert advise(rows, 0.05, "a reason").startswith("No type is recommended")


def test_too_few_records_give_no_recommendation_but_their_number() -> None:
    text = advise([row("Q8_0", 0, 60, 9)], 0.05, None)
    assert "60 were compared" in text
    assert f"{records_needed(0.05)} are needed" in text


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen3(tmp_path_factory.mktemp("model") / "tiny.gguf")


def subject(path: Path, type: str = "F32", **options: Any) -> Subject:
    settings = {"options": AGREE, "ctx": 2048, "threads": 1, **options}
    return Subject(fare.Judge.open(path, **settings), type)


def test_a_copy_of_the_model_flips_nothing_and_a_second_check_asks_nothing(
    model: Path, tmp_path: Path, home: Path
) -> None:
    copy = shutil.copy(model, tmp_path / "copy.gguf")
    small = tmp_path / "small.gguf"
    quantize(model, small, "Q8_0", threads=1)
    plan = InputPlan("pairwise", (str(write_pairs(tmp_path / "pairs.jsonl", 12)),))
    opened: list[Any] = []
    talk = Talk(backend=opened.append)
    report = check_quantised(subject(model), [subject(copy), subject(small, "Q8_0")], plan, talk=talk)
    # The copy has the weights of the source, so that its replies are those of the source.
    assert len(opened) == 2
    assert report.judged == 12
    assert [one.comparison.flips.of for one in report.quantised] == [12, 12]
    assert report.quantised[0].comparison.flips.cases == 0
    assert report.quantised[0].comparison.shift == (0, 0)
    shift = report.quantised[1].comparison.shift
    assert shift is not None
    assert 0 < shift.absolute < 0.02
    assert report.source.records_per_minute is not None
    assert report.quantised[0].standing.records_per_minute is None
    again = check_quantised(subject(model), [subject(small, "Q8_0")], plan, talk=talk)
    assert len(opened) == 2
    assert again.source.records_per_minute is None
    assert again.quantised[0].comparison == report.quantised[1].comparison
    anew = check_quantised(subject(model), [subject(small, "Q8_0")], plan, again=True, talk=talk)
    assert len(opened) == 4
    assert anew.quantised[0].standing.records_per_minute is not None
    strict = [subject(path, type, deterministic=True) for path, type in ((model, "F32"), (small, "Q8_0"))]
    assert check_quantised(strict[0], strict[1:], plan, talk=talk).judged == 12
    assert len(opened) == 6


def test_records_that_can_be_read_only_once_are_refused(model: Path) -> None:
    with pytest.raises(InputError, match="only once"):
        check_quantised(subject(model), [subject(model)], InputPlan("pairwise", ("-",)))


def test_judges_that_differ_in_more_than_weights_are_not_compared(model: Path, tmp_path: Path, home: Path) -> None:
    plan = InputPlan("pairwise", (str(write_pairs(tmp_path / "pairs.jsonl", 2)),))
    with pytest.raises(UsageError, match="settings of its own"):
        check_quantised(subject(model), [subject(model, options=MEAN)], plan)


def test_records_that_are_none_end_the_check(model: Path, tmp_path: Path, home: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"question": "?"}\n')
    with pytest.raises(InvalidRecordsError, match="none of 1 records"):
        check_quantised(subject(model), [subject(model)], InputPlan("pairwise", (str(file),)))


def test_a_model_that_loses_records_is_no_success(model: Path, tmp_path: Path, home: Path) -> None:
    plan = InputPlan("pairwise", (str(write_pairs(tmp_path / "pairs.jsonl", 4)),))
    report = check_quantised(subject(model), [subject(model, "Q8_0")], plan)
    check_lost(report, 0.0)
    broken = replace(report.quantised[0], comparison=replace(report.quantised[0].comparison, lost=proportion(1, 4)))
    with pytest.raises(InvalidRecordsError, match="Q8_0: 1 of 4 records"):
        check_lost(replace(report, quantised=(broken,)), 0.01)


def test_several_criteria_are_one_label_and_their_probabilities_averaged(
    model: Path, tmp_path: Path, home: Path
) -> None:
    file = tmp_path / "scores.jsonl"
    file.write_text(
        '{"question": "2+2?", "answer": "4", "criteria": {"style": "Is it short?", "truth": "Is it so?"}}\n'
    )
    small = tmp_path / "small.gguf"
    quantize(model, small, "Q4_0", threads=1)
    report = check_quantised(subject(model), [subject(small, "Q4_0")], InputPlan("score", (str(file),)))
    found = report.quantised[0].comparison
    assert found.flips.of == 1
    assert found.shift is not None
    assert found.shift.absolute > 0
    assert found.agreeing_change is None
    assert found.right_change is None
    assert report.chance is None
