"""A server on 127.0.0.1 that speaks enough of OpenAI's chat protocol to judge pairs, and fails on demand.

What it answers depends on the messages alone, so a run with faults has to end as one without. `Fault` says what goes
wrong: `plan` is asked before every answer. All that arrives is kept in `asked`, what was answered well in `answered`.
"""

from __future__ import annotations

import hashlib
import json
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

MODEL = "pretend-8b"

Kind = Literal[
    "status", "stall", "cut", "half", "html", "lie", "filtered", "hang up", "nan", "dribble", "another model"
]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. `retry_after` goes with a `status`; `lie` is what is answered in place of the
    right JSON."""

    kind: Kind
    status: int = 500
    retry_after: str | None = None
    lie: Any = None
    message: str = "something broke"


Plan = Callable[[dict[str, Any]], Fault | None]


@dataclass
class Asked:
    """A request as it arrived, and when."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float


@dataclass
class FakeServer:
    """What the test sees of it. `busiest` is the most requests that it worked on at once."""

    url: str = ""
    plan: Plan = lambda body: None
    lists: bool = True
    models: Sequence[str] = (MODEL,)
    asked: list[Asked] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def judged(self) -> list[Asked]:
        """The requests for verdicts, without those that only find out what the server takes."""
        return [one for one in self.asked if "Verdict:" in one.body.get("messages", [{}])[0].get("content", "")]


def text_of(body: dict[str, Any]) -> str:
    return "\n".join(str(message["content"]) for message in body["messages"])


def share_of_a(body: dict[str, Any]) -> float:
    """How probable the pretended model holds A; depends on what it is asked."""
    digest = hashlib.sha256(text_of(body).encode("utf-8", "surrogatepass")).digest()
    return 0.02 + 0.96 * digest[0] / 255


def answer(body: dict[str, Any], lists: bool = True) -> dict[str, Any]:
    """A right answer: the more probable label behind the marker, with both listed at its place."""
    share = share_of_a(body)
    if body.get("max_tokens") == 1:
        words = [("Yes", [("Yes", -0.1), ("No", -2.4)])]
    else:
        both = sorted([("A", math.log(share)), ("B", math.log(1 - share))], key=lambda one: -one[1])
        words = [(word, [(word, -0.001)]) for word in ("Verdict", ":", " [")]
        words += [(both[0][0], both), ("]", [("]", -0.001)])]
    content = [
        {
            "token": word,
            "bytes": list(word.encode()),
            "logprob": dict(listed)[word],
            "top_logprobs": [{"token": one, "bytes": list(one.encode()), "logprob": value} for one, value in listed],
        }
        for word, listed in words
    ]
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(word for word, _ in words)},
        "finish_reason": "stop",
    }
    if lists and body.get("logprobs"):
        choice["logprobs"] = {"content": content}
    usage = {"prompt_tokens": len(text_of(body)) // 4, "completion_tokens": len(words)}
    return {"id": "1", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        fake = self.server.fake
        self._note({})
        if self.path.endswith("/v1/models"):
            return self._send(200, {"object": "list", "data": [{"id": name} for name in fake.models]})
        return self._send(404, {"error": {"message": "there is no such page"}})

    def do_POST(self) -> None:
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._note(body)
        if not self.path.endswith("/v1/chat/completions"):
            return self._send(404, {"error": {"message": "there is no such page"}})
        with fake.lock:
            fake.busy += 1
            fake.busiest = max(fake.busiest, fake.busy)
        try:
            fault = fake.plan(body)
            if fault is not None:
                return self._fail(fault, body)
            self._send(200, answer(body, fake.lists))
            with fake.lock:
                fake.answered.append(text_of(body))
        finally:
            with fake.lock:
                fake.busy -= 1
        return None

    def _note(self, body: dict[str, Any]) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.server.fake.lock:
            self.server.fake.asked.append(Asked(self.path, headers, body, time.monotonic()))

    def _send(self, status: int, values: Any, headers: dict[str, str] | None = None) -> None:
        data = values if isinstance(values, bytes) else json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, fault: Fault, body: dict[str, Any]) -> None:
        right = answer(body, self.server.fake.lists)
        whole = json.dumps(right).encode()
        match fault.kind:
            case "status":
                headers = {"Retry-After": fault.retry_after} if fault.retry_after else None
                self._send(fault.status, {"error": {"message": fault.message}}, headers)
            case "stall":
                self.server.fake.released.wait(60)
                self.close_connection = True
            case "hang up":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
            case "cut" | "dribble":
                self.send_response(200)
                self.send_header("Content-Length", str(len(whole)))
                self.end_headers()
                self.wfile.write(whole[: len(whole) // 2])
                self.wfile.flush()
                if fault.kind == "dribble":
                    for byte in whole[len(whole) // 2 : -1]:
                        if self.server.fake.released.wait(0.05):
                            break
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                self.close_connection = True
            case "half":
                self._send(200, whole[: len(whole) // 2])
            case "html":
                self._send(200, b"<html><body>Please log in</body></html>")
            case "lie":
                self._send(200, fault.lie)
            case "filtered":
                right["choices"][0]["finish_reason"] = "content_filter"
                self._send(200, right)
            case "nan":
                right["choices"][0]["logprobs"] = {"content": [{"token": "Verdict", "logprob": math.nan}]}
                self._send(200, right)
            case "another model":
                self._send(200, {**right, "model": "somebody-else"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    fake: FakeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away when they are killed: nothing to say."""


@contextmanager
def fake_server(plan: Plan = lambda body: None, *, port: int = 0, **settings: Any) -> Iterator[FakeServer]:
    """A server until the end of the block, on a free port or the one named."""
    fake = FakeServer(plan=plan, **settings)
    server = _Server(("127.0.0.1", port), _Handler)
    server.fake = fake
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


class InTurn:
    """A plan that fails with each of `faults` in turn and then no more, for requests that `about` holds for."""

    def __init__(
        self, faults: Sequence[Fault | None], about: Callable[[dict[str, Any]], bool] = lambda body: True
    ) -> None:
        self._faults = list(faults)
        self._about = about
        self._lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Fault | None:
        with self._lock:
            return self._faults.pop(0) if self._faults and self._about(body) else None


def is_judging(body: dict[str, Any]) -> bool:
    """Whether a verdict is asked for, and not only what the server takes."""
    return body.get("max_tokens") != 1


def chat_answer(text: str) -> dict[str, Any]:
    """A whole answer that says `text`."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"model": MODEL, "choices": [choice]}
