"""What the tally knows of a partition that was begun before."""

from __future__ import annotations

from fare_cli.cluster.tally import Attempt, Standing, Tally


def test_deaths_count_only_while_the_journal_does_not_grow() -> None:
    tally = Tally()
    assert tally.begin("out", 100, "a") == Attempt(False, 0, False)
    assert tally.begin("out", 100, "b") == Attempt(True, 1, False)
    assert tally.begin("out", 100, "c") == Attempt(True, 2, False)
    assert tally.begin("out", 250, "d") == Attempt(True, 0, False)
    assert tally.begin("out", 250, "e") == Attempt(True, 1, False)
    assert tally.begin("other", 0, "f") == Attempt(False, 0, False)


def test_a_call_that_ray_repeats_is_no_death() -> None:
    tally = Tally()
    for _ in range(2):
        assert tally.begin("out", 100, "a") == Attempt(False, 0, False)
    for _ in range(2):
        assert tally.begin("out", 100, "b") == Attempt(True, 1, False)


def test_what_was_reported_is_known_until_the_outcome_arrives() -> None:
    tally = Tally()
    tally.begin("out", 0, "a")
    tally.report("out", Standing(3, 10, 1))
    assert tally.begin("out", 90, "b") == Attempt(True, 0, True)
    assert tally.standings() == {"out": Standing(3, 10, 1)}
    tally.forget("out")
    tally.report("out", Standing(10, 10, 1))  # one that was under way
    assert tally.standings() == {}
