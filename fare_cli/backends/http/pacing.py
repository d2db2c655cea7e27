"""When a request may go out: as many at once as the server bears, and none while it is down.

The number grows by one a success until the first refusal, then by one a round, and halves where the server says that it
is asked too much or fails (additive increase, multiplicative decrease: Chiu and Jain 1989, as TCP does it). After
failures in a row without a success in between, all requests wait behind one that asks whether the server is there (a
circuit breaker). Nothing here knows HTTP.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from enum import Enum

from fare_cli.errors import EnvironmentFault

_FIRST_LIMIT = 4
_FAILURES_TO_OPEN = 4
_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_STRANGER_S = 10.0
"""Where nobody has ever answered, it is mostly a wrong address, and its user is waiting."""


class Closed(Exception):
    """The backend was closed while a request waited."""


class Outcome(Enum):
    """How a request went. `BUSY` is a server that wants to be asked less, `TROUBLE` one that fails or cannot be
    reached."""

    OK = "ok"
    BUSY = "busy"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to send one request. `trial`: only ask whether the server is there. `number` counts tickets."""

    number: int
    trial: bool


class Pacing:
    """Tickets for requests; shared by all threads that send them.

    `most` bounds how many are out at once; `server` is for people. Where nothing has succeeded for `patience_s` since
    the first failure, everybody who waits or comes gets an EnvironmentFault: what was answered so far is kept by who
    asked.
    """

    def __init__(self, server: str, most: int, patience_s: float) -> None:
        self._server = server
        self._most = most
        self._patience_s = patience_s
        self._ever_answered = False
        self._changed = threading.Condition()
        self._limit = float(min(_FIRST_LIMIT, most))
        self._growing = True
        self._out = 0
        self._numbers = 0
        self._cut_before = 0
        self._failures = 0
        self._failing_since: float | None = None
        self._open_until: float | None = None
        self._opened = 0
        self._trial_out = False
        self._ended: Exception | None = None

    @property
    def limit(self) -> int:
        """How many requests may be out at once just now."""
        return int(self._limit)

    def enter(self) -> Ticket:
        """Waits for its turn. Raises Closed, or the fault that ended everything."""
        with self._changed:
            while True:
                if self._ended is not None:
                    raise self._ended
                if self._open_until is not None:
                    left = self._open_until - time.monotonic()
                    if left <= 0 and not self._trial_out:
                        self._trial_out = True
                        return self._ticket(trial=True)
                    self._changed.wait(max(left, 0.05))
                elif self._out < int(self._limit):
                    return self._ticket(trial=False)
                else:
                    self._changed.wait()

    def leave(self, ticket: Ticket, outcome: Outcome, reason: str = "") -> None:
        """Gives a ticket back; `reason` says for people what went wrong."""
        with self._changed:
            self._out -= 1
            self._trial_out = self._trial_out and not ticket.trial
            if outcome is Outcome.OK:
                self._succeeded()
            else:
                self._failed(ticket, outcome, reason)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Sleeps, but wakes where everything has ended. Raises what `enter` raises."""
        until = time.monotonic() + seconds
        with self._changed:
            while self._ended is None and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            if self._ended is not None:
                raise self._ended

    def answered_since(self, at: float) -> bool:
        """Whether a request succeeded later than `at` (`time.monotonic`), one that only tries among them."""
        with self._changed:
            return self._failing_since is None or self._failing_since > at

    def end(self, error: Exception) -> None:
        """From now on nobody gets a ticket, but this error. The first one stays."""
        with self._changed:
            self._ended = self._ended or error
            self._changed.notify_all()

    def _ticket(self, *, trial: bool) -> Ticket:
        self._out += 1
        self._numbers += 1
        return Ticket(self._numbers, trial)

    def _succeeded(self) -> None:
        self._ever_answered = True
        self._failures, self._failing_since = 0, None
        self._open_until, self._opened = None, 0
        self._limit = min(self._most, self._limit + (1 if self._growing else 1 / self._limit))

    def _failed(self, ticket: Ticket, outcome: Outcome, reason: str) -> None:
        now = time.monotonic()
        self._growing = False
        # Requests that were sent before the last cut say nothing about what the server bears since.
        if ticket.number > self._cut_before:
            self._limit = max(1.0, self._limit / 2)
            self._cut_before = self._numbers
        # A server that says it is busy is there, and one that loads its model says so.
        self._ever_answered = self._ever_answered or outcome is Outcome.BUSY
        self._failing_since = self._failing_since or now
        if now - self._failing_since > (
            self._patience_s if self._ever_answered else min(self._patience_s, _STRANGER_S)
        ):
            if outcome is Outcome.BUSY and not ticket.trial:
                # It may be so for these requests alone: whether it is for others shows the next one, a trial.
                self._open_until = now
            else:
                self._ended = self._ended or self._gone(now - self._failing_since, reason)
        self._failures += outcome is Outcome.TROUBLE
        if ticket.trial or (self._failures >= _FAILURES_TO_OPEN and self._open_until is None):
            self._open_until = now + backoff_s(self._opened)
            self._opened += 1

    def _gone(self, seconds: float, reason: str) -> EnvironmentFault:
        if not self._ever_answered:
            return EnvironmentFault(
                f"{self._server} does not answer: {reason}", "is the address right, and the server up?"
            )
        return EnvironmentFault(
            f"{self._server} has not answered for {seconds:.0f} s: {reason}",
            "what was answered is kept in the journal, if there is one; the same command goes on from there",
        )


def backoff_s(tries: int) -> float:
    """Seconds before the next try, after so many: drawn between nothing and a bound that doubles ("full jitter"), so
    that those who failed together do not come back together."""
    return random.uniform(0.05, min(_LONGEST_WAIT_S, _WAIT_S * 2.0**tries))
