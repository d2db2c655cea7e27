"""A panel of judges: every member judges all records in a run of its own, then their verdicts become the panel's.

Members take turns, so that a panel needs the memory of its largest model only. At once they would be no faster: they
would share the same processor. Each keeps its verdict file with manifest and journal, and so can be stopped, taken up,
measured and replayed like any other run. The panel's verdicts are computed from these files by a run that asks no
model.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.asks import Ask, Backend, Reply
from fare_cli.errors import InputError, UsageError
from fare_cli.identity import JudgeIdentity
from fare_cli.records import Record
from fare_cli.run.lines import InputDigest
from fare_cli.run.runner import Outcome, RunPlan, run
from fare_cli.studies.judging import label_of
from fare_cli.studies.kept import kept_verdicts
from fare_cli.tasks.panel import PanelRule, panel_verdict
from fare_cli.verdicts import Verdict


class PanelMember(NamedTuple):
    """A member by its name in this panel, what makes it the judge it is, and the file of its verdicts."""

    name: str
    identity: JudgeIdentity
    output: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelIdentity(JudgeIdentity):
    """What makes a panel: its members in their order, and the rule. What was asked does not depend on the rule."""

    rule: PanelRule
    members: tuple[JudgeIdentity, ...]

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything that can change a verdict."""
        return _digest(["panel", self.rule, *(member.fingerprint for member in self.members)])

    @property
    def asking_fingerprint(self) -> str:
        """16 hex digits over what can change a reply."""
        return _digest(["panel", *(member.asking_fingerprint for member in self.members)])

    def to_json(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "model": self.model,
            "weights": self.weights,
            "prompts": self.prompts,
            "prompts_origin": self.prompts_origin,
            "panel": {"rule": self.rule, "members": [member.to_json() for member in self.members]},
            "fingerprint": self.fingerprint,
            "asking_fingerprint": self.asking_fingerprint,
        }


class Agreement(NamedTuple):
    """How often two members said the same of records that both could judge, and how much of that chance would not have
    done (Cohen's kappa; None where chance alone would agree fully)."""

    members: tuple[str, str]
    same: int
    records: int
    kappa: float | None


@dataclass(slots=True)
class PanelRun:
    """How the panel's own run went, and how far its members agreed."""

    outcome: Outcome
    agreements: list[Agreement]


def members_of(identities: Sequence[tuple[str, JudgeIdentity]], output: Path) -> list[PanelMember]:
    """The members of a panel, each with a name and a file of its own beside `output`: `OUT.MEMBER.jsonl`.

    Raises UsageError for fewer than two, or for two with the same weights, whose votes would be one vote.
    """
    if len(identities) < 2:
        raise UsageError("--panel needs two models or more", "for example --panel one.gguf,other.gguf")
    by_weights: dict[str, str] = {}
    members: list[PanelMember] = []
    for model, identity in identities:
        if (twin := by_weights.get(identity.weights)) is not None:
            raise UsageError(
                f"--panel: {twin} and {model} have the same weights",
                "two votes of one judge are no second opinion; --votes samples one judge several times",
            )
        by_weights[identity.weights] = model
        name = _free_name(model, {_in_file(member.name) for member in members})
        stem = output.name.removesuffix(".jsonl")
        members.append(PanelMember(name, identity, output.with_name(f"{stem}.{_in_file(name)}.jsonl")))
    return members


def _free_name(model: str, taken: Collection[str]) -> str:
    """The model's name, with a number where its file would be that of another member."""
    name, number = model, 1
    while _in_file(name) in taken:
        number += 1
        name = f"{model}-{number}"
    return name


def _in_file(name: str) -> str:
    return name.replace("/", "-")


def panel_identity(members: Sequence[PanelMember], rule: PanelRule) -> PanelIdentity:
    """What makes this panel the one it is."""
    identities = tuple(member.identity for member in members)
    first = identities[0]
    return PanelIdentity(
        task=first.task,
        model=" + ".join(member.name for member in members),
        weights="panel:" + _digest([identity.weights for identity in identities]),
        prompts=_digest([identity.prompts for identity in identities]),
        prompts_origin="; ".join(dict.fromkeys(identity.prompts_origin for identity in identities)),
        options=first.options,
        rule=rule,
        members=identities,
    )


def combine_members(members: Sequence[PanelMember], plan: RunPlan, rule: PanelRule) -> PanelRun:
    """The panel's verdicts from those of its members, by the plan of their runs: output, manifest and counts as of any
    run. No model is asked. Raises what `run` raises, and InputError for a file of a member that is not of these
    records.
    """
    task = _Combining(plan.source.task, rule, members)
    outcome = run(replace(plan, task=task, identity=panel_identity(members, rule), journal=None), _no_backend)
    return PanelRun(outcome, task.agreements())


def _no_backend() -> Backend:
    raise AssertionError("a panel's own run asks no model")


@dataclass(slots=True)
class _Combining:
    """The task of the panel's own run: its verdict on a record is computed from those in the members' files, which are
    read side by side, since all runs take the records in one order."""

    name: str
    rule: PanelRule
    members: Sequence[PanelMember]
    _files: list[Iterator[Verdict]] = field(default_factory=list)
    _said: Counter[tuple[int, int, str, str]] = field(default_factory=Counter)

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """The panel's verdict on the next record."""
        if not self._files:
            self._files = [_verdicts(member.output) for member in self.members]
        verdicts = [self._next(number, record) for number in range(len(self.members))]
        for (one, before), (other, after) in combinations(enumerate(verdicts), 2):
            if before.status == after.status == "ok":
                self._said[one, other, label_of(before), label_of(after)] += 1
        return panel_verdict([member.name for member in self.members], verdicts, self.rule)

    def _next(self, member: int, record: Record) -> Verdict:
        # Lines that are no records are invalid in all files, and in the panel's by themselves.
        for verdict in self._files[member]:
            if verdict.id == record.id:
                return verdict
        raise InputError(
            f"{self.members[member].output} holds no verdict on record {record.id} where it should come",
            "was the file changed? run the same command again with --force",
        )

    def agreements(self) -> list[Agreement]:
        """Of every two members."""
        return [
            _agreement(
                (self.members[one].name, self.members[other].name),
                {key[2:]: count for key, count in self._said.items() if key[:2] == (one, other)},
            )
            for one, other in combinations(range(len(self.members)), 2)
        ]


def _verdicts(path: Path) -> Iterator[Verdict]:
    digests: list[InputDigest] = []
    return (kept.verdict for kept in kept_verdicts(path, digests))


def _agreement(names: tuple[str, str], said: Mapping[tuple[str, str], int]) -> Agreement:
    # Counted here, and not by `meta`, since judging must not need the statistics libraries.
    records = sum(said.values())
    same = sum(count for (one, other), count in said.items() if one == other)
    before, after = Counter[str](), Counter[str]()
    for (one, other), count in said.items():
        before[one] += count
        after[other] += count
    by_chance = sum(before[label] * after[label] for label in before) / max(records, 1) ** 2
    kappa = (same / records - by_chance) / (1 - by_chance) if records and by_chance < 1 else None
    return Agreement(names, same, records, kappa)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
