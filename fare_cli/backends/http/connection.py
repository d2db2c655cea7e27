"""Requests to a server: sent, repeated where that can help, and read as JSON.

The key comes from the environment and goes into a header; whatever the server says is shown without it. Certificates
are verified, proxies and extra certificates are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`,
`SSL_CERT_FILE`), and redirects are not followed, since they would take the records elsewhere.
"""

from __future__ import annotations

import email.utils
import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import httpx2

from fare_cli.backends.http.options import KEY_VARIABLE, ServerOptions
from fare_cli.backends.http.pacing import Outcome, Pacing, Ticket, backoff_s
from fare_cli.errors import EnvironmentFault, UsageError
from fare_cli.loopback import is_loopback, past_proxies

_ATTEMPTS = 5
_CONNECT_S = 15.0
_LONGEST_RETRY_AFTER_S = 300.0
_MOST_BYTES = 128 << 20
_QUOTED_CHARACTERS = 300

#: A server that is asked too much, or that has not loaded its model yet.
_BUSY = frozenset({429, 503})
#: Failures that another try may mend (RFC 9110, section 15).
_TROUBLE = frozenset({408, 425, *range(500, 600)})
_NOT_THERE = frozenset({404, 405, 501})

_Result = TypeVar("_Result")


class Refused(Exception):
    """The server does not take this request, whenever it comes. `kind` is that of a reply's error: `too_long` or
    `refused`; `is_missing` where it has no such address."""

    def __init__(self, kind: str, message: str, *, is_missing: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.is_missing = is_missing


class BadAnswer(Exception):
    """What came is not what the protocol promises: not JSON, cut off, or with another content."""


class Lost(Exception):
    """One request failed again and again while the server was there. `kind` is that of a reply's error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Again(Exception):
    """Another try may help; `after_s` is what the server asks to wait."""

    def __init__(self, outcome: Outcome, kind: str, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.kind = kind
        self.after_s = after_s


class Traffic(NamedTuple):
    """What a connection has done so far: requests sent, those of them that were repetitions, and how many may be out
    at once now."""

    requests: int
    retries: int
    limit: int


class Connection:
    """A server that answers JSON. Usable from many threads; close it.

    Raises UsageError for a key that cannot be sent.
    """

    def __init__(self, options: ServerOptions, *, key: str | None = None) -> None:
        self._key = (os.environ.get(KEY_VARIABLE) if key is None else key) or None
        if self._key is not None and not (self._key.isascii() and self._key.isprintable()):
            raise UsageError(f"the key in {KEY_VARIABLE} holds characters that cannot be sent")
        self._root = options.root
        self._timeout_s = options.timeout_s
        self._patience_s = options.patience_s
        self.pacing = Pacing(options.root, options.concurrency, options.patience_s)
        host = httpx2.URL(self._root).host
        self._client = httpx2.Client(
            headers={} if self._key is None else {"Authorization": f"Bearer {self._key}"},
            timeout=httpx2.Timeout(options.timeout_s, connect=min(_CONNECT_S, options.timeout_s)),
            limits=httpx2.Limits(max_connections=options.concurrency + 1),
            follow_redirects=False,
            mounts=past_proxies(host),
        )
        if self._key is not None and self._root.startswith("http:") and not is_loopback(host):
            warnings.warn(
                f"the key in {KEY_VARIABLE} goes over an unencrypted connection to {self._root}; https keeps it secret",
                RuntimeWarning,
                stacklevel=2,
            )
        self._counts = threading.Lock()
        self._requests = self._retries = 0
        self._canary: tuple[str, str, bytes | None] = ("GET", "/v1/models", None)

    @property
    def traffic(self) -> Traffic:
        return Traffic(self._requests, self._retries, self.pacing.limit)

    def get(self, path: str, read: Callable[[dict[str, Any]], _Result]) -> _Result:
        """What `read` makes of the JSON at `path`; raises what `post` raises."""
        return self._patiently("GET", path, None, read)

    def post(self, path: str, body: Mapping[str, Any], read: Callable[[dict[str, Any]], _Result]) -> _Result:
        """What `read` makes of the answer to `body`; a BadAnswer that it raises counts as a failed try.

        Raises Refused where no other try would help, Lost where this request failed too often, and EnvironmentFault
        where the server wants a key, sends elsewhere, or is gone: then nobody else gets through either.
        """
        return self._patiently("POST", path, json.dumps(body).encode(), read)

    def try_with(self, path: str, body: Mapping[str, Any]) -> None:
        """From now on this request, which went through, shows whether the server is well."""
        self._canary = ("POST", path, json.dumps(body).encode())

    def close(self, error: Exception) -> None:
        """Ends all requests, those under way, too; their threads get `error`."""
        self.pacing.end(error)
        self._client.close()

    def _patiently(
        self, method: str, path: str, body: bytes | None, read: Callable[[dict[str, Any]], _Result]
    ) -> _Result:
        failed = 0
        tries = 0
        busy_since: float | None = None
        while True:
            ticket = self.pacing.enter()
            try:
                if ticket.trial:
                    self._is_there(ticket)
                    continue
                result = read(self._once(method, path, body))
            except (_Again, BadAnswer) as caught:
                again = caught if isinstance(caught, _Again) else _Again(Outcome.TROUBLE, "bad_answer", str(caught))
                self.pacing.leave(ticket, again.outcome, str(again))
                # A server that is only busy takes the request in the end, mostly.
                failed += again.outcome is Outcome.TROUBLE
                if failed >= _ATTEMPTS:
                    # Others got through meanwhile, or the circuit breaker found that the server is well.
                    raise Lost(again.kind, f"{again} ({_ATTEMPTS} tries)") from None
                if again.outcome is Outcome.BUSY:
                    busy_since = busy_since or time.monotonic()
                    # Some servers say so of one request that is over a limit of theirs, and take all others.
                    if time.monotonic() - busy_since > self._patience_s and self.pacing.answered_since(busy_since):
                        raise Lost(again.kind, f"{again} ({tries + 1} tries)") from None
                with self._counts:
                    self._retries += 1
                wait_s = backoff_s(tries)
                if again.after_s is not None:
                    wait_s = max(again.after_s * _up_to_a_tenth_more(), backoff_s(0))
                self.pacing.wait(wait_s)
                tries += 1
            except EnvironmentFault as fault:
                self.pacing.end(fault)
                self.pacing.leave(ticket, Outcome.TROUBLE, fault.message)
                raise
            except BaseException:
                # A refusal is an answer: the server is there.
                self.pacing.leave(ticket, Outcome.OK)
                raise
            else:
                self.pacing.leave(ticket, Outcome.OK)
                return result

    def _is_there(self, ticket: Ticket) -> None:
        """Asks the server for something that it could answer before, in place of the request whose turn it is."""
        try:
            self._once(*self._canary)
        except _Again as again:
            self.pacing.leave(ticket, again.outcome, str(again))
        except BadAnswer as bad:
            self.pacing.leave(ticket, Outcome.TROUBLE, str(bad))
        except Refused:
            self.pacing.leave(ticket, Outcome.OK)
        else:
            self.pacing.leave(ticket, Outcome.OK)

    def _once(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        """One try: the JSON object that came. Raises _Again, Refused, BadAnswer or EnvironmentFault."""
        with self._counts:
            self._requests += 1
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            with self._client.stream(method, f"{self._root}{path}", content=body, headers=headers) as response:
                data = self._body(response)
        except httpx2.TimeoutException:
            raise _Again(Outcome.TROUBLE, "timeout", f"nothing came within {self._timeout_s:g} s") from None
        except httpx2.TransportError as error:
            what = str(error) or type(error).__name__
            raise _Again(Outcome.TROUBLE, "no_connection", self._quoted(f"the connection failed: {what}")) from None
        except (httpx2.RequestError, RuntimeError) as error:
            raise _Again(Outcome.TROUBLE, "bad_answer", self._quoted(f"the answer makes no sense: {error}")) from None
        if response.status_code != 200:
            self._explain(response, data)
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            raise BadAnswer(f"the answer is no JSON: {self._quoted(data.decode(errors='replace'))!r}") from None
        if not isinstance(values, dict):
            raise BadAnswer("the answer is no JSON object")
        return values

    def _body(self, response: httpx2.Response) -> bytes:
        """All of the answer, within the time for one request; a server that dribbles is as late as one that stalls."""
        deadline = time.monotonic() + self._timeout_s
        parts = bytearray()
        for chunk in response.iter_bytes():
            parts += chunk
            if len(parts) > _MOST_BYTES:
                raise _Again(Outcome.TROUBLE, "bad_answer", f"the answer is longer than {_MOST_BYTES >> 20} MiB")
            if time.monotonic() > deadline:
                raise _Again(Outcome.TROUBLE, "timeout", f"the answer was not whole after {self._timeout_s:g} s")
        return bytes(parts)

    def _explain(self, response: httpx2.Response, data: bytes) -> None:
        """Raises what a status other than 200 means."""
        status = response.status_code
        said = self._quoted(_error_text(data))
        if status in _BUSY:
            after_s = _retry_after_s(response.headers.get("retry-after", ""))
            if after_s is not None and after_s > _LONGEST_RETRY_AFTER_S:
                raise EnvironmentFault(
                    f"the server asks to come back in {after_s:.0f} s ({status}): {said}",
                    "what was answered is kept in the journal, if there is one; the same command goes on from there",
                )
            raise _Again(Outcome.BUSY, "busy", f"the server is busy ({status}): {said}", after_s)
        if status in _NOT_THERE:
            raise Refused("refused", f"the server has no such address ({status}): {said}", is_missing=True)
        if status in _TROUBLE:
            raise _Again(Outcome.TROUBLE, "server_error", f"the server failed ({status}): {said}")
        if status in (401, 403, 407):
            raise EnvironmentFault(
                f"the server does not let us in ({status}): {said}", f"its key goes into the variable {KEY_VARIABLE}"
            )
        if status == 402:
            raise EnvironmentFault(
                f"the server wants to be paid ({status}): {said}",
                "what was answered is kept in the journal, if there is one; the same command goes on from there",
            )
        if 400 <= status < 500:
            kind = "too_long" if status == 413 or _is_too_long(said) else "refused"
            raise Refused(kind, f"the server refuses ({status}): {said}")
        raise EnvironmentFault(
            f"the server answers with status {status}, which is not followed", "give --url the address itself"
        )

    def _quoted(self, text: str) -> str:
        """What a server says, short, on one line and without our key, which some repeat."""
        if self._key is not None:
            text = text.replace(self._key, "***")
        text = " ".join(text.split())
        return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}..."


def _error_text(data: bytes) -> str:
    """The message in an error's body, in any of the shapes that servers give it."""
    text = data[: 1 << 16].decode(errors="replace")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for name in ("error", "detail", "message"):
        if isinstance(values, dict) and name in values:
            values = values[name]
            if isinstance(values, dict) and "message" in values:
                values = values["message"]
            return values if isinstance(values, str) else json.dumps(values)
    return text


def _is_too_long(said: str) -> bool:
    """llama-server: "exceeds the available context size"; vLLM and OpenAI: "maximum context length"; SGLang: "longer
    than the model's context length"."""
    return "context" in said and any(word in said for word in ("exceed", "maximum", "longer", "too long"))


def _retry_after_s(value: str) -> float | None:
    """Seconds to wait by `Retry-After`, a number or a date (RFC 9110, section 10.2.3); None where it says nothing."""
    value = value.strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _up_to_a_tenth_more() -> float:
    """All who were sent away together come back a little apart."""
    return 1.0 + backoff_s(0) / 5
