"""A run keeps at most 64 bytes a record, however many there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.memory_growth import growth, measure

MOST_BYTES_A_RECORD = 64


def test_memory_grows_little_from_ten_to_forty_thousand(tmp_path: Path) -> None:
    found = growth(measure(10_000, tmp_path) + measure(40_000, tmp_path))
    assert max(found.values()) <= MOST_BYTES_A_RECORD, found


@pytest.mark.long
@pytest.mark.parametrize("with_ids", [True, False])
def test_memory_grows_little_up_to_a_million(tmp_path: Path, with_ids: bool) -> None:
    sizes = (10_000, 100_000, 1_000_000)
    peaks = [measure(size, tmp_path, with_ids=with_ids) for size in sizes]
    for more in (peaks[1], peaks[2]):
        found = growth(peaks[0] + more)
        assert max(found.values()) <= MOST_BYTES_A_RECORD, found
