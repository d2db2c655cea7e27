"""A record on its way: from what it asks to its verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from fare_cli.asks import Ask, Reply, ReplyError
from fare_cli.errors import RecordError
from fare_cli.identity import JudgeIdentity
from fare_cli.records import Record
from fare_cli.run.journal import is_sound
from fare_cli.run.reader import Item
from fare_cli.verdicts import Source, Verdict, invalid_verdict


class Steps(Protocol):
    """What judging needs of a task: `step` is called with all replies so far until it gives a verdict."""

    @property
    def name(self) -> str: ...

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict: ...


@dataclass(slots=True)
class Entry:
    """A record, what came back, what is owed, and in the end its verdict. `number` names it among all that share a
    backend."""

    item: Item
    number: int
    replies: dict[str, Reply] = field(default_factory=dict)
    owed: set[str] = field(default_factory=set)
    verdict: Verdict | None = None

    def advance(self, task: Steps, look_up: Callable[[Entry, Ask], Ask | None]) -> list[Ask]:
        """Steps the record until it has its verdict or owes replies; the asks to send.

        `look_up` puts a reply that is known already into `replies`, and gives None; or the ask as it is to be sent.
        """
        if self.item.error is not None:
            self.verdict = invalid_verdict(task.name, self.item.error, record=self.item.record, id=self.item.id)
            return []
        record = self.item.record
        assert record is not None
        while True:
            try:
                outcome = task.step(record, self.replies)
            except RecordError as error:
                outcome = invalid_verdict(task.name, error, record=record, id=self.item.id)
            if isinstance(outcome, Verdict):
                self.verdict = outcome
                return []
            asks = [ask for ask in outcome if ask.id not in self.replies]
            if not asks:
                raise RuntimeError(f"task {task.name} neither asks nor judges (record {self.item.id})")
            missing = [sent for ask in asks if (sent := look_up(self, ask)) is not None]
            if missing:
                return missing

    def owe(self, ask: Ask) -> Ask:
        """The ask under a name that is unique among all records, to be answered by `take`."""
        self.owed.add(ask.id)
        return replace(ask, id=f"{self.number}/{ask.id}")

    def take(self, ask_id: str, reply: Reply) -> None:
        """Keeps the reply to an ask, by the name that the task gave it."""
        self.replies[ask_id] = reply
        self.owed.discard(ask_id)

    def published(self, judge: JudgeIdentity) -> Verdict:
        """The verdict with where the record stood and who judged it."""
        assert self.verdict is not None
        place = self.item.place
        source = None if place is None else Source(file=place.file, line=place.line)
        said = self.replies.values()
        guard = all(reply.injection_guard for reply in said) if said else None
        return self.verdict.model_copy(update={"source": source, "judge": judge.fingerprint, "injection_guard": guard})


def checked(reply: Reply) -> Reply:
    """The reply, or an error `nan` in place of one whose probabilities are no numbers."""
    if reply.error is None and not is_sound(reply):
        return replace(reply, error=ReplyError("nan", "the model gave probabilities that are no numbers"))
    return reply
