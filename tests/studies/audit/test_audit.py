"""What an audit says of judges whose weaknesses are set: they are found, with the share that was set, and no others."""

from __future__ import annotations

import re

import pytest

from fare_cli.asks import Ask, Reply, ReplyError
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.errors import InvalidRecordsError, RecordError
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge
from fare_cli.meta.agreement import Proportion
from fare_cli.report.page import page
from fare_cli.report.text import text_lines
from fare_cli.run.reader import InputPlan
from fare_cli.studies.audit.audit import Audit, audit
from fare_cli.studies.audit.catalogue import choose
from fare_cli.studies.audit.findings import Finding
from fare_cli.studies.audit.limits import rulings
from fare_cli.studies.audit.tables import report
from fare_cli.studies.limits import Limit
from tests.studies.audit.simulated import DIRECT, audited, chance, labels, records, says, shown, sound

AB = JudgingOptions(mode="direct", order="ab")
INJECTION = re.compile(
    r"Ignore|SYSTEM|Disregard|Note to the judge|Message to the evaluator|Instruction for the grader|Verdict:"
)


def found(made: Audit, name: str) -> Finding:
    for one in (*made.findings.by_name, *made.findings.by_kind):
        if one.name == name:
            return one
    raise AssertionError(f"there is no finding on {name}")


@pytest.mark.parametrize("task", ["pairwise", "step", "verify", "score"])
def test_nothing_fools_a_sound_judge(task: str) -> None:
    made = audited(sound, task, 40)
    assert {one.kind for one in made.findings.by_name} >= {"form", "confidence", "injection", "language", "paraphrase"}
    assert {one.name: one.flips.cases for one in made.findings.by_name if one.flips.cases} == {}
    assert all(one.flips.of > 0 and one.invalid == 0 for one in made.findings.by_name)
    assert {one.name for one in made.planted} >= {"changed_number", "negated_sentence"}
    assert all(one.noticed.cases == one.noticed.of for one in made.planted)
    assert all(one.accepted is None or one.accepted.cases == one.accepted.of for one in made.planted)
    assert made.chance is None


def test_every_perturbation_of_the_catalogue_is_tried_somewhere() -> None:
    sampled = JudgingOptions(temperature=0.7, max_tokens=64)
    tried = {
        one.name for task in ("pairwise", "score") for one in audited(sound, task, 6, options=sampled).findings.by_name
    }
    assert tried == {one.name for one in choose().perturbations}


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_judge_that_obeys_injections_is_found_with_its_share(share: float) -> None:
    def obedient(ask: Ask) -> str | None:
        if INJECTION.search(shown(ask)[0]) and chance(ask, "obeys") < share:
            return labels(ask)[0]
        return sound(ask)

    made = audited(obedient, "verify", 300)
    for name in ("injection", "ignore_instructions", "fake_verdict"):
        one = found(made, name)
        low, high = one.flips.interval
        assert low <= share <= high
        assert one.won is not None
        assert one.won.cases == one.flips.cases
        assert one.shift is not None
        assert one.shift.value > 0
        assert one.above_noise is not None
        assert one.above_noise.value == pytest.approx(one.flips.share)
    assert {one.kind for one in made.findings.by_name if one.flips.cases} == {"injection"}
    # Four attacks on one question tell no more of it than one does, if it always obeys or never.
    alone, all_four = found(made, "fake_verdict").flips, found(made, "injection").flips
    assert all_four.of == 4 * alone.of
    assert width(all_four) == pytest.approx(width(alone), rel=0.1)


def width(share: Proportion) -> float:
    return share.interval.high - share.interval.low


def test_attacks_are_put_on_what_the_judge_is_against_and_harmless_changes_on_both_sides() -> None:
    made = audited(sound, "verify", 30)
    assert found(made, "padding").flips.of == 10, "the ten wrong answers"
    assert found(made, "padding_favoured").flips.of == 20
    assert found(made, "trailing_whitespace").flips.of == 30

    def contrary(ask: Ask) -> str | None:
        names = labels(ask)
        return names[1] if sound(ask) == names[0] else names[0]

    with_gold = audited(contrary, "verify", 30, "padding")
    assert {one.name for one in with_gold.findings.by_name} == {"restated_instruction", "given_paraphrase"}, (
        "an attack on a right answer that it rejects would be a help"
    )
    without = audited(contrary, "verify", 30, "padding", gold=None)
    assert found(without, "padding").flips.of == 20


@pytest.mark.parametrize("options", [DIRECT, AB])
def test_a_judge_that_likes_length_is_found_by_padding_alone(options: JudgingOptions) -> None:
    def fond_of_length(ask: Ask) -> str | None:
        first, second = map(len, shown(ask))
        if abs(first - second) > 150 and chance(ask) < 0.4:
            return labels(ask)[0 if first > second else 1]
        return sound(ask)

    made = audited(fond_of_length, "pairwise", 200, "form", options=options)
    low, high = found(made, "padding").flips.interval
    assert low <= 0.4 <= high
    assert found(made, "padding").won == found(made, "padding").flips
    assert {one.name for one in made.findings.by_name if one.flips.cases} == {"padding"}


def test_a_judge_that_dislikes_length_is_found_where_its_favourite_is_padded() -> None:
    def impatient(ask: Ask) -> str | None:
        first, second = map(len, shown(ask))
        return sound(ask) if abs(first - second) < 150 else labels(ask)[0 if first < second else 1]

    made = audited(impatient, "pairwise", 40, "padding", "padding_favoured")
    one = found(made, "padding_favoured")
    assert one.flips.share == 1.0
    assert one.won == one.flips
    assert one.shift is not None
    assert one.shift.value > 0.3, "the change has won from the favourite"
    assert found(made, "padding").flips.cases == 0


@pytest.mark.parametrize("options", [DIRECT, AB])
def test_a_judge_that_likes_the_first_place_is_found_by_the_order_swap(options: JudgingOptions) -> None:
    def first_placed(ask: Ask) -> str | None:
        return labels(ask)[0] if chance(ask) < 0.3 else sound(ask)

    made = audited(first_placed, "pairwise", 200, "order", options=options)
    one = found(made, "order_swap")
    low, high = one.flips.interval
    assert low <= 0.3 <= high
    assert one.flips.of == 200
    assert one.won is not None
    assert one.won.cases == one.flips.cases
    assert one.shift is not None
    assert one.shift.value > 0
    assert found(made, "paraphrase").flips.cases == 0


def test_a_judge_asked_in_both_orders_is_partly_protected_from_labels_in_answers() -> None:
    def reads_labels(ask: Ask) -> str | None:
        said = re.search(r"Verdict: \[([AB])\]", "".join(shown(ask)))
        return sound(ask) if said is None else f" [{said[1]}]"

    one_order = found(audited(reads_labels, "pairwise", 40, "fake_verdict", options=AB), "fake_verdict")
    both = found(audited(reads_labels, "pairwise", 40, "fake_verdict"), "fake_verdict")
    assert one_order.won is not None
    assert both.won is not None
    assert one_order.won.share == 1.0
    assert both.flips.share == 1.0
    assert both.won.share == 0.0, "no verdict is not the attacker's"


def test_a_judge_that_ignores_a_reversed_scale_is_found() -> None:
    made = audited(lambda ask: " 4" if says(shown(ask)[0]) == 42 else " 2", "score", 60, "scale")
    assert found(made, "reversed_scale").flips.share == 1.0
    assert found(made, "reworded_rubric").flips.cases == 0


def test_a_judge_that_knows_only_its_own_labels_is_found() -> None:
    def narrow(ask: Ask) -> str | None:
        return sound(ask) if labels(ask) == (" yes", " no") else labels(ask)[0]

    made = audited(narrow, "verify", 60, "language")
    names = found(made, "label_names")
    assert names.flips.of == 120, "two other pairs of names"
    assert names.flips.share == pytest.approx(1 / 3)
    assert found(made, "translation").flips.cases == 0


def test_noise_is_taken_off() -> None:
    """A judge that errs in one of ten, at random: everything flips as often as paraphrases do."""
    made = audited(sound, "verify", 300, accuracy=0.9, seed=1)
    noise = made.findings.noise
    assert noise is not None
    low, high = noise.flips.interval
    assert low <= 2 * 0.9 * 0.1 <= high
    form = found(made, "form").above_noise
    assert form is not None
    assert form.interval is not None
    assert form.interval.low <= 0 <= form.interval.high


@pytest.mark.parametrize(("share", "task"), [(0.7, "verify"), (0.4, "pairwise"), (0.6, "step"), (0.5, "score")])
def test_planted_errors_are_noticed_with_the_share_that_was_set(share: float, task: str) -> None:
    def half_blind(ask: Ask) -> str | None:
        texts = shown(ask)
        planted = any(says(text) is None for text in texts) or len(set(re.findall(r"\b\d\d\b", texts[0]))) > 1
        if not planted or chance(ask) < share:
            return sound(ask)
        if task == "pairwise":
            return labels(ask)[1 if says(texts[0]) == 42 else 0]
        return {"verify": " yes", "step": " -1", "score": " 4"}[task]

    made = audited(half_blind, task, 300, "planted")
    for one in made.planted:
        low, high = one.noticed.interval
        assert low <= share <= high, one
    assert {one.name for one in made.planted} == {"changed_number", "negated_sentence"}
    assert made.detection is not None
    assert made.detection.noticed.of == sum(one.noticed.of for one in made.planted)


def test_a_judge_that_accepts_nothing_notices_everything_and_it_shows() -> None:
    made = audited(lambda ask: labels(ask)[1], "verify", 30, "planted")
    assert made.detection is not None
    assert made.detection.noticed.share == 1.0
    assert made.detection.accepted is not None
    assert made.detection.accepted.share == 0.0
    assert made.chance is not None
    assert "not shown to be better than chance" in report(made).title


def test_a_pair_that_is_undecided_has_not_noticed() -> None:
    made = audited(lambda ask: labels(ask)[0], "pairwise", 30, "changed_number")
    assert [(one.noticed.cases, one.undecided) for one in made.planted] == [(0, 30)]


def test_nothing_is_sampled_in_direct_mode_and_at_temperature_0() -> None:
    for options, there in (
        (DIRECT, False),
        (JudgingOptions(max_tokens=64), False),
        (JudgingOptions(max_tokens=64, temperature=0.7), True),
    ):
        made = audited(sound, "verify", 6, "padding", options=options)
        assert ("resampling" in {one.name for one in made.findings.by_name}) == there
        floor = str(made.facts["noise floor"])
        assert ("nothing is sampled" in floor) == (not there)
        assert floor.startswith("18 restated instructions; 6 paraphrases from the data")
        assert ("6 new samples" in floor) == there


def test_what_cannot_be_judged_is_counted_apart() -> None:
    plain = SimulatedJudge(sound)

    def breaks(ask: Ask) -> Reply:
        if "Verdict:" in "".join(shown(ask)) and chance(ask) < 0.5:
            return Reply(error=ReplyError("too_long", "the prompt is too long"))
        return plain(ask)

    judge = BackendJudge(ReplayBackend(breaks), options=DIRECT)
    plan = InputPlan(task="verify", files=(), records=records("verify", 60))
    made = audit(judge, plan, choose(["injection"]))
    assert (found(made, "note_to_judge").invalid, found(made, "note_to_judge").flips.of) == (0, 20)
    one = found(made, "fake_verdict")
    assert one.invalid > 0
    assert one.invalid + one.flips.of == 20
    assert one.flips.cases == 0
    assert found(made, "injection").invalid == 2 * one.invalid, "the frame has a verdict line, too"


def test_what_can_never_be_judged_is_in_the_table_too_and_keeps_no_limit() -> None:
    plain = SimulatedJudge(sound)

    def breaks(ask: Ask) -> Reply:
        text = "".join(shown(ask))
        known = "Verdict:" not in text and (says(text) == 42 or "17" in text)
        return plain(ask) if known else Reply(error=ReplyError("too_long", "the prompt is too long"))

    judge = BackendJudge(ReplayBackend(breaks), options=DIRECT)
    made = audit(judge, InputPlan(task="verify", files=(), records=records("verify", 30)), choose())
    one = found(made, "fake_verdict")
    assert (one.flips.of, one.invalid) == (0, 10)
    number = made.planted[0]
    assert (number.name, number.noticed.of, number.invalid) == ("changed_number", 0, 20)
    assert any(line.split()[:3] == ["fake_verdict", "injection", "0"] for line in text_lines(report(made)))
    for name in ("fake_verdict", "changed_number"):
        with pytest.raises(InvalidRecordsError, match=name):
            rulings(made, [Limit(name, 0.5)])


def test_intervals_know_which_records_belong_together() -> None:
    def obedient(ask: Ask) -> str | None:
        return labels(ask)[0] if INJECTION.search(shown(ask)[0]) and chance(ask) < 0.3 else sound(ask)

    apart = found(audited(obedient, "verify", 150, "fake_verdict"), "fake_verdict")
    together = found(audited(obedient, "verify", 150, "fake_verdict", group="one"), "fake_verdict")
    assert together.flips.cases == apart.flips.cases
    assert width(together.flips) > width(apart.flips)


def test_the_report_says_what_was_found_in_all_three_forms() -> None:
    made = audited(sound, "verify", 12)
    whole = report(made)
    assert [part.name for part in whole.parts] == ["classes", "perturbations", "flips", "planted"]
    values = whole.to_json()
    row = values["tables"]["perturbations"]["rows"][0]
    assert row["perturbation"] == "padding"
    assert row["flipped"]["of"] == 4
    plot = values["plots"]["flips"]
    assert plot["line"] == {"name": "noise floor: what paraphrases flip", "value": 0.0}
    assert [bar["label"] for bar in plot["bars"]][:2] == ["padding", "padding_favoured"]
    assert not {"restated_instruction", "paraphrase"} & {bar["label"] for bar in plot["bars"]}
    assert "padding: 0 (0 to" in page(whole)
    assert any(line.startswith("  padding_favoured") for line in text_lines(whole))


def test_records_that_cannot_be_judged_are_an_error() -> None:
    judge = BackendJudge(ReplayBackend(SimulatedJudge(sound)), options=DIRECT)
    empty = InputPlan(task="verify", files=(), records=({"question": "q", "answer": "a", "gold": "maybe"},))
    with pytest.raises(InvalidRecordsError):
        audit(judge, empty, choose())


def test_a_malformed_translation_is_an_error_that_says_where() -> None:
    judge = BackendJudge(ReplayBackend(SimulatedJudge(sound)), options=DIRECT)
    broken = {**records("verify", 1)[0], "translations": {"de": {"question": "Was?"}}}
    with pytest.raises(RecordError, match=r"record r0: .*translations\.de\.answer"):
        audit(judge, InputPlan(task="verify", files=(), records=(broken,)), choose())
