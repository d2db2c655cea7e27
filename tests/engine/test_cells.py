"""The cell ledger: reservations never exceed the cache, and everything comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fare_cli.engine.cells import Hold, Ledger


def test_a_trunk_keeps_its_cells_until_its_children_are_gone() -> None:
    ledger = Ledger(100)
    trunk = ledger.reserve(60, None)
    child = ledger.reserve(20, trunk)
    ledger.release(trunk)
    assert not ledger.fits(50)
    ledger.release(child)
    assert ledger.fits(100)


def test_streams_have_no_common_limit() -> None:
    assert Ledger(None).fits(10**9)


@given(st.data())
def test_all_cells_return(data: st.DataObject) -> None:
    ledger = Ledger(1000)
    live: list[Hold] = []
    for _ in range(data.draw(st.integers(1, 40))):
        if live and data.draw(st.booleans()):
            ledger.release(live.pop(data.draw(st.integers(0, len(live) - 1))))
            continue
        cells = data.draw(st.integers(0, 200))
        if ledger.fits(cells):
            live.append(ledger.reserve(cells, data.draw(st.sampled_from([None, *live]))))
        assert 0 <= ledger.reserved <= 1000
    for hold in live:
        ledger.release(hold)
    assert ledger.reserved == 0
