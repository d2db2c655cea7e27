"""Records in, verdicts out in the same order: asks go to a backend a window at a time, replies into the journal."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

from fare_cli.asks import Ask, Backend, Reply
from fare_cli.errors import InputError, ModelError
from fare_cli.identity import JudgeIdentity
from fare_cli.run.ahead import ReadAhead
from fare_cli.run.entry import Entry, Steps, checked
from fare_cli.run.journal import Journal
from fare_cli.run.reader import Item
from fare_cli.run.summary import Asking
from fare_cli.verdicts import Verdict

# A record that takes long holds back the verdicts behind it: this many records and bytes of them wait at most.
_WAITING_RECORDS = 256
_WAITING_WINDOWS = 8
_WAITING_BYTES = 64 * 1024 * 1024
_PIPE_POLL_S = 0.02


class _UnderWay(NamedTuple):
    entry: Entry
    ask_id: str
    key: str


class Judging:
    """One pass over records. `asking` counts as it goes, `begun` the records that were taken up; `out_of_time` is set
    where the deadline ended the pass.

    The backend is opened by the first ask that the journal cannot answer, and stays open: whoever opens it closes it.
    `deadline` is a time.monotonic(); after it no verdict is given, and a decode under way is broken off. `each_pass` is
    called with the number of asks under way whenever answers came in.
    """

    def __init__(
        self,
        task: Steps,
        open_backend: Callable[[], Backend],
        identity: JudgeIdentity,
        *,
        journal: Journal | None = None,
        deadline: float | None = None,
        each_pass: Callable[[int], None] | None = None,
    ) -> None:
        self.asking = Asking()
        self.begun = 0
        self.out_of_time = False
        self.backend: Backend | None = None
        self._task = task
        self._open_backend = open_backend
        self._identity = identity
        self._journal = journal
        self._deadline = deadline
        self._each_pass = each_pass
        self._timer: threading.Timer | None = None
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._under_way: dict[str, _UnderWay] = {}
        self._ended = False
        self._would_wait: Callable[[], bool] = lambda: False
        self._failure: InputError | None = None

    def verdicts(self, items: Iterable[Item]) -> Generator[Verdict]:
        """The verdict of every item, in order, as soon as those before it are there.

        Closing the generator cancels the asks that are under way. With a ReadAhead nothing is waited for while records
        are under way. Raises InputError where the items end in one, after the verdicts on those before it.
        """
        source = iter(items)
        if isinstance(items, ReadAhead):
            self._would_wait = items.would_wait
        try:
            while not (self._ended and not self._entries):
                self._fill(source)
                yield from self._finished()
                if self._is_late() and not self._is_done(source):
                    self.out_of_time = True
                    return
                if self._under_way:
                    self._collect()
        except KeyboardInterrupt:
            # The timer interrupts the backend just as a person does.
            if not self._is_late():
                raise
            self.out_of_time = True
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self.backend is not None and self._under_way:
                self.backend.cancel(list(self._under_way))
        if self._failure is not None:
            raise self._failure

    def _fill(self, source: Iterator[Item]) -> None:
        asks: list[Ask] = []
        while not self._ended and self._has_room():
            if self._would_wait() and not self._wait():
                break
            try:
                item = next(source, None)
            except InputError as error:
                # What was read before is still judged, so that the journal has it.
                self._failure, item = error, None
            if item is None:
                self._ended = True
                break
            asks += self._admit(item)
            if asks and self.backend is None:
                # Opened here, so that its whole window is filled before the first wait.
                self.backend = self._opened()
        self._submit(asks)

    def _wait(self) -> bool:
        """Waits for the next item if there is nothing else to do, up to the deadline; whether it is there."""
        while not self._entries and self._would_wait() and not self._is_late():
            if self.backend is not None:
                self.backend.collect()  # nothing is under way, but an interruption shows here
            time.sleep(_PIPE_POLL_S)
        return not self._would_wait()

    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _is_done(self, source: Iterator[Item]) -> bool:
        if not self._entries and not self._ended and not self._would_wait():
            self._ended = next(source, None) is None
        return self._ended and not self._entries

    def _has_room(self) -> bool:
        window = self.backend.window if self.backend is not None else 1
        if len(self._under_way) >= window or (self._bytes >= _WAITING_BYTES and self._entries):
            return False
        return len(self._entries) < max(_WAITING_RECORDS, _WAITING_WINDOWS * window)

    def _admit(self, item: Item) -> list[Ask]:
        entry = Entry(item, self.begun)
        self.begun += 1
        self._entries.append(entry)
        self._bytes += item.size
        return entry.advance(self._task, self._look_up)

    def _look_up(self, entry: Entry, ask: Ask) -> Ask | None:
        """None if the journal answers; else the ask under a name that is unique in the run."""
        key = ask.content_hash(self._identity.weights) if self._journal is not None else ""
        reply = self._journal.find(key) if self._journal is not None else None
        if reply is not None:
            entry.replies[ask.id] = reply
            self.asking.reused += 1
            return None
        named = entry.owe(ask)
        self._under_way[named.id] = _UnderWay(entry, ask.id, key)
        return named

    def _submit(self, asks: list[Ask]) -> None:
        if asks:
            assert self.backend is not None
            self.asking.asked += len(asks)
            self.backend.submit(asks)

    def _opened(self) -> Backend:
        backend = self._open_backend()
        check_weights(backend, self._identity)
        if self._journal is not None:
            self._journal.begin(self._identity, backend.info.engine)
        if self._deadline is not None:
            self._timer = threading.Timer(max(self._deadline - time.monotonic(), 0), backend.interrupt)
            self._timer.daemon = True
            self._timer.start()
        return backend

    def _collect(self) -> None:
        assert self.backend is not None
        answers = self.backend.collect()
        if not answers:
            raise RuntimeError(f"the backend has lost {len(self._under_way)} asks")
        asks: list[Ask] = []
        for ask_id, reply in answers:
            asks += self._take(self._under_way.pop(ask_id), reply)
        self._submit(asks)
        if self._each_pass is not None:
            self._each_pass(len(self._under_way))

    def _take(self, under_way: _UnderWay, reply: Reply) -> list[Ask]:
        reply = checked(reply)
        self.asking.prompt_tokens += reply.prompt_tokens
        self.asking.generated_tokens += reply.generated_tokens
        self.asking.failed += reply.error is not None
        if self._journal is not None:
            self._journal.append(under_way.key, reply)
        entry = under_way.entry
        entry.take(under_way.ask_id, reply)
        return [] if entry.owed else entry.advance(self._task, self._look_up)

    def _finished(self) -> Iterator[Verdict]:
        while self._entries and self._entries[0].verdict is not None:
            entry = self._entries.popleft()
            self._bytes -= entry.item.size
            yield entry.published(self._identity)


def check_weights(backend: Backend, judge: JudgeIdentity) -> None:
    """Raises ModelError where a backend answers with other weights than the judge was named for."""
    if backend.info.weights != judge.weights:
        raise ModelError(
            "the weights that were loaded are not those that the judge was named for",
            "was the model file replaced meanwhile? run the command again",
        )
