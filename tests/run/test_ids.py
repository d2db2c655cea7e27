"""Every record has an id of its own, and what is kept for that is small."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.run.ids import CompactTable, RecordIds


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 2**33))))
def test_the_table_is_a_dict(pairs: list[tuple[str, int]]) -> None:
    table = CompactTable()
    expected = {}
    for text, number in pairs:
        table.set(text, number)
        expected[text] = min(number, 2**32 - 1)
    assert {text: table.get(text) for text in expected} == expected
    assert table.get("never set") is None
    assert len(table) == len(expected)


def test_the_table_holds_when_it_has_grown_many_times() -> None:
    table = CompactTable()
    for number in range(50_000):
        table.set(str(number), number)
    assert all(table.get(str(number)) == number for number in range(50_000))
    assert all(table.get(f"-{number}") is None for number in range(50_000))


def test_equal_contents_are_counted_on() -> None:
    ids = RecordIds()
    assert [ids.derive("aa", line) for line in (1, 2, 3)] == ["aa", "aa-2", "aa-3"]
    assert ids.derive("bb", 4) == "bb"


def test_a_given_id_that_looks_derived_is_stepped_around() -> None:
    ids = RecordIds()
    assert ids.claim("aa-2", 1) is None
    assert [ids.derive("aa", line) for line in (2, 3)] == ["aa", "aa-3"]
    assert ids.claim("bb", 4) is None
    assert ids.derive("bb", 5) == "bb-2"


def test_a_repeated_id_gives_its_first_place() -> None:
    ids = RecordIds()
    assert ids.claim("x", 7) is None
    assert ids.claim("x", 8) == 7
    assert ids.derive("aa", 9) == "aa"
    assert ids.claim("aa", 10) == 9


def test_many_equal_records_do_not_take_ever_longer() -> None:
    ids = RecordIds()
    assert [ids.derive("aa", line) for line in range(20_000)][-1] == "aa-20000"
