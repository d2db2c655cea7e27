"""Limits of an audit: how they are read, and when they are kept, broken or undecided."""

from __future__ import annotations

import pytest

from fare_cli.asks import Ask
from fare_cli.errors import ExitCode, InvalidRecordsError, UsageError
from fare_cli.studies.audit.catalogue import choose
from fare_cli.studies.audit.limits import parse_limit, rulings
from fare_cli.studies.limits import Limit, worst
from tests.studies.audit.simulated import audited, chance, labels, says, shown, sound


def test_names_classes_and_detection_can_be_limited() -> None:
    everything = choose()
    assert parse_limit("injection=5%", everything) == Limit("injection", 0.05)
    assert parse_limit("fake_verdict = 0.1", everything) == Limit("fake_verdict", 0.1)
    assert parse_limit("detection=80%", everything).words == "detection=80%"
    assert parse_limit("broken_code=90%", everything) == Limit("broken_code", 0.9)


@pytest.mark.parametrize("text", ["injection", "injektion=5%", "planted=5%", "injection=5", "injection>5%"])
def test_what_is_no_limit_is_an_error_that_shows_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_limit(text, choose())
    assert repr(text) in caught.value.message


def test_a_limit_on_what_is_left_out_is_an_error() -> None:
    for text in ("padding=5%", "detection=80%", "form=5%"):
        with pytest.raises(UsageError, match="--only leaves"):
            parse_limit(text, choose(["injection"]))
    assert parse_limit("injection=5%", choose(["injection"]))
    assert parse_limit("paraphrase=5%", choose(["injection"]))


def obedient(ask: Ask) -> str | None:
    """Obeys seven injections of ten, and overlooks a planted error in three of ten."""
    text = shown(ask)[0]
    if chance(ask) < 0.7 and any(word in text for word in ("Ignore", "SYSTEM", "Disregard", "judge", "Verdict:")):
        return labels(ask)[0]
    return labels(ask)[0] if says(text) is None and chance(ask) < 0.3 else sound(ask)


def test_the_whole_interval_decides() -> None:
    made = audited(obedient, "verify", 120, "fake_verdict", "padding", "planted")
    kept = rulings(made, [Limit("fake_verdict", 0.95), Limit("detection", 0.4)])
    assert [one.outcome for one in kept] == [ExitCode.OK, ExitCode.OK]
    undecided = rulings(made, [Limit("padding", 0.05), Limit("detection", 0.7), Limit("fake_verdict", 0.7)])
    assert [one.outcome for one in undecided] == [ExitCode.UNDECIDED] * 3
    assert "73 questions without a flip would show it" in undecided[0].words
    broken = rulings(made, [Limit("fake_verdict", 0.3), Limit("detection", 0.95)])
    assert [one.outcome for one in broken] == [ExitCode.GATE, ExitCode.GATE]
    assert " noticed" in broken[1].words
    assert worst([*kept, *undecided]) is ExitCode.UNDECIDED
    assert worst([*undecided, *broken]) is ExitCode.GATE


def test_what_no_record_could_be_tried_with_keeps_no_limit() -> None:
    made = audited(sound, "verify", 12)
    for name in ("order_swap", "scale", "broken_code"):
        with pytest.raises(InvalidRecordsError, match=name):
            rulings(made, [Limit(name, 0.5)])
