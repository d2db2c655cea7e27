"""Records of many callers judged on one backend, so that what they ask is batched together."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from fare_cli.asks import Ask, Backend
from fare_cli.identity import JudgeIdentity
from fare_cli.run.entry import Entry, Steps, checked
from fare_cli.run.reader import Item
from fare_cli.run.stream import check_weights
from fare_cli.verdicts import Verdict

State = Literal["loading", "ready", "draining", "closed", "failed"]

# Verdicts that the time between two of them is averaged over, roughly.
_SMOOTHING = 0.1
_LONGEST_RETRY_S = 60


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on the record at `index` of its batch; how long it waited to be taken up, and took after that."""

    index: int
    verdict: Verdict
    waited_s: float
    took_s: float


Tell = Callable[[Judged | BaseException], None]


class PoolFull(Exception):
    """There is no room for so many records now; there should be after `retry_after_s`."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"no room for more records, try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class PoolClosed(Exception):
    """No more records are taken."""


@dataclass(slots=True, eq=False)
class Batch:
    """The records of one caller. `tell` gets every verdict, in whatever order they come, or what ended the pool."""

    task: Steps
    judge: JudgeIdentity
    items: Sequence[Item]
    tell: Tell
    accepted_at: float
    unfinished: int
    begun: int = 0
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class _Record:
    batch: Batch
    index: int
    entry: Entry
    begun_at: float


class _UnderWay(NamedTuple):
    record: _Record
    ask_id: str


class Pool:
    """A thread that owns a backend and judges what is submitted, from any thread, until it is closed.

    The thread opens the backend when the pool is started, and the caller closes it after `join`. Records are taken up
    one a batch in turn, so that a long batch does not hold up a short one; as many as keep the backend busy. `room` is
    how many records may be there without a verdict. `tell` of a batch is called in the pool's thread, and must not wait
    nor raise. `on_failure` is called there, too, with what ended the pool before its time.
    """

    def __init__(
        self, open_backend: Callable[[], Backend], *, room: int, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._open_backend = open_backend
        self._room = room
        self._on_failure = on_failure
        self._backend: Backend | None = None
        self._state: State = "loading"
        self._changed = threading.Condition()
        self._live: set[Batch] = set()
        self._turns: deque[Batch] = deque()
        self._cancelled: list[Batch] = []
        self._records = 0
        self._under_way: dict[str, _UnderWay] = {}
        self._numbers = itertools.count()
        self._last_verdict_at = 0.0
        self._seconds_each = 1.0
        self._thread = threading.Thread(target=self._work, name="fare-pool", daemon=True)

    @property
    def state(self) -> State:
        """`loading` and `ready` take records, the others do not; what `draining` has is judged to the end."""
        return self._state

    @property
    def room(self) -> int:
        return self._room

    @property
    def records(self) -> int:
        """Records that have no verdict yet."""
        return self._records

    @property
    def asks(self) -> int:
        """Asks that the backend is at work on, or knows of."""
        return len(self._under_way)

    def start(self) -> None:
        self._thread.start()

    def submit(self, task: Steps, judge: JudgeIdentity, items: Sequence[Item], tell: Tell) -> Batch:
        """Takes the records of one caller. Raises PoolFull, or PoolClosed once `drain` was called or the pool ended."""
        with self._changed:
            if self._state not in ("loading", "ready"):
                raise PoolClosed
            if self._records + len(items) > self._room:
                raise PoolFull(self._retry_after(self._records + len(items) - self._room))
            batch = Batch(task, judge, items, tell, time.monotonic(), unfinished=len(items))
            if items:
                self._records += len(items)
                self._live.add(batch)
                self._turns.append(batch)
                self._wake()
        return batch

    def cancel(self, batch: Batch) -> None:
        """Forgets what is left of a batch; nothing more is told of it, and its place is free."""
        with self._changed:
            if not batch.cancelled and batch.unfinished:
                batch.cancelled = True
                self._cancelled.append(batch)
                self._wake()

    def drain(self) -> None:
        """Takes nothing more; the thread ends once every record has its verdict."""
        with self._changed:
            if self._state in ("loading", "ready"):
                self._state = "draining"
                self._wake()

    def abandon(self) -> None:
        """Ends the thread soon; records without a verdict get none."""
        with self._changed:
            if self._state != "failed":
                self._state = "closed"
            self._wake()
        if self._backend is not None:
            self._backend.interrupt()

    def join(self) -> None:
        self._thread.join()

    def _wake(self) -> None:
        self._changed.notify()
        if self._backend is not None:
            self._backend.nudge()

    def _retry_after(self, records: int) -> int:
        return max(1, min(_LONGEST_RETRY_S, math.ceil(self._seconds_each * records)))

    def _work(self) -> None:
        try:
            backend = self._open_backend()
            with self._changed:
                self._backend = backend
                if self._state == "loading":
                    self._state = "ready"
            while self._wait():
                self._forget_cancelled(backend)
                self._take_up(backend)
                if self._under_way:
                    self._collect(backend)
        except BaseException as error:
            self._end(error)
        else:
            self._end(PoolClosed())

    def _wait(self) -> bool:
        """Waits until there is something to do; whether the thread is to go on."""
        with self._changed:
            while self._state == "ready" and not (self._live or self._cancelled):
                self._changed.wait()
            if self._state == "draining" and not (self._live or self._cancelled):
                self._state = "closed"
            return self._state in ("ready", "draining")

    def _forget_cancelled(self, backend: Backend) -> None:
        with self._changed:
            gone, self._cancelled = self._cancelled, []
            for batch in gone:
                self._records -= batch.unfinished
                self._live.discard(batch)
                if batch in self._turns:
                    self._turns.remove(batch)
        asks = [ask_id for ask_id, one in self._under_way.items() if one.record.batch.cancelled]
        for ask_id in asks:
            del self._under_way[ask_id]
        if asks:
            backend.cancel(asks)

    def _take_up(self, backend: Backend) -> None:
        """Begins records until the backend has enough to do. What they ask goes to it in one call, so that records of
        one question share its prompt, whoever sent them."""
        asks: list[Ask] = []
        while len(self._under_way) < backend.window and (batch := self._next_batch()) is not None:
            check_weights(backend, batch.judge)
            record = _Record(batch, batch.begun, Entry(batch.items[batch.begun], next(self._numbers)), time.monotonic())
            batch.begun += 1
            asks += self._advance(record)
        if asks:
            backend.submit(asks)

    def _next_batch(self) -> Batch | None:
        """The batch whose turn it is to have a record taken up; it goes to the end of the row while it has more."""
        with self._changed:
            if not self._turns:
                return None
            batch = self._turns.popleft()
            if batch.begun + 1 < len(batch.items):
                self._turns.append(batch)
            return batch

    def _advance(self, record: _Record) -> list[Ask]:
        def look_up(entry: Entry, ask: Ask) -> Ask:
            sent = entry.owe(ask)
            self._under_way[sent.id] = _UnderWay(record, ask.id)
            return sent

        asks = record.entry.advance(record.batch.task, look_up)
        if record.entry.verdict is not None:
            self._tell(record)
        return asks

    def _collect(self, backend: Backend) -> None:
        asks: list[Ask] = []
        for ask_id, reply in backend.collect():
            record, own_id = self._under_way.pop(ask_id)
            record.entry.take(own_id, checked(reply))
            if not record.entry.owed:
                asks += self._advance(record)
        if asks:
            backend.submit(asks)

    def _tell(self, record: _Record) -> None:
        now, batch = time.monotonic(), record.batch
        with self._changed:
            if batch.cancelled:
                return
            batch.unfinished -= 1
            if not batch.unfinished:
                self._live.discard(batch)
            self._records -= 1
            # Where there was nothing to do before, the time since then says nothing about how fast records are judged.
            since = now - max(self._last_verdict_at, record.begun_at)
            self._seconds_each += _SMOOTHING * (since - self._seconds_each)
            self._last_verdict_at = now
        verdict = record.entry.published(batch.judge)
        batch.tell(Judged(record.index, verdict, record.begun_at - batch.accepted_at, now - record.begun_at))

    def _end(self, error: BaseException) -> None:
        """Tells those who still wait what ended the pool, and its owner where that was not asked for."""
        with self._changed:
            wanted = self._state == "closed" and isinstance(error, PoolClosed | KeyboardInterrupt)
            self._state = "closed" if wanted else "failed"
            waiting, self._live, self._records = self._live, set(), 0
            self._turns.clear()
        self._under_way.clear()
        for batch in waiting:
            if not batch.cancelled:
                batch.tell(PoolClosed() if wanted else error)
        if not wanted:
            self._on_failure(error)
