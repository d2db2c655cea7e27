"""What a test wants judged, and what it expects the judge to say."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    import pytest

    from fare_cli.verdicts import Verdict

#: What a pair gets whose two orders disagree: no verdict, which a test may expect, too.
UNDECIDED = "undecided"
_LABELS = {"pairwise": ("A", "B", "tie", UNDECIDED), "verify": ("yes", "no")}


@dataclass(frozen=True, slots=True)
class Case:
    """A record of a task, by its fields, and what the judge has to say of it: one of `labels`, or a score of at least
    `least`. `file` (from pytest's root folder, if it lies there) and `line` are where the test asked."""

    task: str
    record: dict[str, Any]
    labels: tuple[str, ...]
    least: float | None
    file: str
    line: int

    @property
    def expected(self) -> str:
        """What is expected, in words."""
        return " or ".join(self.labels) if self.least is None else f"a score of at least {self.least:g}"

    def is_met(self, verdict: Verdict) -> bool:
        """Whether the judge says what is expected. An invalid verdict never does."""
        if verdict.status != "ok":
            return False
        if self.least is not None:
            points = verdict.points()
            return points is not None and points >= self.least
        return (UNDECIDED if verdict.verdict is None else verdict.verdict) in self.labels


@dataclass(slots=True)
class FareJudge:
    """What the fixture `fare_judge` is: takes the cases of one test, which is `nodeid`; `root` is pytest's root folder.

    Every method takes the fields of a record of its task (docs/records.md), as keywords, as one mapping, or both, and
    what the judge is expected to say. None of them returns a verdict: the judge is asked when all tests have run.
    Raises UsageError for an expectation that no verdict can meet and for fields that are no JSON.
    """

    nodeid: str
    root: Path = field(repr=False)
    gathered: list[Case] = field(default_factory=list, repr=False)
    call: pytest.CallInfo[None] | None = field(default=None, repr=False)
    """The call of the test, once it has come to its end without an error."""

    def pairwise(
        self, record: Mapping[str, Any] | None = None, /, *, expect: str | Collection[str], **fields: Any
    ) -> None:
        """The judge must prefer `expect`: `"A"` or `"B"`; `{"B", "tie", "undecided"}` takes any of them."""
        __tracebackhide__ = True  # what is wrong here is wrong in the test
        self._gather("pairwise", record, fields, _labels("pairwise", expect))

    def verify(self, record: Mapping[str, Any] | None = None, /, *, expect: str = "yes", **fields: Any) -> None:
        """The judge must hold the answer right (`"yes"`), or wrong (`"no"`)."""
        __tracebackhide__ = True
        self._gather("verify", record, fields, _labels("verify", expect))

    def step(self, record: Mapping[str, Any] | None = None, /, *, expect: int = -1, **fields: Any) -> None:
        """The judge must find step `expect` (0-based) to be the first wrong one; -1: none is wrong."""
        __tracebackhide__ = True
        if isinstance(expect, bool) or not isinstance(expect, int) or expect < -1:
            raise UsageError(f"expect={expect!r} is no index of a step", "steps are counted from 0; -1 is none")
        self._gather("step", record, fields, (str(expect),))

    def score(self, record: Mapping[str, Any] | None = None, /, *, at_least: float, **fields: Any) -> None:
        """The judge must give `at_least` so many points: the mean of the scores weighted by their probabilities,
        or the score where the judge tells none."""
        __tracebackhide__ = True
        self._gather("score", record, fields, (), least=float(at_least))

    def _gather(
        self,
        task: str,
        record: Mapping[str, Any] | None,
        fields: Mapping[str, Any],
        labels: tuple[str, ...],
        *,
        least: float | None = None,
    ) -> None:
        __tracebackhide__ = True
        values = {**(record or {}), **fields}
        if values.get("id") is None:
            values["id"] = self.nodeid + (f"#{len(self.gathered) + 1}" if self.gathered else "")
        try:
            # As a file would hold it: lists for tuples, and nothing that changes when the test goes on.
            values = json.loads(json.dumps(values, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise UsageError(f"a record must be JSON: {error}") from None
        caller = sys._getframe(2)
        file = Path(caller.f_code.co_filename)
        if file.is_relative_to(self.root):
            file = file.relative_to(self.root)
        self.gathered.append(Case(task, values, labels, least, file=str(file), line=caller.f_lineno))


def _labels(task: str, expect: str | Collection[str]) -> tuple[str, ...]:
    __tracebackhide__ = True
    labels = (expect,) if isinstance(expect, str) else tuple(expect)
    known = _LABELS[task]
    for label in labels:
        if label not in known:
            raise UsageError(f"expect={label!r} is no verdict of {task}", f"there are: {', '.join(known)}")
    if not labels:
        raise UsageError("expect names no verdict", f"there are: {', '.join(known)}")
    # In a fixed order, as a set has none.
    return tuple(label for label in known if label in labels)
