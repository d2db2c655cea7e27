"""Groups of asks answered by a backend in order, with what an earlier try was told taken from its journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from fare_cli.asks import Ask, Backend, Reply
from fare_cli.errors import UsageError
from fare_cli.identity import JudgeIdentity
from fare_cli.run.journal import Journal

_WAITING_GROUPS = 256
"""A group that takes long holds back those behind it: this many of them wait at most."""


class Tries(Protocol):
    """How a model is sampled: how often on each prompt, at which temperature, and the most tokens of a turn."""

    @property
    def tries(self) -> int: ...
    @property
    def temperature(self) -> float: ...
    @property
    def max_tokens(self) -> int: ...


def check_tries(options: Tries) -> None:
    """Raises UsageError for sampling that cannot be, or would give the same every time."""
    if options.tries < 1:
        raise UsageError(f"--tries {options.tries}: at least one try is needed")
    if not options.temperature > 0 and options.tries > 1:
        raise UsageError("several tries need a --temperature above 0", "without it all of them are the same")
    if options.max_tokens < 1:
        raise UsageError(f"--max-tokens {options.max_tokens}: must be 1 or more")


@dataclass(slots=True)
class _Group:
    asks: Sequence[Ask]
    replies: dict[str, Reply] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return len(self.replies) == len(self.asks)


def answered(
    groups: Iterable[Sequence[Ask]],
    open_backend: Callable[[], Backend],
    journal: Journal,
    identity: JudgeIdentity,
) -> Iterator[list[Reply]]:
    """The replies to each group of asks, in order; ask ids are unique inside a group.

    Asks of a group go to the backend together, so that it computes what they share once. The backend is opened by the
    first ask that the journal does not answer; whoever opens it closes it.
    """
    waiting: deque[_Group] = deque()
    under_way: dict[str, tuple[_Group, Ask]] = {}
    backend: Backend | None = None
    source, number, ended = iter(groups), 0, False
    while True:
        while not ended and len(waiting) < _WAITING_GROUPS and (backend is None or len(under_way) < backend.window):
            asks = next(source, None)
            if asks is None:
                ended = True
                break
            group = _Group(asks)
            waiting.append(group)
            owed = _look_up(group, journal, identity.weights)
            if owed and backend is None:
                backend = open_backend()
                journal.begin(identity, backend.info.engine)
            if owed and backend is not None:
                named = [replace(ask, id=f"{number}/{ask.id}") for ask in owed]
                under_way.update((new.id, (group, old)) for new, old in zip(named, owed, strict=True))
                backend.submit(named)
            number += 1
        while waiting and waiting[0].done:
            group = waiting.popleft()
            yield [group.replies[ask.id] for ask in group.asks]
        if not waiting and ended:
            return
        if under_way:
            assert backend is not None
            for ask_id, reply in backend.collect():
                group, ask = under_way.pop(ask_id)
                journal.append(ask.content_hash(identity.weights), reply)
                group.replies[ask.id] = reply


def _look_up(group: _Group, journal: Journal, weights: str) -> list[Ask]:
    """The asks that the journal cannot answer; the replies to the others are put into the group."""
    owed = []
    for ask in group.asks:
        reply = journal.find(ask.content_hash(weights))
        if reply is None:
            owed.append(ask)
        else:
            group.replies[ask.id] = reply
    return owed
