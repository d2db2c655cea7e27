"""`fare serve`: listens, judges what comes, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NamedTuple

import uvicorn

from fare_cli.errors import EnvironmentFault, ExitCode, UsageError
from fare_cli.judge import BackendJudge, Judge
from fare_cli.run.pool import Pool
from fare_cli.server.app import make_app
from fare_cli.server.guard import own_names
from fare_cli.server.metrics import CountRequests, Metrics
from fare_cli.server.waiting import Desk
from fare_cli.tasks import TASKS

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A client that has stopped reading its answer would hold up the end for ever.
_LAST_ANSWERS_S = 10.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where and what is served. `port` 0 takes any that is free. `most_records` may wait for their verdicts, a body has
    at most `most_bytes`. A `token` must be there unless `host` is this machine alone."""

    host: str = "127.0.0.1"
    port: int = 8377
    token: str | None = None
    most_records: int = 1024
    most_bytes: int = 32 << 20


class _Address(NamedTuple):
    """A socket that is bound, the URL for it, and the names that clients may call it by (None: not known)."""

    socket: socket.socket
    url: str
    hosts: frozenset[str] | None


def serve(judge: Judge | BackendJudge, options: ServeOptions, say: Callable[[str], None]) -> ExitCode:
    """Serves the judge until a signal ends it, and gives the exit code: 0 if all that was accepted was answered.

    The first SIGTERM or Ctrl-C lets the records that are there be judged and refuses others; a second one ends at once
    (143, 130). `say` gets what people are told. Raises UsageError (no token where one is needed, options that do not go
    together), EnvironmentFault (port, model), and whatever the engine failed with while it ran.
    """
    tasks = {name: (judge.task(name), judge.identity(name)) for name in TASKS}
    failures: list[BaseException] = []
    pool = Pool(judge.backend, room=options.most_records, on_failure=failures.append)
    address = _bind(options)
    desk = Desk(pool, tasks, Metrics(pool, judge.name), judge.name, options.most_bytes)
    app, counted = make_app(desk, hosts=address.hosts, token=options.token)
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False, ws="none")
    server = _Server(config, pool, counted, say, f"serving {judge.name} at {address.url} (its API: {address.url}/docs)")
    with contextlib.closing(address.socket):
        asyncio.run(server.run_until_drained(address.socket))
    if failures:
        raise failures[0]
    return server.exit_code


class _Server(uvicorn.Server):
    """uvicorn's server, but a signal first lets the pool run empty; only then the connections are closed."""

    def __init__(
        self, config: uvicorn.Config, pool: Pool, counted: CountRequests, say: Callable[[str], None], greeting: str
    ) -> None:
        super().__init__(config)
        self._pool = pool
        self._counted = counted
        self._say = say
        self._greeting = greeting
        self._arrived: list[int] = []
        self._judged_at: float | None = None

    @property
    def exit_code(self) -> ExitCode:
        if len(self._arrived) < 2:
            return ExitCode.OK
        return ExitCode.TERMINATED if self._arrived[-1] == signal.SIGTERM else ExitCode.INTERRUPTED

    async def run_until_drained(self, listening: socket.socket) -> None:
        self._pool.start()
        try:
            await self.serve(sockets=[listening])
        finally:
            self._pool.abandon()
            await asyncio.to_thread(self._pool.join)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._say(self._greeting)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Only notes it: `on_tick` sees it within a tenth of a second. A third one ends the process by itself."""
        self._arrived.append(number)
        if len(self._arrived) > 1:
            signal.signal(number, signal.SIG_DFL)

    async def on_tick(self, counter: int) -> bool:
        state = self._pool.state
        if self._arrived and state in ("loading", "ready"):
            self._pool.drain()
            self._say(f"ending: {self._pool.records} records are still judged; a second signal ends at once")
        if len(self._arrived) > 1:
            self._say(f"ending at once: {self._pool.records} records are given up")
            self._pool.abandon()
            self.force_exit = True
            return True
        if state in ("closed", "failed") and self._are_answered():
            return True
        return await super().on_tick(counter)

    def _are_answered(self) -> bool:
        """Whether nobody is waited for any more: what was judged last is still on its way to its client."""
        if not self._counted.active:
            return True
        now = time.monotonic()
        if self._judged_at is None:
            self._judged_at = now
        if now - self._judged_at < _LAST_ANSWERS_S:
            return False
        self._say(f"ending: clients that do not read their answers: {self._counted.active}")
        self.force_exit = True
        return True


def _bind(options: ServeOptions) -> _Address:
    """Raises UsageError for a host that others can reach without a token, EnvironmentFault for one that cannot be."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, OverflowError) as error:
        raise EnvironmentFault(f"--host {options.host} is no address: {error}") from None
    is_loopback = ipaddress.ip_address(str(where[0]).partition("%")[0]).is_loopback
    if not is_loopback and not options.token:
        raise UsageError(
            f"--host {options.host} can be reached by others, and there is no token",
            "put one into a file for --token-file, or into FARE_SERVE_TOKEN; or leave --host away",
        )
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise EnvironmentFault(
            f"port {options.port} of {options.host} cannot be used: {reason}", "--port 0 takes one that is free"
        ) from None
    port = listening.getsockname()[1]
    name = f"[{where[0]}]" if family == socket.AF_INET6 else str(where[0])
    hosts = own_names((name, "localhost", options.host.lower()), port) if is_loopback else None
    return _Address(listening, f"http://{name}:{port}", hosts)
