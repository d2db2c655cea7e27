"""What workers tell while they judge: how far each is, and that a partition was begun before by one that died."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Standing(NamedTuple):
    """How far a partition is; `total` is None where it is not known how many records it has."""

    done: int
    total: int | None
    invalid: int


class Attempt(NamedTuple):
    """What came before in this run: whether another worker had the partition, `deaths` in a row that added no reply to
    the journal, and whether any of them has `reported` a verdict."""

    again: bool
    deaths: int
    reported: bool


@dataclass(slots=True)
class _Begun:
    journal_bytes: int
    deaths: int = 0
    standing: Standing | None = None


class Tally:
    """Runs as an actor of its own, so that it outlives the workers; it keeps the partitions that are under way."""

    def __init__(self) -> None:
        self._begun: dict[str, _Begun] = {}

    def begin(self, output: str, journal_bytes: int) -> Attempt:
        """Notes that a worker takes a partition up, with so many bytes in its journal."""
        before = self._begun.get(output)
        if before is None:
            self._begun[output] = _Begun(journal_bytes)
            return Attempt(False, 0, False)
        before.deaths = before.deaths + 1 if journal_bytes <= before.journal_bytes else 0
        before.journal_bytes = journal_bytes
        return Attempt(True, before.deaths, before.standing is not None)

    def report(self, output: str, standing: Standing) -> None:
        """Notes how far a partition is."""
        if output in self._begun:
            self._begun[output].standing = standing

    def forget(self, output: str) -> None:
        """Drops a partition whose outcome has arrived."""
        self._begun.pop(output, None)

    def standings(self) -> dict[str, Standing]:
        """How far the partitions under way are."""
        return {output: begun.standing for output, begun in self._begun.items() if begun.standing is not None}
