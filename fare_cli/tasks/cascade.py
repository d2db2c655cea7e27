"""Cheap judgments first, dearer ones only where those are not certain (`--mode auto`).

The stages are a direct judgment, one critique, and several votes. Each is an ordinary judge of the task with asks of
its own, `STAGE/...`; the first whose verdict is certain enough decides, and what later stages would say is never asked.
In the field this is a cascade (Viola & Jones 2001; of language models Chen et al. 2023, FrugalGPT, arXiv 2305.05176).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from fare_cli.asks import Ask, Reply
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record
from fare_cli.verdicts import Cascaded, Stage, StageSaid, Usage, Verdict

# Digits of what verdict files keep, so that thresholds learnt from files hold for the same verdicts.
_DIGITS = 6


class _Judging(Protocol):
    """A task of one stage."""

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict: ...


class CascadeStage(NamedTuple):
    """A judge of a cascade, and the certainty from which on it decides."""

    name: Stage
    task: _Judging
    threshold: float


def stage_options(options: JudgingOptions) -> dict[Stage, JudgingOptions]:
    """The judges that a cascade with these options goes through, in order, whatever its thresholds are. The direct one
    does not think, the critique is greedy."""
    plain = JudgingOptions()
    greedy = replace(options, thresholds=None, mode="critique", votes=1, temperature=0.0, seed=plain.seed)
    stages: dict[Stage, JudgingOptions] = {
        "direct": replace(greedy, mode="direct", reasoning=plain.reasoning, reasoning_tokens=None),
        "critique": greedy,
    }
    if options.several_votes:
        stages["votes"] = replace(options, thresholds=None, mode="critique")
    return stages


def stage_thresholds(options: JudgingOptions) -> dict[Stage, float]:
    """The stages that are asked, each with the certainty from which on it decides; the last one always does."""
    assert options.thresholds is not None
    *earlier, last = stage_options(options)
    wanted = {"direct": options.thresholds.direct, "critique": options.thresholds.critique}
    thresholds: dict[Stage, float] = {}
    for name in earlier:
        if (threshold := wanted[name]) is not None:
            thresholds[name] = threshold
    return {**thresholds, last: 0.0}


def certainty(verdict: Verdict) -> float:
    """How certain a verdict is, 0 to 1: its confidence, 0 where the two orders of a pair differ. With several criteria
    that of the least certain score."""
    if verdict.consistent is False:
        return 0.0
    if verdict.criteria is not None:
        sure = [max((one.probabilities or {}).values(), default=0.0) for one in verdict.criteria.values()]
        return round(min(sure), _DIGITS)
    return round(verdict.confidence or 0.0, _DIGITS)


@dataclass(frozen=True, slots=True)
class Cascade:
    """A task judged in stages. Asks are those of the stages, `direct/ab/0` or `votes/single/3`."""

    name: str
    prompt: TaskPrompt
    options: JudgingOptions
    stages: tuple[CascadeStage, ...]

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """The asks of the first stage that has not judged yet; the verdict once a stage is certain, or the last one
        has judged. What cannot be judged at one stage is invalid. Pure."""
        said: list[StageSaid] = []
        for stage in self.stages:
            prefix = f"{stage.name}/"
            own = {name.removeprefix(prefix): reply for name, reply in replies.items() if name.startswith(prefix)}
            outcome = stage.task.step(record, own)
            if not isinstance(outcome, Verdict):
                return [replace(ask, id=prefix + ask.id) for ask in outcome]
            said.append(_said(stage.name, outcome))
            if outcome.status == "invalid" or certainty(outcome) >= stage.threshold:
                cascade = Cascaded(decided_by=stage.name, stages=said)
                return outcome.model_copy(update={"usage": _total(said), "cascade": cascade})
        raise AssertionError("the last stage of a cascade decides whatever its certainty is")


def _said(stage: Stage, verdict: Verdict) -> StageSaid:
    return StageSaid(
        stage=stage,
        verdict=verdict.verdict,
        confidence=verdict.confidence,
        consistent=verdict.consistent,
        votes=max((one.vote + 1 for one in verdict.judgments), default=0),
        usage=verdict.usage,
    )


def _total(said: list[StageSaid]) -> Usage:
    return Usage(
        prompt_tokens=sum(one.usage.prompt_tokens for one in said),
        generated_tokens=sum(one.usage.generated_tokens for one in said),
    )
