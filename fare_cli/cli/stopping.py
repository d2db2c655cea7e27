"""Ctrl-C and SIGTERM while records are judged."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fare_cli.asks import Backend


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived. Takes the same way out as Ctrl-C, with its own exit code."""


class StopSignals:
    """Turns the first Ctrl-C or SIGTERM into an orderly end: running work is told to stop. The second kills."""

    def __init__(self) -> None:
        self.backend: Backend | None = None
        self._arrived: type[KeyboardInterrupt] | None = None

    def check(self) -> None:
        """Raises what the signal asked for, if one arrived; for places between two asks."""
        if self._arrived is not None:
            raise self._arrived

    @contextmanager
    def handled(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield
        except KeyboardInterrupt:
            self.check()
            raise
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._arrived = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self.backend is None:
            raise self._arrived
        self.backend.interrupt()
