"""A small web server for one person on this machine: nobody without its address gets anything out of it.

It listens on 127.0.0.1 only, where every user and every web page of the machine can reach it. So the first part of
every path is a random token; the `Host` must be ours, or a page of a foreign name that was made to mean 127.0.0.1
could ask (DNS rebinding); a write must come from our own page by its `Origin`. There are no cookies, which all ports of
a host share. Nothing is kept by caches, sent as a referrer, or framed.
"""

from __future__ import annotations

import secrets
import sys
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, NamedTuple

from fare_cli.errors import EnvironmentFault

_HOST = "127.0.0.1"
_MOST_BYTES = 1 << 20
_PATIENCE_S = 30
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"


class Request(NamedTuple):
    """What came: `path` is what follows the token and a slash, without a query."""

    method: str
    path: str
    body: bytes


class Response(NamedTuple):
    """What goes back. `policy` is the content security policy of a page."""

    body: bytes
    content_type: str = "application/json; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK
    policy: str = _NO_CONTENT


class LoopbackServer(ThreadingHTTPServer):
    """Answers requests with `answer`, each in a thread of its own; `url` is the address, token and all.

    `port` 0 takes any that is free. Raises EnvironmentFault where it is taken, or may not be used.
    """

    daemon_threads = True

    def __init__(self, answer: Callable[[Request], Response], *, port: int = 0) -> None:
        self.answer = answer
        self.token = secrets.token_urlsafe(32)
        try:
            super().__init__((_HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such port"
            raise EnvironmentFault(
                f"port {port} of {_HOST} cannot be used: {reason}", "leave --port away, and a free one is taken"
            ) from None

    def server_bind(self) -> None:
        # HTTPServer asks a name server who 127.0.0.1 is, which can take seconds, for a name that nobody needs.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, int(self.server_address[1])

    @property
    def hosts(self) -> tuple[str, str]:
        """What a browser that was told our address calls us."""
        return f"{_HOST}:{self.server_port}", f"localhost:{self.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.hosts[0]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error; anything else is a bug that shows."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        host = self.headers.get("Host", "")
        if self.headers.get("Origin") != f"http://{host}" or self.headers.get_content_type() != "application/json":
            return self._refuse(HTTPStatus.FORBIDDEN)
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal() or int(length) > _MOST_BYTES:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        token, _, path = self.path.partition("?")[0].removeprefix("/").partition("/")
        # The same answer for every reason, and the token compared in constant time.
        is_known = secrets.compare_digest(token.encode("utf-8", "surrogateescape"), self.server.token.encode())
        if self.headers.get("Host") not in self.server.hosts or not is_known:
            return self._refuse(HTTPStatus.FORBIDDEN)
        # Browsers say where a request comes from; of other sites only the link that opens the page is taken.
        if path and self.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return self._refuse(HTTPStatus.FORBIDDEN)
        return self._send(self.server.answer(Request(self.command, path, body)))

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(Response(f"{status.value} {status.phrase}\n".encode(), "text/plain; charset=utf-8", status))

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        headers = {
            "Content-Type": response.content_type,
            "Content-Length": str(len(response.body)),
            "Content-Security-Policy": response.policy,
            **_HEADERS,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    def version_string(self) -> str:
        return "fare"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a log would hold the token."""
