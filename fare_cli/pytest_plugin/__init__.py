"""The pytest plugin: a fixture `fare_judge` whose cases are judged together, in one run at the end of the session.

pytest loads this module at every start wherever fare is installed, so it imports what it needs for that and no more:
records, settings and the engine come when a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from fare_cli.pytest_plugin.cases import FareJudge
from fare_cli.pytest_plugin.waiting import NodeLost, WaitingTests, asks_for_judge, held_after

__all__ = ["FareJudge"]

_WAITING = pytest.StashKey[WaitingTests]()
_CASES = pytest.StashKey[FareJudge]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fare", "fare: answers judged by a local model")
    group.addoption(
        "--fare",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="A setting of fare for this session, such as model=smollm2 or mode=direct; repeatable. Others come from "
        "FARE_* variables, fare.toml or [tool.fare] in pyproject.toml.",
    )
    group.addoption(
        "--fare-verdicts",
        metavar="DIR",
        help="Keep the verdicts there, a file a task (DIR/pairwise.jsonl), for fare report and fare gate. What was "
        "asked before is answered from the journal beside it.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_WAITING] = WaitingTests(config)


@pytest.fixture
def fare_judge(request: pytest.FixtureRequest) -> FareJudge:
    """Gathers the cases of this test: `fare_judge.verify(question=..., answer=..., expect="yes")`.

    They are judged when all tests have run, in one batch with those of the whole session; the outcome of the test is
    told then.
    """
    cases: FareJudge | None = request.node.stash.get(_CASES, None)
    if cases is None:
        pytest.fail(
            "fare_judge must be an argument of the test or of its fixtures, so that pytest knows", pytrace=False
        )
    request.config.stash[_WAITING].check_judge()
    return cases


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Runs a test that has cases, and holds its reports back until they are judged."""
    if not asks_for_judge(item):
        return None
    item.stash[_CASES] = cases = FareJudge(item.nodeid, item.config.rootpath)
    # pytest has no public name for "run all phases and report none yet"; pytest-rerunfailures uses this one, too.
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    held = held_after(item, reports, cases)
    if cases.gathered and cases.call is not None:
        item.config.stash[_WAITING].add(held)
    else:
        held.tell()
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    cases = item.stash.get(_CASES, None)
    if cases is not None and call.when == "call" and call.excinfo is None:
        cases.call = call
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Judges what all tests have gathered, when they have run to their end; not where the session was stopped."""
    waiting = session.config.stash[_WAITING]
    result = yield
    try:
        waiting.judge()
    except NodeLost as lost:
        session.shouldfail = str(lost)
        raise session.Failed(session.shouldfail) from None
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """In the controller of pytest-xdist: takes over what a worker holds."""
    node.config.stash[_WAITING].take_over(node, error)


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[_WAITING].hand_over(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[_WAITING].summary():
        terminalreporter.write_line(line)
