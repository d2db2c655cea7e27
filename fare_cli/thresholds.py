"""Thresholds of a cascade learnt from records with gold: a file, bound to the judges of its stages.

`fare eval --learn-thresholds` writes one (`studies.evaluating.cascading`), and `fare judge --mode auto --thresholds`
goes by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from fare_cli.errors import UsageError
from fare_cli.identity import JudgeIdentity, Thresholds
from fare_cli.learnt import LearntFile
from fare_cli.records import TaskName
from fare_cli.tasks.cascade import stage_options
from fare_cli.verdicts import Stage

_LEARN = "learn some for this judge: fare eval --verdicts FILE ... --learn-thresholds FILE, a file for each stage"


def stage_identities(judge: JudgeIdentity) -> dict[Stage, JudgeIdentity]:
    """The judges of a cascade's stages, in order, whatever its thresholds are."""
    return {
        name: replace(judge, options=options, calibration=None)
        for name, options in stage_options(judge.options).items()
    }


class LearntThresholds(LearntFile):
    """What `fare eval --learn-thresholds` writes: from which certainty on the stages of one cascade decide.

    `stages` are the judges as manifests have them, at least their `fingerprint`. On the records with gold that they
    were learnt on, the cascade is shown to be right at most `tolerance` less often than its last stage alone, with this
    confidence. A null threshold: the stage never decides, and is not asked.
    """

    what = "thresholds"
    is_none = "holds no thresholds"
    hint = "threshold files are what fare eval --learn-thresholds FILE writes"

    fare_thresholds: Literal[1] = 1
    task: TaskName
    stages: dict[Stage, dict[str, Any]]
    direct: float | None = Field(ge=0, le=1)
    critique: float | None = Field(ge=0, le=1)
    tolerance: float = Field(gt=0, lt=1)
    confidence: float = Field(gt=0, lt=1)
    records: int
    clusters: int

    def bind(self, judge: JudgeIdentity) -> JudgeIdentity:
        """The cascade with these thresholds. What its stages ask stays the same.

        Raises UsageError for a judge that is no cascade, another task, or other stages than those that they were learnt
        for.
        """
        if judge.options.mode != "auto":
            raise UsageError("--thresholds is for --mode auto", "a judge of one stage has nothing to decide by them")
        if judge.task != self.task:
            raise UsageError(
                f"--thresholds: they were learnt on {self.task} verdicts, and this is {judge.task}", _LEARN
            )
        here = stage_identities(judge)
        if here.keys() != self.stages.keys():
            raise UsageError(
                f"--thresholds: they were learnt for the stages {', '.join(self.stages)}, here {', '.join(here)}",
                "--votes 1 is a cascade without votes; without --votes there are some",
            )
        for name, identity in here.items():
            theirs: Mapping[str, Any] = self.stages[name]
            if identity.fingerprint != theirs.get("fingerprint"):
                raise UsageError(
                    f"--thresholds: they were learnt for another judge ({name}: {identity.differing(theirs)})", _LEARN
                )
        return replace(judge, options=replace(judge.options, thresholds=Thresholds(self.direct, self.critique)))
