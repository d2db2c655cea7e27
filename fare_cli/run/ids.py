"""Ids of records: unique in a run, with about 30 bytes a record kept to see that they are."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator

_SHARDS = 64
_SHARD_BITS = 6
_SMALLEST = 16
_FULLEST = 0.8
MOST = 2**32 - 1


class CompactTable:
    """A map from texts to numbers below 2^32 that keeps 12 bytes a slot: a 64-bit hash and the number, not the text.

    Two texts are taken for one with a chance of 3e-8 at a million entries. It is cut into shards that grow one at a
    time, so that old and new copies are never both there for the whole.
    """

    def __init__(self) -> None:
        self._shards = [_Shard() for _ in range(_SHARDS)]

    def get(self, text: str) -> int | None:
        """The number of `text`; None if there is none."""
        key = _key(text)
        return self._shards[key & (_SHARDS - 1)].get(key)

    def set(self, text: str, number: int) -> None:
        """Keeps `number` (cut to 2^32 - 1) for `text`."""
        key = _key(text)
        self._shards[key & (_SHARDS - 1)].set(key, min(number, MOST))

    def __len__(self) -> int:
        return sum(shard.used for shard in self._shards)


class _Shard:
    """Open addressing with linear probing; key 0 marks a free slot."""

    __slots__ = ("_keys", "_numbers", "used")

    def __init__(self) -> None:
        self._keys = array("Q", [0]) * _SMALLEST
        self._numbers = array("I", [0]) * _SMALLEST
        self.used = 0

    def _slot(self, key: int) -> int:
        keys = self._keys
        mask = len(keys) - 1
        slot = (key >> _SHARD_BITS) & mask
        while keys[slot] not in (0, key):
            slot = (slot + 1) & mask
        return slot

    def get(self, key: int) -> int | None:
        slot = self._slot(key)
        return self._numbers[slot] if self._keys[slot] else None

    def set(self, key: int, number: int) -> None:
        slot = self._slot(key)
        if not self._keys[slot]:
            if self.used >= len(self._keys) * _FULLEST:
                self._grow()
                slot = self._slot(key)
            self._keys[slot] = key
            self.used += 1
        self._numbers[slot] = number

    def _grow(self) -> None:
        keys, numbers = self._keys, self._numbers
        self._keys = array("Q", [0]) * (2 * len(keys))
        self._numbers = array("I", [0]) * (2 * len(keys))
        for key, number in zip(keys, numbers, strict=True):
            if key:
                slot = self._slot(key)
                self._keys[slot] = key
                self._numbers[slot] = number


def _key(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


class RecordIds:
    """Gives every record of a run an id of its own, and finds an id that was given twice."""

    def __init__(self) -> None:
        self._table = CompactTable()

    def claim(self, record_id: str, place: int) -> int | None:
        """Takes an id that the input gives; the place where it was taken before if it is a repeated one, else None."""
        first = self._table.get("=" + record_id)
        if first is None:
            self._table.set("=" + record_id, place)
        return first

    def derive(self, content_id: str, place: int) -> str:
        """An id for a record without one: its content's hash, and `-2`, `-3`, ... for further ones like it."""
        for candidate in self._candidates(content_id):
            if self.claim(candidate, place) is None:
                return candidate
        raise AssertionError("candidates never end")

    def _candidates(self, content_id: str) -> Iterator[str]:
        if self._table.get("=" + content_id) is None:
            yield content_id
        ordinal = self._table.get("#" + content_id) or 1
        while True:
            ordinal += 1
            self._table.set("#" + content_id, ordinal)
            yield f"{content_id}-{ordinal}"
