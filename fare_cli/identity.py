"""What makes a judge this judge: everything that can change a verdict, and its fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

Mode = Literal["critique", "direct", "auto"]
Votes = int | Literal["auto"]
Order = Literal["both", "ab", "ba"]
Combine = Literal["agree", "mean"]
ReasoningLevel = Literal["off", "low", "medium", "high"]

#: Tokens after which a model's thinking is closed, unless `reasoning_tokens` says otherwise.
REASONING_TOKENS: dict[ReasoningLevel, int] = {"off": 0, "low": 512, "medium": 2048, "high": 8192}

#: With `votes="auto"`: the most votes of a branch, and how likely at most it is that one which stopped earlier has
#: another majority than so many votes would have had (`tasks.settling`).
MOST_VOTES = 9
SETTLING_ERROR = 0.05


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The certainty (0 to 1) from which on a stage of a cascade decides by itself; None: it never does, and is passed
    over. The defaults are ours, chosen to be careful and not measured: a judge's own are learnt from records with gold.
    """

    direct: float | None = 0.95
    critique: float | None = 0.9


@dataclass(frozen=True, slots=True)
class JudgingOptions:
    """How records are judged, apart from weights and prompts.

    `max_tokens` bounds the critique of one ask. `votes` above 1 needs a temperature above 0, and a critique or
    reasoning. `order`, `combine` and `tie` matter for pairwise only. `reasoning` is how much the model may think before
    it answers: at most `reasoning_tokens`, or as many tokens as the level has.

    `mode="auto"` is a cascade (`tasks.cascade`): first a direct judgment, then, where that is not certain by
    `thresholds`, one critique, then `votes`; temperature and seed are those of the votes. `votes="auto"` stops voting
    once the majority is settled.
    """

    mode: Mode = "critique"
    order: Order = "both"
    combine: Combine = "agree"
    tie: bool = False
    votes: Votes = 1
    temperature: float = 0.0
    seed: int = 0
    max_tokens: int = 1024
    reasoning: ReasoningLevel = "off"
    reasoning_tokens: int | None = None
    thresholds: Thresholds | None = None

    def __post_init__(self) -> None:
        if self.mode == "auto" and self.thresholds is None:
            object.__setattr__(self, "thresholds", Thresholds())

    @property
    def several_votes(self) -> bool:
        """Whether a branch may get more than one vote."""
        return self.votes == "auto" or self.votes > 1

    @property
    def thinking_tokens(self) -> int:
        """The most tokens the model may think before it answers an ask; 0 where it does not."""
        if self.reasoning == "off" or self.reasoning_tokens is None:
            return REASONING_TOKENS[self.reasoning]
        return self.reasoning_tokens

    @property
    def generates(self) -> bool:
        """Whether anything is generated, so that temperature, seed and votes matter."""
        return self.mode != "direct" or self.reasoning != "off"


@dataclass(frozen=True, slots=True)
class JudgeIdentity:
    """Weights, adapter (both inside `weights`), prompts and options: change any and it is another judge.

    `prompts` is the fingerprint of the task's prompt files; `prompts_origin` says for people where they come from.
    `calibration` is that of the calibration of its probabilities, if they have one.
    """

    task: str
    model: str
    weights: str
    prompts: str
    prompts_origin: str
    options: JudgingOptions
    calibration: str | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything that can change a verdict."""
        calibration = [] if self.calibration is None else [self.calibration]
        return _digest([self.task, self.weights, self.prompts, self.effective_options(), *calibration])

    @property
    def asking_fingerprint(self) -> str:
        """16 hex digits over what can change a reply: equal for judges that differ only in `combine`, `tie`,
        `order`, `thresholds` and `calibration`."""
        options = self.effective_options()
        for name in ("combine", "tie", "order", "thresholds"):
            options.pop(name, None)
        return _digest([self.task, self.weights, self.prompts, options])

    def effective_options(self) -> dict[str, Any]:
        """The options by name, those that change nothing for this task and mode at their defaults."""
        options = self.options
        plain = JudgingOptions()
        options = replace(options, reasoning_tokens=options.thinking_tokens)
        if options.mode == "direct":
            options = replace(options, max_tokens=plain.max_tokens)
        if not options.generates or (options.mode == "auto" and not options.several_votes):
            options = replace(options, temperature=plain.temperature)
        if options.temperature == 0:
            options = replace(options, seed=plain.seed)
        if self.task != "pairwise":
            options = replace(options, order=plain.order, combine=plain.combine, tie=plain.tie)
        values = asdict(options)
        if options.votes == "auto":
            values["votes"] = ["auto", MOST_VOTES, SETTLING_ERROR]
        if options.mode != "auto":
            # Judges without a cascade keep the fingerprints they had before there was one.
            del values["thresholds"]
        elif not options.several_votes:
            values["thresholds"]["critique"] = None  # the last stage always decides
        return values

    def differing(self, other: Mapping[str, Any]) -> str:
        """In which respects another judge, as `to_json` gave it, is not this one, for people: `votes 4, here 1`."""
        theirs, ours = _flat(other), _flat(self.to_json())
        told = [
            f"{name} {theirs[name]}, here {ours[name]}"
            for name in ours
            if name in theirs and theirs[name] != ours[name] and name not in _NOT_A_REASON
        ]
        return "; ".join(told) or f"fingerprint {other.get('fingerprint')}, here {self.fingerprint}"

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The identity that `to_json` gave, in a manifest say. Raises TypeError where it is that of another version of
        fare, with fields or options that this one does not have."""
        own = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        options = dict(own.get("options", {}))
        if options.get("thresholds") is not None:
            options["thresholds"] = Thresholds(**options["thresholds"])
        return cls(**{**own, "options": JudgingOptions(**options)})

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "fingerprint": self.fingerprint, "asking_fingerprint": self.asking_fingerprint}


# Names and fingerprints follow from what differs; options that change nothing may differ, too, but come last.
_NOT_A_REASON = frozenset({"fingerprint", "asking_fingerprint", "prompts_origin", "calibration", "task"})


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    options = identity.get("options")
    return {**{name: value for name, value in identity.items() if name != "options"}, **(options or {})}


def _digest(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
