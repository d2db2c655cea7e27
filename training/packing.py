"""Rows: samples laid behind one another in their order, with where each ends, so that none sees another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from training.samples import Sample


@dataclass(slots=True)
class Row:
    """Ids and completion mask of the samples in a row, and their `seq_lengths` as TRL's collator takes them."""

    input_ids: list[int] = field(default_factory=list)
    completion_mask: list[int] = field(default_factory=list)
    seq_lengths: list[int] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        self.input_ids += sample.input_ids
        self.completion_mask += sample.completion_mask
        self.seq_lengths.append(len(sample.input_ids))


def rows(samples: Iterable[Sample], max_length: int, *, packing: bool) -> Iterator[Row]:
    """The samples in rows of at most `max_length` tokens, or each in one of its own; none is moved past another.

    TRL's own packing (best fit decreasing) wastes less of a row and reorders; rows are not padded, so that a gap at
    their end costs nothing, and the order is the curriculum.
    """
    row = Row()
    for sample in samples:
        if row.input_ids and (not packing or len(row.input_ids) + len(sample.input_ids) > max_length):
            yield row
            row = Row()
        row.add(sample)
    if row.input_ids:
        yield row


def fitting(samples: Sequence[Sample], max_length: int) -> list[Sample]:
    """The samples that are no longer than a row: a cut one would teach not to end."""
    return [sample for sample in samples if len(sample.input_ids) <= max_length]
