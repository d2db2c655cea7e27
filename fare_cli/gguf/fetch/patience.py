"""How long a download goes on trying when the other side, or the way there, fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import httpx2

from fare_cli.errors import EnvironmentFault

Say = Callable[[str], None]

_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_LONGEST_WAIT_S = 300.0

TEMPORARY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers of a server that another try may change (RFC 9110, section 15; RFC 6585)."""

_Result = TypeVar("_Result")


class Patience:
    """Waits between tries, longer each time; gives up after half a minute without progress."""

    def __init__(self, what: str, say: Say, waits_s: Sequence[float] = _WAITS_S) -> None:
        self._what = what
        self._say = say
        self._waits_s = waits_s
        self.renew()

    def renew(self) -> None:
        """Something arrived: further failures are counted anew."""
        self._left = list(self._waits_s)

    def wait(self, reason: str, headers: Mapping[str, str] | None = None) -> None:
        """Waits before the next try: as long as the answer's `Retry-After` asks, else longer each time.

        Raises EnvironmentFault when it is time to give up, or when the server asks for more than five minutes.
        """
        asked_s = _retry_after_s(headers or {})
        if asked_s is not None and asked_s > _LONGEST_WAIT_S:
            hint = f"the server asks to come back in {asked_s:.0f} s; what has arrived is kept"
            raise EnvironmentFault(f"{self._what}: {reason}", hint)
        if not self._left:
            raise EnvironmentFault(
                f"{self._what}: {reason}, {len(self._waits_s) + 1} times in a row",
                "try again later; what has arrived is kept, and the same command goes on from there",
            )
        wait_s = self._left.pop(0)
        if asked_s is not None:
            wait_s = asked_s
        self._say(f"{self._what}: {reason}; trying again in {wait_s:g} s")
        time.sleep(wait_s)


def patiently(call: Callable[[], _Result], what: str, say: Say) -> _Result:
    """What `call` returns, tried again after failures that may pass: of the connection, and `TEMPORARY_STATUS`.

    A server that cannot be reached at all is given four seconds.
    Other failures come through as they are. Raises EnvironmentFault when it is time to give up.
    """
    patience = Patience(what, say)
    # Where nobody has answered yet, it is mostly a machine without network, and its user is waiting.
    without_answer = Patience(what, say, _WAITS_S[:3])
    while True:
        try:
            return call()
        except httpx2.ConnectError as error:
            without_answer.wait(connection_reason(error))
        except httpx2.TransportError as error:
            patience.wait(connection_reason(error))
        except httpx2.HTTPError as error:
            response = getattr(error, "response", None)
            if response is None or response.status_code not in TEMPORARY_STATUS:
                raise
            patience.wait(status_reason(response.status_code), response.headers)


def status_reason(status: int) -> str:
    """What an HTTP status says, in words."""
    if status == 429:
        return "the server says that it is asked too often (429)"
    return f"the server answers with an error ({status})"


def connection_reason(error: httpx2.TransportError) -> str:
    """What went wrong with a connection, in words."""
    if isinstance(error, httpx2.TimeoutException):
        return "nothing arrives any more"
    detail = str(error) or type(error).__name__
    if isinstance(error, httpx2.ConnectError):
        return f"there is no connection ({detail})"
    return f"the connection broke ({detail})"


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks to wait; its other form, a date, is not used by those who limit rates."""
    value = headers.get("retry-after", "").strip()
    return float(value) if value.isdecimal() else None
