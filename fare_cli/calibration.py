"""A judge's probabilities mended: a calibration file, bound to the judge and task it was fitted on, and what it does.

`fare eval --calibrate` fits one (`studies.evaluating.calibrating`), `fare judge --calibration` applies it. To apply one
needs no statistics library.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fare_cli.asks import Ask, Reply
from fare_cli.errors import UsageError
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.learnt import LearntFile
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record, TaskName
from fare_cli.tasks import Task
from fare_cli.verdicts import SMALLEST, Verdict

Method = Literal["temperature", "isotonic"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Temperature(_Closed):
    """Every log-probability divided by `temperature`, then normalised (Guo et al. 2017, arXiv 1706.04599): above 1 the
    judge was too sure. Of any two labels the more probable one stays it.

    Probabilities below 5e-7 are taken for that, as kept verdicts have no smaller ones: a run and its file are mended
    alike.
    """

    method: Literal["temperature"] = "temperature"
    temperature: float = Field(gt=0)

    def mended(self, probabilities: Mapping[str, float], verdict: str) -> dict[str, float]:
        """The calibrated probability of every label; `verdict` is one of them, and has no part in it."""
        logs = {label: math.log(max(share, SMALLEST)) / self.temperature for label, share in probabilities.items()}
        largest = max(logs.values())
        weights = {label: math.exp(log - largest) for label, log in logs.items()}
        total = math.fsum(weights.values())
        return {label: weight / total for label, weight in weights.items()}


class Isotonic(_Closed):
    """How often a verdict of some confidence is right, as a rising line through points (Zadrozny & Elkan 2002).

    `said` are confidences, `right` the shares of right verdicts; between two points the line is straight, beyond the
    ends it is level. What the other labels share then is divided as the judge divided it.
    """

    method: Literal["isotonic"] = "isotonic"
    said: tuple[float, ...] = Field(min_length=1)
    right: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_a_rising_line(self) -> Self:
        rising = list(self.said) == sorted(set(self.said)) and list(self.right) == sorted(self.right)
        shares = (*self.said, *self.right)
        if len(self.said) != len(self.right) or not rising or not all(0 <= share <= 1 for share in shares):
            raise ValueError("`said` and `right` are no rising line between 0 and 1")
        return self

    def mended(self, probabilities: Mapping[str, float], verdict: str) -> dict[str, float]:
        """The calibrated probability of every label; `verdict` is the one that the line speaks of."""
        if len(probabilities) == 1:
            return dict(probabilities)
        sure = self._share_right(probabilities[verdict])
        # Summed, not 1 less the verdict's: beside a verdict that is nearly certain the difference is all rounding.
        others = math.fsum(share for label, share in probabilities.items() if label != verdict)
        rest = 1.0 - sure
        mended = {
            label: rest * share / others if others > 0 else rest / (len(probabilities) - 1)
            for label, share in probabilities.items()
        }
        # In the order of the labels, which is that of the verdict's JSON.
        return {label: sure if label == verdict else share for label, share in mended.items()}

    def _share_right(self, confidence: float) -> float:
        at = bisect_left(self.said, confidence)
        if at == 0:
            return self.right[0]
        if at == len(self.said):
            return self.right[-1]
        low, high = self.said[at - 1], self.said[at]
        return self.right[at - 1] + (confidence - low) / (high - low) * (self.right[at] - self.right[at - 1])


Mending = Annotated[Temperature | Isotonic, Field(discriminator="method")]


class Scores(_Closed):
    """How good probabilities are, 0 at best: see `meta.calibration`. `ece` is of bins of equal mass, and null where no
    verdict was given."""

    ece: float | None
    brier: float
    log_loss: float


class Calibration(LearntFile):
    """What `fare eval --calibrate` writes: how to mend the probabilities of one judge on one task.

    `judge` is its identity as manifests have it, at least its `fingerprint`. `before` and `after` are of the records
    that it was fitted on, `after` out of fold: each record is mended by a fit without the records of its cluster.
    """

    what = "calibration"
    is_none = "is no calibration"
    hint = "calibration files are what fare eval --calibrate FILE writes"

    fare_calibration: Literal[1] = 1
    task: TaskName
    judge: dict[str, Any]
    mending: Mending
    records: int
    clusters: int
    folds: int
    before: Scores
    after: Scores

    @property
    def fingerprint(self) -> str:
        """16 hex digits over everything that can change a verdict."""
        content = [self.task, self.judge.get("fingerprint"), self.mending.model_dump(mode="json")]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def bind(self, judge: JudgeIdentity) -> JudgeIdentity:
        """The judge with its probabilities mended, whose fingerprint is another one; what it asks is the same.

        Raises UsageError for another task, or another judge than the one that this was fitted on.
        """
        if judge.task != self.task:
            raise UsageError(
                f"--calibration: it was fitted on {self.task} verdicts, and this is {judge.task}",
                f"fit one for {judge.task}: fare eval --calibrate FILE",
            )
        if judge.fingerprint != self.judge.get("fingerprint"):
            raise UsageError(
                f"--calibration: it was fitted on another judge ({judge.differing(self.judge)})",
                "fit one for this judge: fare eval --calibrate FILE, with the options of this command",
            )
        return replace(judge, calibration=self.fingerprint)

    def applied(self, verdict: Verdict) -> Verdict:
        """The verdict with calibrated probabilities, confidence and expected score.

        The label stays as it is, and `judgments` keep what the model said. Invalid verdicts, and those over several
        criteria, which have no label to be calibrated, come back unchanged.
        """
        if verdict.probabilities is None:
            return verdict
        label = verdict.verdict or max(verdict.probabilities, key=verdict.probabilities.__getitem__)
        mended = self.mending.mended(verdict.probabilities, label)
        changed: dict[str, Any] = {"probabilities": mended}
        if verdict.confidence is not None:
            changed["confidence"] = mended[label]
        if verdict.expected_score is not None:
            changed["expected_score"] = math.fsum(int(score) * share for score, share in mended.items())
        return verdict.model_copy(update=changed)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A task whose verdicts are calibrated."""

    task: Task
    calibration: Calibration

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def prompt(self) -> TaskPrompt:
        return self.task.prompt

    @property
    def options(self) -> JudgingOptions:
        return self.task.options

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        """The asks that have no reply yet; the calibrated verdict once all have. Pure."""
        outcome = self.task.step(record, replies)
        return self.calibration.applied(outcome) if isinstance(outcome, Verdict) else outcome
