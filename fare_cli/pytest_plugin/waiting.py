"""Tests that have run and wait for their verdicts: held, handed from xdist's workers to the controller, told."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from fare_cli.errors import FareError
from fare_cli.pytest_plugin import HANDED_OVER
from fare_cli.pytest_plugin.cases import Case, FareJudge

if TYPE_CHECKING:
    from fare_cli.pytest_plugin.judging import SessionJudge


class _Crash(NamedTuple):
    """What pytest reads its line of the short summary from."""

    path: str
    lineno: int
    message: str


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a test fails, as pytest prints it below its name; `reprcrash` is the short form."""

    text: str
    reprcrash: _Crash

    def toterminal(self, out: Any) -> None:
        out.line(self.text)

    def __str__(self) -> str:
        return self.text


@dataclass(slots=True)
class HeldTest:
    """A test that has run. `reports` are those of its phases; `refused` is what its call is to report instead if the
    judge is against it: a failure, or what marks such as xfail make of one."""

    nodeid: str
    location: tuple[str, int | None, str]
    reports: list[pytest.TestReport]
    refused: pytest.TestReport | None
    cases: list[Case]
    hook: Any

    def refuse(self, text: str, short: str) -> None:
        """Makes it a test that the judge is against."""
        assert self.refused is not None
        crash = _Crash(self.cases[0].file, self.cases[0].line, short)
        # pytest takes whatever has these methods, and its own class for it has no public name.
        self.refused.longrepr = Objection(text, crash)  # type: ignore[assignment]
        self.reports = [self.refused if report.when == "call" else report for report in self.reports]

    def tell(self) -> None:
        """Reports it, as pytest does with a test that has just run."""
        self.hook.pytest_runtest_logstart(nodeid=self.nodeid, location=self.location)
        for report in self.reports:
            self.hook.pytest_runtest_logreport(report=report)
        self.hook.pytest_runtest_logfinish(nodeid=self.nodeid, location=self.location)


def held_after(item: pytest.Item, reports: list[pytest.TestReport], cases: FareJudge) -> HeldTest:
    """The test of `item` after its run."""
    refused = None
    if cases.gathered and cases.call is not None:
        call = pytest.CallInfo.from_call(_refuse, when="call")
        call.start, call.stop, call.duration = cases.call.start, cases.call.stop, cases.call.duration
        # Made by all plugins that have a word in it, while the item is here.
        refused = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return HeldTest(item.nodeid, item.location, reports, refused, cases.gathered, item.ihook)


def _refuse() -> None:
    pytest.fail("the judge is against it", pytrace=False)


@dataclass(slots=True)
class WaitingTests:
    """All tests of a session that wait. With pytest-xdist there is one in every worker, which hands its tests over, and
    one in the controller, which judges them all."""

    config: pytest.Config
    tests: list[HeldTest] = field(default_factory=list)
    _judge: SessionJudge | FareError | None = None
    _is_used: bool = False
    _crashed: list[str] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _seconds: float = 0.0

    def add(self, test: HeldTest) -> None:
        self.tests.append(test)

    def check_judge(self) -> None:
        """Fails the test before it does any work where no judge could be opened for it."""
        judge = self._session_judge()
        if isinstance(judge, FareError):
            pytest.fail(_words_of(judge), pytrace=False)

    def _session_judge(self) -> SessionJudge | FareError:
        if self._judge is None:
            from fare_cli.pytest_plugin.judging import SessionJudge

            try:
                self._judge = SessionJudge.open(self.config)
            except FareError as error:
                self._judge = error
        return self._judge

    @property
    def lost(self) -> str | None:
        """Why there are tests that nobody knows the outcome of; None where there are none."""
        if not (self._crashed and self._is_used):
            return None
        return f"{', '.join(self._crashed)} crashed: tests that waited there for the judge are lost"

    def judge(self) -> None:
        """Judges the cases of all tests that wait, and tells how these ended."""
        if not self.tests:
            return
        judge = self._session_judge()
        begun = time.monotonic()
        try:
            if isinstance(judge, FareError):
                raise judge
            verdicts = iter(judge.judge([case for test in self.tests for case in test.cases]))
        except FareError as error:
            self._tell_unjudged(error)
            return
        self._seconds = time.monotonic() - begun
        from fare_cli.pytest_plugin.words import objection, outcome

        told, self.tests = self.tests, []
        for test in told:
            judged = [(case, next(verdicts)) for case in test.cases]
            for case, verdict in judged:
                self._counts[outcome(case, verdict)] += 1
            if failed := [(case, verdict) for case, verdict in judged if not case.is_met(verdict)]:
                test.refuse(*objection(failed, judge.describe, full=self.config.getoption("verbose") >= 2))
            test.tell()

    def _tell_unjudged(self, error: FareError) -> None:
        told, self.tests = self.tests, []
        for test in told:
            test.refuse(f"not judged: {_words_of(error)}", f"not judged: {error.message}")
            test.tell()

    def hand_over(self) -> None:
        """In a worker of pytest-xdist: puts what waits where the controller finds it."""
        to_data = self.config.hook.pytest_report_to_serializable
        self.config.workeroutput[HANDED_OVER] = json.dumps(  # type: ignore[attr-defined]
            [
                {
                    "nodeid": test.nodeid,
                    "location": test.location,
                    "reports": [to_data(config=self.config, report=report) for report in test.reports],
                    "refused": to_data(config=self.config, report=test.refused),
                    "cases": [asdict(case) for case in test.cases],
                }
                for test in self.tests
            ]
        )

    def take_over(self, node: Any) -> None:
        """In the controller: takes what a worker that has ended handed over; one that crashed handed over nothing."""
        if not hasattr(node, "workeroutput"):
            self._crashed.append(node.gateway.id)
            return
        self._is_used = True
        for told in json.loads(node.workeroutput[HANDED_OVER]):
            reports = [self._report(data, node) for data in told["reports"]]
            cases = [Case(**{**case, "labels": tuple(case["labels"])}) for case in told["cases"]]
            refused = self._report(told["refused"], node)
            self.add(HeldTest(told["nodeid"], tuple(told["location"]), reports, refused, cases, self.config.hook))

    def _report(self, data: dict[str, Any], node: Any) -> pytest.TestReport:
        report: pytest.TestReport = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
        # By which the terminal and junit.xml know where a test ran.
        report.node = node  # type: ignore[attr-defined]
        return report

    def summary(self) -> Iterator[str]:
        """Lines for the end of the session; none where no test had a case."""
        judge = self._judge
        if self._counts and judge is not None and not isinstance(judge, FareError):
            told = ", ".join(f"{count} {name}" for name, count in sorted(self._counts.items()))
            kept = "" if judge.folder is None else f"; verdicts in {judge.folder}"
            cases = self._counts.total()
            yield f"fare: {cases} cases judged by {judge.opened.name} in {self._seconds:.1f} s: {told}{kept}"
        if self.tests:
            yield f"fare: {len(self.tests)} tests have run and were not judged, as the session was stopped"


def _words_of(error: FareError) -> str:
    return error.message + (f"\nhint: {error.hint}" if error.hint else "")
