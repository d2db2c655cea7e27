"""A request that waits for its verdicts: in the order of its records, for as long as its client does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import NamedTuple, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from fare_cli.identity import JudgeIdentity
from fare_cli.run.pool import Judged, Pool, PoolClosed, PoolFull
from fare_cli.run.reader import Item
from fare_cli.server.bodies import JSONL
from fare_cli.server.metrics import Metrics
from fare_cli.server.problem import Problem, client_gone
from fare_cli.tasks import Task
from fare_cli.verdicts import Verdict

T = TypeVar("T")


class Desk(NamedTuple):
    """What requests are served with: the pool, the tasks of its judge with their identities, and the counters."""

    pool: Pool
    tasks: dict[str, tuple[Task, JudgeIdentity]]
    metrics: Metrics
    model: str
    most_bytes: int


class Waiting:
    """The records of one request on their way. Iterating gives their verdicts in order, each as soon as those before it
    are there; `cancel` gives up those that are not.

    Raises Problem where they cannot be taken: 429 if they can later, 503 if the server ends.
    """

    def __init__(self, desk: Desk, task: str, items: Sequence[Item]) -> None:
        self._metrics = desk.metrics
        self._count = len(items)
        self._arrived: asyncio.Queue[Judged | BaseException] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(news: Judged | BaseException) -> None:
            loop.call_soon_threadsafe(self._arrived.put_nowait, news)

        try:
            self._batch = desk.pool.submit(*desk.tasks[task], items, tell)
        except PoolFull as full:
            message = f"{desk.pool.records} of {desk.pool.room} records wait, and {len(items)} more do not fit"
            headers = {"Retry-After": str(full.retry_after_s)}
            raise Problem(429, "queue_full", message, headers=headers) from None
        except PoolClosed:
            raise ending() from None
        self._pool = desk.pool

    async def __aiter__(self) -> AsyncIterator[Verdict]:
        early: dict[int, Verdict] = {}
        for index in range(self._count):
            while index not in early:
                news = await self._arrived.get()
                if not isinstance(news, Judged):
                    raise ending() from news
                self._metrics.judged(news)
                early[news.index] = news.verdict
            yield early.pop(index)

    async def all(self) -> list[Verdict]:
        """All of them. Cancelled with the coroutine."""
        try:
            return [verdict async for verdict in self]
        finally:
            self.cancel()

    def cancel(self) -> None:
        self._pool.cancel(self._batch)


def ending() -> Problem:
    """The answer of a server that takes nothing more."""
    headers = {"Retry-After": "5", "Connection": "close"}
    return Problem(503, "ending", "the server is about to end and takes no more records", headers=headers)


class VerdictLines(StreamingResponse):
    """The verdicts as lines of JSON, each sent when it is there. What is not sent when the client goes is given up."""

    def __init__(self, waiting: Waiting, include_record: bool) -> None:
        self._waiting = waiting
        super().__init__(self._lines(include_record), media_type=JSONL)

    async def _lines(self, include_record: bool) -> AsyncIterator[str]:
        async for verdict in self._waiting:
            yield verdict.to_line(include_record) + "\n"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._waiting.cancel()


async def while_there(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled as soon as the client goes away: then Problem 499.

    The body of the request must have been read.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise client_gone()
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
