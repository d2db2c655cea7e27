"""Limits: how they are read, and when they are kept, broken or undecided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fare_cli.errors import ExitCode, InvalidRecordsError, UsageError
from fare_cli.meta.agreement import Interval
from fare_cli.meta.bootstrap import Estimate
from fare_cli.studies.change_limits import parse_limit, ruling
from fare_cli.studies.limits import Limit, Ruling, worst
from fare_cli.studies.quantising import Quantised
from tests.studies.test_quantising import row


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("flips=2%", Limit("flips", 0.02)),
        ("flips = 0.02", Limit("flips", 0.02)),
        ("kappa=0.8", Limit("kappa", 0.8)),
        ("accuracy=1.5%", Limit("accuracy", 0.015)),
    ],
)
def test_limits_are_read(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["flips", "flips=", "flips=2", "flips=-1%", "flip=2%", "flips=nan", "kappa=80%%", "=1"]
)
def test_what_is_no_limit_is_an_error_that_shows_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_limit(text)
    assert repr(text) in caught.value.message


def ruled(found: Quantised, limit: Limit) -> Ruling:
    return ruling(found.standing.type, found.comparison, limit)


@pytest.mark.parametrize(
    ("cases", "of", "outcome"),
    [(0, 400, ExitCode.OK), (0, 60, ExitCode.UNDECIDED), (4, 100, ExitCode.UNDECIDED), (20, 100, ExitCode.GATE)],
)
def test_flips_are_judged_by_the_whole_interval(cases: int, of: int, outcome: ExitCode) -> None:
    ruling = ruled(row("Q4_0", cases, of, 1), Limit("flips", 0.02))
    assert ruling.outcome is outcome
    assert f"{cases} of {of}" in ruling.words
    assert ("189 records without one" in ruling.words) == (cases == 0 and outcome is ExitCode.UNDECIDED)


def with_estimates(kappa: Estimate | None = None, right: Estimate | None = None) -> Quantised:
    found = row("Q4_0", 1, 100, 1)
    return replace(found, comparison=replace(found.comparison, kappa=kappa, right_change=right))


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [
        (Interval(0.85, 0.99), ExitCode.OK),
        (Interval(0.7, 0.9), ExitCode.UNDECIDED),
        (Interval(0.3, 0.7), ExitCode.GATE),
        (None, ExitCode.UNDECIDED),
    ],
)
def test_kappa_must_be_above(interval: Interval | None, outcome: ExitCode) -> None:
    found = with_estimates(kappa=Estimate(0.8, interval))
    assert ruled(found, Limit("kappa", 0.8)).outcome is outcome


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [
        (Interval(-0.005, 0.02), ExitCode.OK),
        (Interval(-0.05, 0.02), ExitCode.UNDECIDED),
        (Interval(-0.09, -0.03), ExitCode.GATE),
    ],
)
def test_accuracy_may_fall_by_no_more(interval: Interval, outcome: ExitCode) -> None:
    found = with_estimates(right=Estimate(-0.01, interval))
    assert ruled(found, Limit("accuracy", 0.01)).outcome is outcome


def test_what_was_not_measured_keeps_no_limit() -> None:
    with pytest.raises(InvalidRecordsError, match="gold"):
        ruled(with_estimates(), Limit("accuracy", 0.01))
    with pytest.raises(InvalidRecordsError, match="no record"):
        ruled(row("Q4_0", 0, 0, 1), Limit("flips", 0.5))
    assert ruled(with_estimates(), Limit("kappa", 0.8)).outcome is ExitCode.UNDECIDED


def test_the_worst_outcome_decides() -> None:
    rows = [row("Q8_0", 0, 400, 1), row("Q4_0", 0, 60, 1), row("Q2_K", 30, 60, 1)]
    found = [ruled(one, Limit("flips", 0.02)) for one in rows]
    assert worst(found) is ExitCode.GATE
    assert worst(found[:2]) is ExitCode.UNDECIDED
    assert worst(found[:1]) is ExitCode.OK
    assert worst([]) is ExitCode.OK
