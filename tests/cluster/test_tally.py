"""What the tally knows of a partition that was begun before."""

from __future__ import annotations

from fare_cli.cluster.tally import Attempt, Standing, Tally


def test_deaths_count_only_while_the_journal_does_not_grow() -> None:
    tally = Tally()
    assert tally.begin("out", 100) == Attempt(False, 0, False)
    assert tally.begin("out", 100) == Attempt(True, 1, False)
    assert tally.begin("out", 100) == Attempt(True, 2, False)
    assert tally.begin("out", 250) == Attempt(True, 0, False)
    assert tally.begin("out", 250) == Attempt(True, 1, False)
    assert tally.begin("other", 0) == Attempt(False, 0, False)


def test_what_was_reported_is_known_until_the_outcome_arrives() -> None:
    tally = Tally()
    tally.begin("out", 0)
    tally.report("out", Standing(3, 10, 1))
    assert tally.begin("out", 90) == Attempt(True, 0, True)
    assert tally.standings() == {"out": Standing(3, 10, 1)}
    tally.forget("out")
    tally.report("out", Standing(10, 10, 1))  # one that was under way
    assert tally.standings() == {}
