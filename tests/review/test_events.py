"""Review files: what a person said last counts, and a file that holds something else is refused by line and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fare_cli.errors import InputError
from fare_cli.review.events import ReviewEvent, read_events, standing

CONTENT = "0123456789abcdef"


def event(**changed: Any) -> ReviewEvent:
    values = {
        "task": "pairwise",
        "record": "q1",
        "content": CONTENT,
        "reviewer": "Ada",
        "verdict": "A",
        "blind": True,
        "order": "ab",
        "at": "2026-01-02T10:00:00.000Z",
    }
    return ReviewEvent(**(values | changed))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    events = [event(), event(note='a "note"\n</script>', verdict=None), event(reviewer="Bö", order="ba")]
    path = tmp_path / "ada.jsonl"
    path.write_text("\n".join(one.to_line() for one in events) + "\n")
    assert list(read_events(path)) == events


def test_the_last_word_counts_whatever_the_order_of_the_files() -> None:
    first, undone = event(), event(verdict=None, at="2026-01-02T10:00:01.5Z")
    other = event(content="f" * 16, verdict="B")
    for order in ([first, undone, other], [undone, other, first], [first, undone, first, undone, other]):
        assert sorted(one.verdict or "" for one in standing(order).values()) == ["", "B"]
    same_time = [event(verdict="A"), event(verdict="tie")]
    assert [one.verdict for one in standing(same_time).values()] == ["tie"]


def test_times_are_compared_as_times_and_not_as_text() -> None:
    early, late = event(verdict="B", at="2026-01-02T10:00:00Z"), event(at="2026-01-02T10:00:00.250+00:00")
    assert [one.verdict for one in standing([late, early]).values()] == ["A"]


def test_agreement_is_measured_on_what_was_said_blind() -> None:
    seen = event(verdict="B", blind=False, at="2026-01-02T11:00:00Z")
    assert [one.verdict for one in standing([event(), seen]).values()] == ["B"]
    assert [one.verdict for one in standing([event(), seen], blind=True).values()] == ["A"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"verdict": "C"}, "no label of pairwise"),
        ({"task": "verify", "verdict": "A", "order": None}, "no label of verify"),
        ({"task": "step", "verdict": "01", "order": None}, "no label of step"),
        ({"task": "step", "verdict": "3"}, "order"),
        ({"order": None}, "order"),
        ({"content": "xyz"}, "content"),
        ({"reviewer": ""}, "reviewer"),
        ({"at": "yesterday"}, "ISO 8601"),
        ({"at": "2026-01-02T10:00:00+02:00"}, "UTC"),
        ({"at": "2026-01-02T10:00:00"}, "UTC"),
        ({"verdicts": "A"}, "verdicts"),
    ],
)
def test_what_is_no_event_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        event(**changed)


def test_a_line_that_is_no_event_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ada.jsonl"
    path.write_text(event().to_line() + "\n" + event().to_line().replace('"blind":true', '"blind":"?"') + "\n")
    with pytest.raises(InputError, match=r"ada\.jsonl, line 2: `blind`"):
        list(read_events(path))


def test_a_torn_last_line_is_left_out_and_only_that(tmp_path: Path) -> None:
    path = tmp_path / "ada.jsonl"
    line = event().to_line()
    path.write_text(f"{line}\n{line[:50]}")
    assert list(read_events(path)) == [event()]
    path.write_text(f"{line[:50]}\n{line}\n")
    with pytest.raises(InputError, match="line 1"):
        list(read_events(path))


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 3), st.booleans()), max_size=8))
def test_merging_twice_changes_nothing(said: list[tuple[str, int, bool]]) -> None:
    events = [event(verdict=label, at=f"2026-01-02T10:00:0{second}Z", blind=blind) for label, second, blind in said]
    assert standing([*events, *events]) == standing(events)
