"""Who may ask: on loopback whoever calls the server by its own name, elsewhere whoever has the token."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Collection, Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fare_cli.server.problem import Problem

# Answered without a token: what watches over a server has none, and learns nothing but whether it is up.
_OPEN = frozenset({"/health", "/health/live"})
_HTTP_PORT = 80
_ASK_FOR_TOKEN = {"WWW-Authenticate": 'Basic realm="fare", charset="UTF-8"'}


def own_names(hosts: Iterable[str], port: int) -> frozenset[str]:
    """What clients call a server of these names in their `Host`: port 80 is not said."""
    hosts = frozenset(hosts)
    return frozenset(f"{host}:{port}" for host in hosts) | (hosts if port == _HTTP_PORT else frozenset())


class Guard:
    """Lets requests through that may be answered, and refuses the others before anything of them is read.

    `hosts` are the names by which a server on loopback is called: a page of a foreign name that was made to mean
    127.0.0.1 brings another (DNS rebinding). None where the name is not known, since others than this machine call it;
    then there is a `token`. A page of another site is refused by its `Origin`, as a browser sends some requests of such
    pages without asking.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None, token: str | None) -> None:
        if hosts is None and token is None:
            raise ValueError("a server that others can reach needs a token")
        self._app = app
        self._hosts = hosts
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._refusal(scope["path"], Headers(scope=scope)) if scope["type"] == "http" else None
        if problem is not None:
            await problem.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> Problem | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._hosts is not None and host.lower() not in self._hosts:
            return Problem(403, "wrong_host", f"this server is not called {host!r}", hint=f"try {min(self._hosts)}")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return Problem(403, "wrong_origin", "pages of other sites may not ask")
        if self._token is not None and path not in _OPEN and not self._is_known(headers.get("authorization", "")):
            return Problem(
                401,
                "unauthorized",
                "the token is missing or wrong",
                hint="send `Authorization: Bearer TOKEN`, or the token as the password of http://fare:TOKEN@HOST",
                headers=_ASK_FOR_TOKEN,
            )
        return None

    def _is_known(self, authorization: str) -> bool:
        """Compares in constant time. Basic is taken too, with the token as password: some trainers can only be given an
        address, and browsers ask for it."""
        assert self._token is not None
        scheme, _, given = authorization.partition(" ")
        said = given.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == "basic":
            try:
                said = base64.b64decode(said, validate=True).partition(b":")[2]
            except binascii.Error:
                return False
        elif scheme.lower() != "bearer":
            return False
        return secrets.compare_digest(said, self._token)
