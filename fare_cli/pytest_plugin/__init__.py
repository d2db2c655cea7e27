"""The pytest plugin: a fixture `fare_judge` whose cases are judged together, in one run at the end of the session.

pytest loads this module at every start wherever fare is installed, so it is all that is loaded until a test asks for
the fixture.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fare_cli.pytest_plugin.cases import FareJudge
    from fare_cli.pytest_plugin.waiting import WaitingTests

_WAITING = pytest.StashKey["WaitingTests"]()
_CASES = pytest.StashKey["FareJudge"]()

#: Where a worker of pytest-xdist puts the tests that wait, for the controller.
HANDED_OVER = "fare_waiting"


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


def _waiting(config: pytest.Config) -> WaitingTests:
    """The tests that wait, made by the first that asks for a judge."""
    from fare_cli.pytest_plugin.waiting import WaitingTests

    return config.stash.setdefault(_WAITING, WaitingTests(config))


def _asks_for_judge(item: pytest.Item) -> bool:
    """Whether a test, or a fixture of it, has `fare_judge` among its arguments."""
    return "fare_judge" in getattr(item, "fixturenames", ())


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
    _waiting(request.config).check_judge()
    return cases


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Runs a test that has cases, and holds its reports back until they are judged."""
    if not _asks_for_judge(item):
        return None
    from _pytest.runner import runtestprotocol

    from fare_cli.pytest_plugin.cases import FareJudge
    from fare_cli.pytest_plugin.waiting import held_after

    item.stash[_CASES] = cases = FareJudge(item.nodeid, item.config.rootpath)
    # pytest has no public name for "run all phases and report none yet"; pytest-rerunfailures uses this one, too.
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    held = held_after(item, reports, cases)
    if cases.gathered and cases.call is not None:
        _waiting(item.config).add(held)
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
    result = yield
    waiting = session.config.stash.get(_WAITING, None)
    if waiting is not None and not _is_worker(session.config):
        waiting.judge()
        if (lost := waiting.lost) is not None:
            session.shouldfail = lost
            raise session.Failed(lost)
    return result


def _is_worker(config: pytest.Config) -> bool:
    """Whether this is a worker of pytest-xdist, whose controller judges."""
    return hasattr(config, "workerinput")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker: hands over what waits; something in any case where a test could."""
    if _is_worker(session.config) and any(map(_asks_for_judge, getattr(session, "items", ()))):
        _waiting(session.config).hand_over()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """In the controller: takes over what a worker hands over, or notes that it went down."""
    if error or HANDED_OVER in getattr(node, "workeroutput", {}):
        _waiting(node.config).take_over(node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    waiting = config.stash.get(_WAITING, None)
    for line in () if waiting is None else waiting.summary():
        terminalreporter.write_line(line)
