"""Which stage of a cascade is asked, which decides, and what the verdict says of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fare_cli.asks import Ask, Direct, Judgment, Reply, ReplyError
from fare_cli.errors import UsageError
from fare_cli.identity import JudgeIdentity, JudgingOptions, Thresholds
from fare_cli.prompting import load_task_prompt
from fare_cli.records import Verdict, parse
from fare_cli.tasks import Task, check_options, make_task
from tests.tasks.making import reply

AUTO = JudgingOptions(mode="auto", votes="auto", temperature=0.7)
ENDING_WITH_THE_CRITIQUE = JudgingOptions(mode="auto")
RECORDS: dict[str, dict[str, Any]] = {
    "pairwise": {"question": "Q", "answer_a": "one", "answer_b": "two", "gold": "A"},
    "step": {"question": "Q", "steps": ["a", "b"], "gold": -1},
    "verify": {"question": "Q", "answer": "one", "gold": True},
    "score": {"question": "Q", "answer": "one", "criteria": {"x/y": "a", "z": "b"}},
}


def task_of(name: str, options: JudgingOptions) -> Task:
    return make_task(load_task_prompt(name), options)


def said(ask: Ask, sure: float) -> Reply:
    """This share for the right label: the first one, but in order `ba` the second."""
    assert isinstance(ask.script, Direct | Judgment)
    labels = list(ask.script.labels)
    right = labels[1] if "/ba/" in ask.id else labels[0]
    rest = (1 - sure) / (len(labels) - 1)
    shares = {label: sure if label == right else rest for label in labels}
    return reply(shares, prompt_tokens=100, generated_tokens=0 if isinstance(ask.script, Direct) else 30)


def through(task: Task, sure: dict[str, float]) -> tuple[list[Ask], Verdict]:
    """All asks until the verdict, and it; `sure` by stage, or by stage and order."""
    record = parse(task.name, RECORDS[task.name])
    replies: dict[str, Reply] = {}
    asked: list[Ask] = []
    while isinstance(asks := task.step(record, replies), list):
        for ask in asks:
            stage, order = ask.id.split("/")[:2]
            replies[ask.id] = said(ask, sure.get(f"{stage}/{order}", sure.get(stage, 0.0)))
        asked += asks
    return asked, asks


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(
    ("sure", "stages"),
    [
        ({"direct": 0.97}, ["direct"]),
        ({"direct": 0.94, "critique": 0.92}, ["direct", "critique"]),
        ({"direct": 0.94, "critique": 0.8, "votes": 0.7}, ["direct", "critique", "votes"]),
    ],
)
def test_the_first_certain_stage_decides_and_later_ones_are_never_asked(
    name: str, sure: dict[str, float], stages: list[str]
) -> None:
    asked, verdict = through(task_of(name, AUTO), sure)
    assert list(dict.fromkeys(ask.id.split("/")[0] for ask in asked)) == stages
    assert verdict.cascade is not None
    assert verdict.cascade.decided_by == stages[-1]
    assert [one.stage for one in verdict.cascade.stages] == stages
    assert verdict.usage.prompt_tokens == 100 * len(asked)
    assert sum(one.usage.generated_tokens for one in verdict.cascade.stages) == verdict.usage.generated_tokens
    direct = [ask for ask in asked if isinstance(ask.script, Direct)]
    assert verdict.cascade.stages[0].usage.prompt_tokens == 100 * len(direct)
    assert verdict.usage.generated_tokens == 30 * (len(asked) - len(direct))
    assert Verdict.from_line(verdict.to_line()).cascade is not None
    if name != "score":
        assert verdict.correct
    # What the verdict says beside is what its last stage says by itself.
    alone = {
        "direct": replace(AUTO, mode="direct", votes=1, temperature=0.0, thresholds=None),
        "critique": JudgingOptions(),
        "votes": replace(AUTO, mode="critique", thresholds=None),
    }
    prefix = f"{stages[-1]}/"
    replies = {ask.id.removeprefix(prefix): said(ask, sure[stages[-1]]) for ask in asked if ask.id.startswith(prefix)}
    only = task_of(name, alone[stages[-1]]).step(parse(name, RECORDS[name]), replies)
    assert isinstance(only, Verdict)
    assert verdict.model_copy(update={"cascade": None, "usage": only.usage}) == only


def test_orders_that_differ_go_on_however_sure_each_is() -> None:
    for combine in ("agree", "mean"):
        task = task_of("pairwise", replace(AUTO, combine=combine))  # type: ignore[arg-type]
        _, verdict = through(task, {"direct/ab": 0.9999999, "direct/ba": 0.4, "critique": 0.99})
        assert verdict.cascade is not None
        assert [one.consistent for one in verdict.cascade.stages] == [False, True]
        assert verdict.cascade.decided_by == "critique"


def test_the_last_stage_decides_whatever_it_says() -> None:
    _, verdict = through(
        task_of("pairwise", ENDING_WITH_THE_CRITIQUE), {"direct": 0.6, "critique/ab": 0.6, "critique/ba": 0.3}
    )
    assert verdict.cascade is not None
    assert verdict.cascade.decided_by == "critique"
    assert verdict.verdict is None
    assert verdict.correct is False


def test_the_stages_ask_as_they_would_alone() -> None:
    """So that a journal answers a cascade with what one of its stages was asked before."""
    asked, _ = through(task_of("verify", AUTO), {"direct": 0.6, "critique": 0.6, "votes": 0.9})
    keys = {ask.content_hash("w") for ask in asked}
    alone = set()
    for options in (JudgingOptions(mode="direct"), JudgingOptions(), JudgingOptions(votes=4, temperature=0.7)):
        asks = task_of("verify", options).step(parse("verify", RECORDS["verify"]), {})
        assert isinstance(asks, list)
        alone |= {ask.content_hash("w") for ask in asks}
    assert keys == alone


def test_a_stage_without_a_threshold_is_passed_over() -> None:
    options = replace(AUTO, thresholds=Thresholds(direct=None, critique=0.9))
    asked, verdict = through(task_of("verify", options), {"critique": 0.95})
    assert [ask.id for ask in asked] == ["critique/single/0"]
    assert verdict.cascade is not None
    assert [one.stage for one in verdict.cascade.stages] == ["critique"]
    only_votes = replace(AUTO, thresholds=Thresholds(direct=None, critique=None))
    asked, _ = through(task_of("verify", only_votes), {"votes": 0.95})
    assert {ask.id.split("/")[0] for ask in asked} == {"votes"}


def test_a_stage_that_cannot_be_judged_makes_the_record_invalid_and_says_what_it_cost() -> None:
    task, record = task_of("verify", AUTO), parse("verify", RECORDS["verify"])
    replies = {
        "direct/single/0": reply({" yes": 0.6, " no": 0.4}, prompt_tokens=70),
        "critique/single/0": Reply(error=ReplyError("too_long", "m"), prompt_tokens=5),
    }
    verdict = task.step(record, replies)
    assert isinstance(verdict, Verdict)
    assert (verdict.status, verdict.error and verdict.error.kind) == ("invalid", "too_long")
    assert verdict.usage.prompt_tokens == 75
    assert verdict.cascade is not None
    assert verdict.cascade.decided_by == "critique"


def test_only_critiques_think() -> None:
    asked, _ = through(task_of("verify", replace(AUTO, reasoning="low")), {"direct": 0.5, "critique": 0.5, "votes": 1})
    assert [ask.script.reasoning is not None for ask in asked[:3]] == [False, True, True]  # type: ignore[union-attr]


def identity(options: JudgingOptions) -> JudgeIdentity:
    return JudgeIdentity("pairwise", "m", "w", "p", "o", options)


def test_thresholds_make_another_judge_but_no_other_replies() -> None:
    plain = identity(AUTO)
    other = identity(replace(AUTO, thresholds=Thresholds(0.5, 0.5)))
    assert other.fingerprint != plain.fingerprint
    assert other.asking_fingerprint == plain.asking_fingerprint
    assert plain.to_json()["options"]["thresholds"] == {"direct": 0.95, "critique": 0.9}
    assert json.dumps(plain.to_json())
    # Without votes the critique's threshold, and what is about sampling, change nothing.
    ending = identity(ENDING_WITH_THE_CRITIQUE)
    same = replace(ENDING_WITH_THE_CRITIQUE, thresholds=Thresholds(0.95, 0.1), temperature=0.9, seed=4)
    assert identity(same).fingerprint == ending.fingerprint
    assert ending.fingerprint != plain.fingerprint


def test_judges_without_a_cascade_keep_their_fingerprints() -> None:
    """Those that they had before there was one: journals and calibrations stay good."""
    known = {
        "80f609ae07fb9346": JudgingOptions(),
        "22cc16176f7f2665": JudgingOptions(mode="direct"),
        "747770550675e137": JudgingOptions(votes=4, temperature=0.7, seed=3),
        "a4677d4661f71169": JudgingOptions(tie=True, reasoning="low"),
    }
    assert {identity(options).fingerprint: options for options in known.values()} == known


def test_votes_need_a_temperature_here_too() -> None:
    check_options("pairwise", AUTO)
    check_options("pairwise", ENDING_WITH_THE_CRITIQUE)
    for options in (replace(AUTO, temperature=0.0), JudgingOptions(votes="auto")):
        with pytest.raises(UsageError, match="--votes auto needs a --temperature above 0"):
            check_options("pairwise", options)
    with pytest.raises(UsageError, match="--votes auto needs --mode critique"):
        check_options("verify", JudgingOptions(mode="direct", votes="auto", temperature=0.7))
