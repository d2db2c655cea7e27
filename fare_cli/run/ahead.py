"""Items read ahead by a thread, so that a slow pipe does not hold up the asks that are under way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from fare_cli.run.reader import Item

_MOST_ITEMS = 64


class ReadAhead:
    """Gives the items of `items`, which a thread of its own waits for, and raises what they raise.

    The thread ends with the items; where they never end (a pipe that stays open) it ends with the process.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._read: queue.Queue[Item | BaseException | None] = queue.Queue(_MOST_ITEMS)
        self._ended = False
        threading.Thread(target=self._work, name="fare-read-ahead", daemon=True).start()

    def _work(self) -> None:
        try:
            for item in self._items:
                self._read.put(item)
        except BaseException as error:  # raised again where the items are taken
            self._read.put(error)
        else:
            self._read.put(None)

    def would_wait(self) -> bool:
        """Whether the next item is not there yet."""
        return not self._ended and self._read.empty()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._ended:
            raise StopIteration
        found = self._read.get()
        if isinstance(found, Item):
            return found
        self._ended = True
        if found is None:
            raise StopIteration
        raise found
