"""A judge that `fare serve` has running, asked over HTTP."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from fare_cli.errors import EnvironmentFault, InputError
from fare_cli.loopback import past_proxies
from fare_cli.verdicts import Verdict

TOKEN_VARIABLE = "FARE_SERVE_TOKEN"
_BUSY = frozenset({429, 503})
_SHORTEST_PAUSE_S = 0.5


class ServedJudge:
    """The judge at `url`, safe to be asked by many threads at once: what they ask is judged side by side.

    `token` is taken from `FARE_SERVE_TOKEN` if it is not given. A server that is full, or not there yet, is asked again
    for `patience_s` seconds.
    """

    def __init__(self, url: str, *, token: str | None = None, patience_s: float = 600.0) -> None:
        self.url = url.rstrip("/")
        self._patience_s = patience_s
        token = token or os.environ.get(TOKEN_VARIABLE)
        # How many there are is up to the threads; how long an answer takes is up to the judge.
        self._client = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx2.Timeout(10.0, read=patience_s),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
            mounts=past_proxies(httpx2.URL(self.url).host),
        )

    def verdicts(self, task: str, records: Sequence[Mapping[str, Any]]) -> list[Verdict]:
        """A verdict for each record, in order. Raises InputError for what is no record, EnvironmentFault where the
        server does not answer."""
        answer = self.post(f"/v1/judge/{task}", {"records": list(records)})
        return [Verdict.model_validate(values) for values in answer["verdicts"]]

    def post(self, path: str, body: Mapping[str, Any], params: Mapping[str, str] | None = None) -> Any:
        """The JSON that the server answers. Raises InputError where it refuses the request, EnvironmentFault where it
        does not answer in time."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                answer = self._client.post(path, json=body, params=params)
            except httpx2.TransportError as error:
                trouble, pause = f"{type(error).__name__}: {error}", _SHORTEST_PAUSE_S
            else:
                if answer.status_code not in _BUSY:
                    return self._read(answer)
                trouble, pause = f"it answers {answer.status_code}", _pause(answer)
            if time.monotonic() + pause > until:
                raise EnvironmentFault(
                    f"the judge at {self.url} does not answer: {trouble}", "is fare serve running there?"
                )
            time.sleep(pause)

    def _read(self, answer: httpx2.Response) -> Any:
        try:
            values = answer.json()
        except ValueError:
            raise EnvironmentFault(
                f"{self.url} answers {answer.status_code} and no JSON: it is no fare serve"
            ) from None
        if answer.is_success:
            return values
        fault = values.get("error", {}) if isinstance(values, dict) else {}
        message = f"{self.url} answers {answer.status_code}: {fault.get('message', 'no reason')}"
        if answer.is_client_error:
            raise InputError(message, fault.get("hint"))
        raise EnvironmentFault(message, fault.get("hint"))

    def close(self) -> None:
        self._client.close()


def _pause(answer: httpx2.Response) -> float:
    """What the server asks for; Retry-After may also be a date, which fare does not send."""
    said = answer.headers.get("Retry-After", "")
    return max(_SHORTEST_PAUSE_S, float(said)) if said.isascii() and said.isdecimal() else _SHORTEST_PAUSE_S
