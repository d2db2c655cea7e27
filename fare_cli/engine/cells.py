"""The cell ledger: who holds how much of the key-value cache, so that it is never full in the middle of an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Hold:
    """Cells reserved for a part of a prompt and what grows on it. In a unified cache the cells of a trunk stay in use
    until the last of its children is gone, so a hold ends with its own release and that of all holds above it."""

    cells: int
    parent: Hold | None
    users: int = 1


class Ledger:
    """Reservations against the cells of a cache shared by all sequences. In streams every sequence has its own cells
    and `shared_cells` is None: then everything that fits a sequence fits."""

    def __init__(self, shared_cells: int | None) -> None:
        self._capacity = shared_cells
        self.reserved = 0

    def fits(self, cells: int) -> bool:
        return self._capacity is None or self.reserved + cells <= self._capacity

    def reserve(self, cells: int, parent: Hold | None) -> Hold:
        """Takes cells on top of `parent`, which then lives at least as long."""
        self.reserved += cells
        if parent is not None:
            parent.users += 1
        return Hold(cells, parent)

    def release(self, hold: Hold) -> None:
        """Gives a hold back; its cells return once nothing builds on them."""
        current: Hold | None = hold
        while current is not None:
            current.users -= 1
            if current.users:
                return
            self.reserved -= current.cells
            current = current.parent
