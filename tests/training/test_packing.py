"""Rows hold the samples whole and in their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.packing import fitting, rows
from training.samples import Sample


def _sample(number: int, length: int) -> Sample:
    ids = [number] * length
    mask = [0] * (length - 1) + [1]
    return Sample(id=str(number), task="verify", kind="direct", target="x", input_ids=ids, completion_mask=mask)


@given(lengths=st.lists(st.integers(2, 40), min_size=1, max_size=40), packing=st.booleans())
def test_rows_are_the_samples_in_their_order_and_never_too_long(lengths: list[int], packing: bool) -> None:
    samples = [_sample(number, length) for number, length in enumerate(lengths)]
    made = list(rows(samples, 40, packing=packing))
    assert [token for row in made for token in row.input_ids] == [t for one in samples for t in one.input_ids]
    assert [length for row in made for length in row.seq_lengths] == lengths
    assert [mask for row in made for mask in row.completion_mask] == [m for one in samples for m in one.completion_mask]
    assert all(sum(row.seq_lengths) == len(row.input_ids) <= 40 for row in made)
    if not packing:
        assert len(made) == len(samples)


def test_rows_are_filled() -> None:
    assert [row.seq_lengths for row in rows([_sample(n, 10) for n in range(9)], 40, packing=True)] == [
        [10] * 4,
        [10] * 4,
        [10],
    ]


def test_a_sample_longer_than_a_row_is_left_out_and_not_cut() -> None:
    assert [one.id for one in fitting([_sample(0, 40), _sample(1, 41), _sample(2, 5)], 40)] == ["0", "2"]
