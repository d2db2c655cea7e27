"""Ctrl-C while a backend waits for answers."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def ctrl_c_calls(interrupt: Callable[[], None]) -> Iterator[None]:
    """Lets Ctrl-C call `interrupt`, which sets a flag, where nobody else handles it.

    Python's own handler would raise wherever the main thread is: between two lines, where an answer is lost, or inside
    llama.cpp's abort callback, where the exception is.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: interrupt())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
