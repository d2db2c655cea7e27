"""Whether two final answers are the same: math-verify says it, in a child process.

Its limits on time are alarms in whole seconds, which only a main thread can have and which no call into C minds, and it
has none on memory; a model may well answer `10^{10^{10}}`, which takes its five seconds. So it gets a process of its
own, with a limit on memory, that is killed and replaced where it does not answer. By default a timeout or a failure of
math-verify is "not equal", which would be a label: with `raise_on_error` it is told apart.
"""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import re
import resource
import signal
from fractions import Fraction
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Literal, Self

from fare_cli.errors import EnvironmentFault
from training.generation.answers import behind_equals, expression

Outcome = Literal["same", "different", "unreadable", "rounded", "undecided"]
"""`unreadable`: one of the two is not clearly one expression, or the two are of different kinds (a number and an
unknown). `rounded`: numbers that differ by less than half a unit of the last digit of the coarser one. `undecided`:
math-verify failed or took too long."""

_ALARM_S = 5
_START_S = 120.0
"""Importing sympy takes a second, on a machine under load much longer."""
_DECIMAL = re.compile(r"[-+]?\d*(?:\.(\d+))?")
_MEMORY_BYTES = 4 << 30
"""Of address space, of which libraries reserve far more than they use; without a limit, a power takes all there is."""


class Equivalence:
    """Compares final answers, one pair at a time, in a child that the first pair starts, and that is killed `limit_s`
    seconds after a question. Close it, or use it in a `with`.

    Raises EnvironmentFault where math-verify is not installed or does not start.
    """

    def __init__(self, *, limit_s: float = 20.0) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise EnvironmentFault(
                "grading needs math-verify, which is not installed",
                "install it, in the checkout: pip install -e '.[train]'",
            )
        self._limit_s = limit_s
        self._child: BaseProcess | None = None
        self._connection: Connection | None = None

    def compare(self, reference: str, answer: str) -> Outcome:
        """How a final answer compares with the known one; both as they are written."""
        known = expression(reference)
        said = expression(answer if "=" in reference else behind_equals(answer))
        if known is None or said is None:
            return "unreadable"
        connection = self._connection or self._start()
        try:
            connection.send((known, said))
            if connection.poll(self._limit_s):
                outcome: Outcome = connection.recv()
                return outcome
        except (EOFError, OSError):
            pass
        self.close()
        return "undecided"

    def _start(self) -> Connection:
        # Spawned, not forked: the engine of a generator has threads.
        context = multiprocessing.get_context("spawn")
        connection, far_end = context.Pipe()
        child = context.Process(target=_serve, args=(far_end,), daemon=True)
        child.start()
        far_end.close()
        self._child, self._connection = child, connection
        try:
            if connection.poll(_START_S) and connection.recv() == "ready":
                return connection
        except EOFError:
            pass
        self.close()
        raise EnvironmentFault("math-verify does not start", "try: python -c 'import math_verify'")

    def close(self) -> None:
        """Ends the child; the next comparison would start another."""
        if self._child is not None and self._connection is not None:
            self._connection.close()
            self._child.kill()
            self._child.join()
            self._child.close()
        self._child = self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _serve(connection: Connection) -> None:
    """The child: answers until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    logging.disable(logging.CRITICAL)
    import math_verify  # noqa: F401

    connection.send("ready")
    while True:
        try:
            known, said = connection.recv()
        except EOFError:
            return
        connection.send(_compared(known, said))


def _compared(known: str, said: str) -> Outcome:
    from math_verify import verify
    from math_verify.errors import TimeoutException

    try:
        reference, answer = _read(known), _read(said)
        if reference is None or answer is None:
            return "unreadable"
        if verify(reference, answer, timeout_seconds=_ALARM_S, raise_on_error=True):
            return "same"
        if bool(_unknowns(reference)) != bool(_unknowns(answer)):
            return "unreadable"
        return "rounded" if _is_rounding(known, said, reference, answer) else "different"
    # TimeoutException is no Exception; sympy raises whatever its parts do.
    except (Exception, TimeoutException):
        return "undecided"


def _read(text: str) -> Any:
    """The sympy expression in LaTeX, None where math-verify finds none."""
    from math_verify import LatexExtractionConfig, parse

    found = parse(
        f"${text}$",
        [LatexExtractionConfig()],
        fallback_mode="no_fallback",
        parsing_timeout=_ALARM_S,
        raise_on_error=True,
    )
    return found[0] if len(found) == 1 else None


def _unknowns(value: Any) -> Any:
    """The symbols that a value has; of `x = 3` those behind the equals sign."""
    from sympy import Eq

    return (value.rhs if isinstance(value, Eq) else value).free_symbols


def _is_rounding(known: str, said: str, reference: Any, answer: Any) -> bool:
    if not (reference.is_number and answer.is_number and reference.is_real and answer.is_real):
        return False
    decimals = [len(found[1] or "") for text in (known, said) if (found := _DECIMAL.fullmatch(text))]
    if not decimals:
        return False
    # Written digits are exact where floats are not.
    one, other = (Fraction(str(value.evalf(30))) for value in (reference, answer))
    return abs(one - other) <= Fraction(1, 2 * 10 ** min(decimals))
