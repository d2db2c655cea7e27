"""What `fare serve` does with many requests, too many, and the end: on a judge that answers when the test says so."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from fare_cli.server.guard import own_names
from tests.server.running import Server, gated, question

JSON = {"Content-Type": "application/json"}
KIND_OF_LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def server() -> Iterator[Server]:
    with gated() as server:
        yield server


@contextlib.contextmanager
def asking(server: Server) -> Iterator[Any]:
    """Sends records from a thread of its own; gives futures of the answers."""
    with ThreadPoolExecutor() as pool:

        def ask(*names: str) -> Future[httpx2.Response]:
            return pool.submit(server.judge, "verify", *map(question, names))

        yield ask


def test_records_of_several_requests_are_given_to_the_engine_together(server: Server) -> None:
    with asking(server) as ask:
        first = ask("first")
        assert server.next_ask().endswith(" first")
        others = [ask("second"), ask("third")]
        server.wait_for("fare_queue_records", 3)
        server.go()
        assert first.result().json()["verdicts"][0]["verdict"] == "yes"
        server.next_ask()
        assert server.metric("fare_engine_asks") == 2
        server.go(times=2)
        assert [one.result().json()["verdicts"][0]["status"] for one in others] == ["ok", "ok"]


def test_a_long_request_does_not_hold_up_a_short_one() -> None:
    with gated(window=1) as server, asking(server) as ask:
        long = ask("1", "2", "3", "4")
        server.next_ask()
        short = ask("short")
        server.wait_for("fare_queue_records", 5)
        server.go(times=3)
        assert short.result().json()["verdicts"][0]["id"] == "short"
        assert not long.done()
        server.go(times=2)
        assert [verdict["id"] for verdict in long.result().json()["verdicts"]] == ["1", "2", "3", "4"]


def test_lines_come_as_soon_as_their_verdicts_are_there(server: Server) -> None:
    lines = "".join(json.dumps(question(name)) + "\n" for name in ("one", "two"))
    kind = {"Content-Type": "application/x-ndjson"}
    with server.client.stream("POST", "/v1/judge/verify?record=false", content=lines, headers=kind) as answer:
        assert answer.headers["Content-Type"].startswith("application/x-ndjson")
        verdicts = map(json.loads, answer.iter_lines())
        server.next_ask()
        server.go()
        first = next(verdicts)
        assert (first["id"], first["verdict"], "record" in first) == ("one", "yes", False)
        server.next_ask()
        server.go()
        assert [verdict["id"] for verdict in verdicts] == ["two"]


def test_a_json_body_is_answered_by_lines_on_demand(server: Server) -> None:
    server.go(times=2)
    answer = server.judge("verify", question("one"), question("two"), headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line)["id"] for line in answer.text.splitlines()] == ["one", "two"]


def test_more_records_than_may_wait_are_refused_until_there_is_room() -> None:
    with gated(most_records=2) as server, asking(server) as ask:
        waiting = ask("one", "two")
        server.next_ask()
        full = server.judge("verify", question("three"))
        assert (full.status_code, full.json()["error"]["kind"]) == (429, "queue_full")
        assert 1 <= int(full.headers["Retry-After"]) <= 60
        server.go(times=3)
        assert waiting.result().status_code == 200
        assert server.judge("verify", question("three")).status_code == 200
        never = server.judge("verify", *map(question, "abc"))
        assert (never.status_code, never.json()["error"]["kind"]) == (413, "too_many_records")
        assert server.metric('fare_requests_total{route="/v1/judge/verify",status="429"}') == 1


def test_what_can_never_wait_is_refused_before_it_is_read_as_records() -> None:
    with gated(most_records=2) as server:

        def error(path: str, body: str, kind: str) -> tuple[int, str]:
            answer = server.client.post(path, content=body, headers={"Content-Type": kind})
            return answer.status_code, answer.json()["error"]["kind"]

        many = (413, "too_many_records")
        assert error("/v1/judge/verify", "1\n\n1\n1", "application/x-ndjson") == many
        assert error("/v1/judge/verify", '{"records": [1, 1, 1]}', "application/json") == many
        assert error("/v1/judge/verify", "1\n\n1\n", "application/x-ndjson") == (422, "bad_type")
        rollouts = '{"query": [1, 1, 1], "prompts": []}'
        assert error("/v1/rewards/openrlhf/verify", rollouts, "application/json") == many


def connection(server: Server) -> http.client.HTTPConnection:
    address = httpx2.URL(server.url)
    return http.client.HTTPConnection(address.host, address.port, timeout=60)


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
def test_a_client_that_goes_away_gives_up_its_records(kind: str) -> None:
    with gated(window=1) as server:
        gone = connection(server)
        records = [question(name) for name in ("one", "two", "three")]
        body = json.dumps({"records": records}) if kind == "application/json" else "\n".join(map(json.dumps, records))
        gone.request("POST", "/v1/judge/verify", body, {"Content-Type": kind})
        assert server.next_ask().endswith("one")
        gone.close()
        status = 499 if kind == "application/json" else 200  # whose head was sent before
        server.wait_for(f'fare_requests_total{{route="/v1/judge/verify",status="{status}"}}', 1)
        server.go()
        server.wait_for("fare_queue_records", 0)
        server.go()
        assert server.judge("verify", question("next")).status_code == 200
        assert server.next_ask().endswith("next"), "two and three were never asked"


def test_sigterm_finishes_what_is_there_and_refuses_the_rest(server: Server) -> None:
    with asking(server) as ask:
        waiting = ask("one", "two")
        server.next_ask()
        assert server.client.get("/health").status_code == 200
        server.signal()
        server.wait_until_said("ending: 2 records")
        refused = server.judge("verify", question("late"))
        assert (refused.status_code, refused.json()["error"]["kind"]) == (503, "ending")
        health = server.client.get("/health")
        assert (health.status_code, health.json()) == (503, {"status": "draining"})
        assert server.client.get("/health/live").status_code == 200
        server.go(times=2)
        assert [verdict["status"] for verdict in waiting.result().json()["verdicts"]] == ["ok", "ok"]
        assert server.exit_code() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_at_once(server: Server, number: int, code: int) -> None:
    with asking(server) as ask:
        waiting = ask("one", "two")
        server.next_ask()
        server.signal()
        server.wait_until_said("ending: 2 records")
        server.signal(number)
        server.wait_until_said("ending at once: 2 records")
        # What the engine is at cannot be broken off here: its test has to answer.
        server.go()
        assert server.exit_code() == code
        with contextlib.suppress(httpx2.TransportError):  # that the connection was cut says it, too
            assert waiting.result().status_code == 503


def test_while_the_model_loads_requests_wait() -> None:
    with gated(loading=True) as server, asking(server) as ask:
        health = server.client.get("/health")
        assert (health.status_code, health.json()) == (503, {"status": "loading"})
        early = ask("early")
        server.wait_for("fare_queue_records", 1)
        server.go("load")
        server.go()
        assert early.result().json()["verdicts"][0]["verdict"] == "yes"
        server.wait_for("fare_ready", 1)


def test_an_engine_that_fails_is_no_verdict_and_ends_the_server(server: Server) -> None:
    with asking(server) as ask:
        waiting = ask("one", "two")
        server.next_ask()
        server.go("fail")
        answer = waiting.result()
        assert (answer.status_code, "verdicts" in answer.json()) == (503, False)
        assert server.exit_code() == 5
        assert "error: the engine has failed" in server.said


def test_bodies_that_are_too_large_or_no_records_are_refused() -> None:
    with gated(most_bytes=300) as server:

        def error(body: bytes, kind: str = "application/json") -> tuple[int, str]:
            answer = server.client.post("/v1/judge/verify", content=body, headers={"Content-Type": kind})
            return answer.status_code, answer.json()["error"]["kind"]

        def pieces() -> Iterator[bytes]:
            yield from [b"x" * 100] * 4

        assert error(b"x" * 301) == (413, "too_large")
        unsized = server.client.post("/v1/judge/verify", content=pieces(), headers=JSON)
        assert unsized.status_code == 413
        assert error(b"{") == (400, "bad_json")
        assert error(b'{"records": [NaN]}') == (400, "bad_json")
        assert error(b'{"records": {}}') == (422, "bad_type")
        assert error(b'{"records": [], "task": "score"}') == (422, "unknown_field")
        assert error(b"a=b", "application/x-www-form-urlencoded") == (415, "wrong_type")
        assert error(b'{"question": "?"}\n{', "application/jsonl")[0] == 422
        assert server.judge("verify").json() == {"verdicts": []}


def test_records_at_fault_are_named_with_their_fields(server: Server) -> None:
    answer = server.judge("verify", question("fine"), {"id": "x", "question": "?"}, {"question": "", "answer": "4"})
    assert answer.status_code == 422
    faults = answer.json()["error"]["records"]
    assert [(fault["record"], fault["id"], fault["field"], fault["kind"]) for fault in faults] == [
        (1, "x", "answer", "missing_field"),
        (2, "", "question", "empty"),
    ]
    twice = server.judge("verify", question("same"), question("same")).json()["error"]
    assert (twice["kind"], twice["records"][0]["record"]) == ("duplicate_id", 1)
    line = json.dumps(question("fine")).encode() + b"\n\n{broken\n"
    lines = server.client.post("/v1/judge/verify", content=line, headers={"Content-Type": "application/x-ndjson"})
    assert lines.json()["error"]["records"][0]["record"] == 1


def test_on_loopback_only_its_own_names_are_answered(server: Server) -> None:
    port = httpx2.URL(server.url).port

    def status(**headers: str) -> int:
        return server.client.get("/v1/judge", headers=headers).status_code

    assert status() == status(Host=f"localhost:{port}") == status(Origin=f"http://127.0.0.1:{port}") == 200
    assert status(Host="evil.example") == status(Host="127.0.0.1") == status(Host=f"127.0.0.1.evil:{port}") == 403
    assert status(Origin="https://evil.example") == status(Origin="null") == 403


def test_the_port_of_http_is_not_said() -> None:
    assert own_names(["localhost", "[::1]"], 8377) == {"localhost:8377", "[::1]:8377"}
    assert own_names(["localhost"], 80) == {"localhost", "localhost:80"}


def test_a_client_that_stops_reading_does_not_hold_up_the_end(server: Server) -> None:
    # More than fits into the buffers between them.
    records = [{**question(name), "padding": "x" * 5_000_000} for name in ("one", "two", "three", "four")]
    deaf = connection(server)
    deaf.request("POST", "/v1/judge/verify", "\n".join(map(json.dumps, records)), KIND_OF_LINES)
    for _ in records:
        server.next_ask()
        server.go()
    server.wait_for("fare_queue_records", 0)
    server.signal()
    server.wait_until_said("ending: clients that do not read their answers: 1")
    assert server.exit_code() == 0
    deaf.close()


def test_a_token_opens_everything_but_health() -> None:
    with gated(token="a-long-token") as server:

        def status(path: str = "/v1/judge", **more: Any) -> int:
            return server.client.get(path, **more).status_code

        assert status() == status("/metrics") == status("/docs") == 401
        assert status("/health") == status("/health/live") == 200
        assert status(headers={"Authorization": "Bearer a-long-token"}) == 200
        assert status(headers={"Authorization": "Bearer a-long-toke"}) == 401
        assert status(headers={"Authorization": "a-long-token"}) == 401
        assert status(auth=("fare", "a-long-token")) == 200, "as in http://fare:TOKEN@HOST"
        assert status(headers={"Authorization": "Basic ???"}) == 401
        refused = server.client.post("/v1/judge/verify", content=b"x" * 10)
        assert (refused.status_code, refused.headers["WWW-Authenticate"].split()[0]) == (401, "Basic")


def test_what_is_not_there_is_answered_as_everything_else(server: Server) -> None:
    nothing = server.client.get("/v1/nothing")
    assert (nothing.status_code, nothing.json()["error"]["kind"]) == (404, "http")
    assert server.client.get("/v1/judge/verify").status_code == 405
    parameter = server.client.post("/v1/judge/verify?record=perhaps", json={"records": []})
    assert (parameter.status_code, "'record'" in parameter.json()["error"]["message"]) == (422, True)


def test_half_a_request_is_no_record(server: Server) -> None:
    address = httpx2.URL(server.url)
    with socket.create_connection((address.host, address.port)) as raw:
        raw.sendall(
            f"POST /v1/judge/verify HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n".encode()
            + b'Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"records": ['
        )
    server.wait_for('fare_requests_total{route="/v1/judge/verify",status="499"}', 1)
    server.signal()
    assert server.exit_code() == 0
