"""How the verdicts of several judges on one record become one. The rules have names, which verdicts carry as `rule`.

`panel_majority`: the label that most members gave; of several with equally many the one with the greatest mean
probability. Members that gave none (orders that differ) have no vote; where nobody has, there is no verdict.
`panel_mean`: the label with the greatest mean probability, so that a sure member counts for more than one in doubt.

Under both, `probabilities` are the mean over the members that could judge the record. Panels of small judges are in
Verga et al. 2024 (arXiv 2404.18796).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from fare_cli.tasks.votes import most_probable
from fare_cli.verdicts import CriterionScore, MemberSaid, PanelSaid, Usage, Verdict

PanelRule = Literal["majority", "mean"]


class _Combined(NamedTuple):
    label: str | None
    probabilities: dict[str, float]


def panel_verdict(names: Sequence[str], verdicts: Sequence[Verdict], rule: PanelRule) -> Verdict:
    """The panel's verdict from those of its members on the same record. Pure.

    A member that could not judge the record is left out; where none could, the record is invalid, for the reason of the
    first. `names` are those of the members' models.
    """
    able = [verdict for verdict in verdicts if verdict.status == "ok"]
    first = able[0] if able else verdicts[0]
    members = [_member(name, verdict) for name, verdict in zip(names, verdicts, strict=True)]
    combined = _label(able, rule)
    found = first.model_copy(
        update={
            "verdict": combined.label,
            "confidence": None if combined.label is None else combined.probabilities[combined.label],
            "probabilities": combined.probabilities or None,
            "consistent": None,
            "judgments": [],
            "cascade": None,
            "usage": _usage(verdicts),
            "panel": PanelSaid(
                agreeing=sum(verdict.verdict == combined.label for verdict in able) if combined.label else 0,
                members=members,
            ),
        }
    )
    if not able:
        return found
    return found.model_copy(
        update={
            "rule": f"panel_{rule}",
            "correct": None if first.correct is None else combined.label == _gold_label(first.gold),
            "step": int(combined.label) if first.task == "step" and combined.label is not None else None,
            **_scores(able, combined, rule),
        }
    )


def _label(verdicts: Sequence[Verdict], rule: PanelRule) -> _Combined:
    shares = [verdict.probabilities for verdict in verdicts if verdict.probabilities is not None]
    return _Combined(None, {}) if not shares else _combined([verdict.verdict for verdict in verdicts], shares, rule)


def _combined(labels: Sequence[str | None], shares: Sequence[Mapping[str, float]], rule: PanelRule) -> _Combined:
    mean = {label: sum(one[label] for one in shares) / len(shares) for label in shares[0]}
    if rule == "mean":
        return _Combined(most_probable(mean), mean)
    votes = Counter(label for label in labels if label is not None)
    if not votes:
        return _Combined(None, mean)
    most = max(votes.values())
    return _Combined(most_probable({label: mean[label] for label in mean if votes[label] == most}), mean)


def _scores(verdicts: Sequence[Verdict], combined: _Combined, rule: PanelRule) -> dict[str, object]:
    """The fields of `score`: the mean of expected scores, and each criterion by the rule."""
    if verdicts[0].task != "score":
        return {}
    expected = [verdict.expected_score for verdict in verdicts if verdict.expected_score is not None]
    criteria = [verdict.criteria for verdict in verdicts if verdict.criteria is not None]
    return {
        "score": None if combined.label is None else int(combined.label),
        "expected_score": sum(expected) / len(expected) if expected else None,
        "criteria": {name: _criterion([one[name] for one in criteria], rule) for name in criteria[0]}
        if criteria
        else None,
    }


def _criterion(scores: Sequence[CriterionScore], rule: PanelRule) -> CriterionScore:
    shares = [one.probabilities or {} for one in scores]
    combined = _combined([str(one.score) for one in scores], shares, rule)
    assert combined.label is not None
    return CriterionScore(
        score=int(combined.label),
        expected_score=sum(one.expected_score or 0.0 for one in scores) / len(scores),
        probabilities=combined.probabilities,
    )


def _gold_label(gold: str | float | None) -> str | None:
    return gold if gold is None or isinstance(gold, str) else str(int(gold))


def _member(name: str, verdict: Verdict) -> MemberSaid:
    return MemberSaid(
        model=name,
        judge=verdict.judge,
        status=verdict.status,
        verdict=verdict.verdict,
        probabilities=verdict.probabilities,
        confidence=verdict.confidence,
        consistent=verdict.consistent,
        judgments=verdict.judgments,
        usage=verdict.usage,
        error=verdict.error,
    )


def _usage(verdicts: Sequence[Verdict]) -> Usage:
    return Usage(
        prompt_tokens=sum(verdict.usage.prompt_tokens for verdict in verdicts),
        generated_tokens=sum(verdict.usage.generated_tokens for verdict in verdicts),
    )
