"""What is said of a verdict that came out otherwise when the same was asked again."""

from __future__ import annotations

import math

import pytest

from fare_cli.studies.differing.difference import Repeat
from fare_cli.studies.differing.judges import JudgePart
from fare_cli.studies.differing.repeats import repeat_of, why
from fare_cli.verdicts import Cascaded, Judgement, Stage, Verdict

SAME = JudgePart("weights", True, "", "")
OTHER = JudgePart("prompts", False, "a", "b")
ENGINE = JudgePart("engine", False, "a", "b")
UNKNOWN = JudgePart("engine", None, "", "")


@pytest.mark.parametrize(
    ("parts", "margin", "same_text", "said"),
    [
        ([SAME], 2.0, None, "nondeterminism"),
        ([SAME], 0.29, None, "nondeterminism; a near-tie"),
        ([SAME], 0.31, None, "nondeterminism"),
        ([SAME], 2.0, True, "nondeterminism"),
        ([SAME], 2.0, False, "nondeterminism; another critique"),
        ([SAME, OTHER], 2.0, None, "prompts"),
        ([SAME, OTHER, ENGINE], 0.1, False, "prompts, engine; another critique; a near-tie"),
        ([SAME, UNKNOWN], 2.0, None, "engine or nondeterminism"),
        ([OTHER, UNKNOWN], None, None, "prompts"),
    ],
)
def test_the_parts_that_differ_are_the_reason_and_chance_where_none_does(
    parts: list[JudgePart], margin: float | None, same_text: bool | None, said: str
) -> None:
    assert why(parts, Repeat(margin, 0.1, False, same_text)) == said


def judgement(yes: float, *, vote: int = 0, critique: str | None = None) -> Judgement:
    shares = {"yes": yes, "no": 1 - yes}
    label = max(shares, key=shares.__getitem__)
    margin = abs(math.log(yes) - math.log(1 - yes))
    return Judgement(vote=vote, label=label, means=label, probabilities=shares, margin=margin, critique=critique)


def verdict(*judgments: Judgement) -> Verdict:
    return Verdict(id="r", task="verify", status="ok", verdict="yes", judgments=list(judgments))


def test_the_farthest_that_a_label_moved_and_the_nearest_that_another_one_was() -> None:
    before = verdict(judgement(0.8), judgement(0.6, vote=1))
    found = repeat_of(before, verdict(judgement(0.8), judgement(0.3, vote=1)))
    assert found.margin == pytest.approx(math.log(0.6 / 0.4))
    assert found.moved == pytest.approx(math.log(0.6 / 0.3))
    assert (found.exact, found.same_text) == (False, None)


def test_what_a_file_rounds_is_no_change() -> None:
    found = repeat_of(verdict(judgement(0.333333)), verdict(judgement(1 / 3)))
    assert (found.moved, found.exact) == (0, True)


def test_votes_that_were_not_asked_again_are_not_compared_and_not_the_same() -> None:
    found = repeat_of(verdict(judgement(0.8), judgement(0.9, vote=1)), verdict(judgement(0.8)))
    assert (found.moved, found.exact) == (0, False)
    assert repeat_of(verdict(judgement(0.8)), verdict()).moved is None


def test_another_stage_of_a_cascade_is_the_reason_rather_than_its_words() -> None:
    def of_stage(stage: Stage, judgement: Judgement) -> Verdict:
        return verdict(judgement).model_copy(update={"cascade": Cascaded(decided_by=stage, stages=[])})

    direct, critique = of_stage("direct", judgement(0.8)), of_stage("critique", judgement(0.8, critique="Good."))
    assert why([SAME], repeat_of(direct, critique)) == "nondeterminism; another stage decided"
    assert why([SAME], repeat_of(direct, direct)) == "nondeterminism"


def test_a_critique_in_other_words_is_told_from_the_same_one() -> None:
    one = verdict(judgement(0.8, critique="Good."))
    assert repeat_of(one, one).same_text is True
    assert repeat_of(one, verdict(judgement(0.8, critique="Fine."))).same_text is False
