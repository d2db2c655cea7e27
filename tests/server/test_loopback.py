"""Who gets an answer from a server that every user and every web page of the machine can reach."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fare_cli.errors import EnvironmentFault
from fare_cli.server.loopback import LoopbackServer, Request, Response

JSON = {"Content-Type": "application/json"}


class Served:
    """A server that answers with what it was asked, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.server = LoopbackServer(self._answer)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def _answer(self, request: Request) -> Response:
        self.asked.append(request)
        if request.path == "api/bug":
            raise ZeroDivisionError
        return Response(f"{request.method} {request.path} {request.body.decode()}".encode())

    @property
    def root(self) -> str:
        return f"/{self.server.token}/"

    def __call__(self, method: str, path: str, body: str | None = None, **headers: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        answer.text = answer.read().decode()  # type: ignore[attr-defined]
        connection.close()
        return answer


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_who_knows_the_address_is_answered(served: Served) -> None:
    assert served.server.url == f"http://127.0.0.1:{served.server.server_port}{served.root}"
    answer = served("GET", served.root + "api/record/3?x=1")
    assert (answer.status, answer.text) == (200, "GET api/record/3 ")
    own = f"http://127.0.0.1:{served.server.server_port}"
    answer = served("POST", served.root + "api/say", '{"a":1}', Origin=own, **JSON)
    assert (answer.status, answer.text) == (200, 'POST api/say {"a":1}')
    name = f"localhost:{served.server.server_port}"
    assert served("GET", served.root, Host=name).status == 200
    assert served("POST", served.root, "{}", Host=name, Origin=f"http://{name}", **JSON).status == 200


def test_no_answer_can_be_kept_framed_or_passed_on(served: Served) -> None:
    for path in (served.root, "/"):
        answer = served("GET", path)
        assert answer.getheader("Cache-Control") == "no-store"
        assert answer.getheader("Referrer-Policy") == "no-referrer"
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
        assert "frame-ancestors 'none'" in answer.getheader("Content-Security-Policy")
        assert answer.getheader("Access-Control-Allow-Origin") is None
        assert answer.getheader("Set-Cookie") is None
        assert answer.getheader("Server") == "fare"


@pytest.mark.parametrize(
    "path",
    [
        lambda token: "/",
        lambda token: "",
        lambda token: f"/{token[:-1]}/",
        lambda token: f"/{token}x/",
        lambda token: f"/{token.swapcase()}/",
        lambda token: f"/?{token}",
        lambda token: f"/x/{token}/",
        lambda token: "/%FF%00/",
        lambda token: "/favicon.ico",
    ],
)
def test_without_the_token_there_is_nothing(served: Served, path: Callable[[str], str]) -> None:
    answer = served("GET", path(served.server.token))
    assert answer.status == 403
    assert served.server.token not in answer.text + str(answer.headers)
    assert served.asked == []


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "", "[::1]:{port}", "x@{port}"]
)
def test_a_foreign_name_that_was_made_to_mean_this_machine_gets_nothing(served: Served, host: str) -> None:
    name = host.replace("{port}", str(served.server.server_port))
    assert served("GET", served.root, Host=name).status == 403
    # A name and its own pages: what DNS rebinding looks like.
    assert served("POST", served.root, "{}", Host=name, Origin=f"http://{name}", **JSON).status == 403
    assert served.asked == []


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_a_foreign_page_cannot_write(served: Served, origin: str | None) -> None:
    headers = {} if origin is None else {"Origin": origin.replace("{port}", str(served.server.server_port))}
    assert served("POST", served.root, "{}", **headers, **JSON).status == 403
    assert served.asked == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_could_send_is_no_write(served: Served, kind: str) -> None:
    own = f"http://127.0.0.1:{served.server.server_port}"
    assert served("POST", served.root, "{}", Origin=own, Content_Type=kind).status == 403
    assert served.asked == []


def test_a_foreign_page_cannot_read_but_its_link_opens_the_page(served: Served) -> None:
    for site in ("cross-site", "same-site"):
        assert served("GET", served.root + "api/session", Sec_Fetch_Site=site).status == 403
    assert served("GET", served.root, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200
    assert served("GET", served.root + "api/session", Sec_Fetch_Site="same-origin").status == 200


def test_other_methods_and_bodies_without_end_are_refused(served: Served) -> None:
    own = {"Origin": f"http://127.0.0.1:{served.server.server_port}", **JSON}
    for method in ("PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"):
        assert served(method, served.root, None, **own).status == 501
    for length in ("-1", "x", "", str(1 << 30), "\u0661"):
        connection = socket.create_connection(("127.0.0.1", served.server.server_port), timeout=10)
        lines = [f"POST {served.root} HTTP/1.1", f"Host: {served.server.hosts[0]}", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in own.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert b" 413 " in connection.recv(100)
        connection.close()
    assert served.asked == []


def test_it_listens_on_this_machine_only(served: Served) -> None:
    assert served.server.socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", served.server.server_port), timeout=1).close()


def test_one_that_says_nothing_keeps_nobody_else_waiting(served: Served) -> None:
    silent = [socket.create_connection(("127.0.0.1", served.server.server_port)) for _ in range(20)]
    began = time.monotonic()
    assert served("GET", served.root).status == 200
    assert time.monotonic() - began < 5
    for one in silent:
        one.close()


def test_tokens_are_long_and_each_its_own(served: Served) -> None:
    other = LoopbackServer(lambda request: Response(b""))
    assert len(other.token) >= 43
    assert other.token != served.server.token
    other.server_close()


def test_a_port_that_is_taken_is_said() -> None:
    one = LoopbackServer(lambda request: Response(b""))
    for port, said in ((one.server_port, "in use"), (70000, "no such port")):
        with pytest.raises(EnvironmentFault, match=said):
            LoopbackServer(lambda request: Response(b""), port=port)
    one.server_close()
