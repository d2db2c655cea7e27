"""A person at work on a queue of records: what they are shown, and what they say, kept as it is said."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from threading import RLock
from typing import Any, Literal, NamedTuple

from fare_cli.errors import UsageError
from fare_cli.records import TaskName
from fare_cli.review.events import MAX_NOTE, ReviewEvent, standing
from fare_cli.review.queue import Queue, labels_of, record_of
from fare_cli.review.store import ReviewFile
from fare_cli.verdicts import Verdict


class Opinion(NamedTuple):
    """What the person says of a record."""

    verdict: str | None = None
    note: str = ""


class Progress(NamedTuple):
    """How far a person is: `next` is a place without a verdict of theirs, None where all have one."""

    reviewer: str
    task: TaskName
    blind: bool
    total: int
    decided: int
    notes: int
    next: int | None


class Session:
    """One person's review of a queue. Methods may be called from several threads.

    While `blind`, the judge's verdict on a record comes only after the person's own, by `reveal`; what they say of the
    record from then on does not count as blind, nor after a restart. Which answer of a pair stands first depends on
    `seed`, the person and the record.
    """

    def __init__(self, queue: Queue, file: ReviewFile, reviewer: str, *, blind: bool = True, seed: int = 0) -> None:
        self.queue = queue
        self.reviewer = reviewer
        self.blind = blind
        self._file = file
        self._seed = seed
        self._lock = RLock()
        self._undo: list[tuple[int, Opinion]] = []
        own = [event for event in file.events if event.reviewer == reviewer]
        self._latest = max((event.at for event in own), default="", key=_time)
        places = queue.place_of
        self._said = {
            places[event.about]: Opinion(event.verdict, event.note)
            for event in standing(own).values()
            if event.about in places
        }
        self._seen = {places[event.about] for event in own if not event.blind and event.about in places}

    @property
    def events(self) -> list[ReviewEvent]:
        """All events of the file, other people's too."""
        with self._lock:
            return list(self._file.events)

    def progress(self, after: int = -1) -> Progress:
        """How far the person is; the next record without a verdict is looked for behind `after`, then before it."""
        with self._lock:
            decided = {place for place, own in self._said.items() if own.verdict is not None}
            count = len(self.queue)
            return Progress(
                self.reviewer,
                self.queue.task,
                self.blind,
                count,
                len(decided),
                sum(bool(own.note) for own in self._said.values()),
                next((place for place in (*range(after + 1, count), *range(count)) if place not in decided), None),
            )

    def look(self, place: int) -> dict[str, Any]:
        """The record at a place, as JSON values: `order` in which a pair is shown, `own` opinion, `hidden` while the
        judge's verdict is kept back, and `verdict`, of which then only the texts that the judge was shown are there.

        Raises UsageError for no place of the queue.
        """
        with self._lock:
            verdict = self._verdict(place)
            own = self._said.get(place, Opinion())
            hidden = self._hides(place)
            return {
                "place": place,
                "order": self._order(place),
                "hidden": hidden,
                "own": own._asdict(),
                "labels": labels_of(record_of(verdict)),
                "verdict": _texts_only(verdict) if hidden else json.loads(verdict.to_line()),
            }

    def say(self, place: int, opinion: Opinion) -> None:
        """Keeps an opinion, on the disk when this comes back. Raises UsageError for a label that the record does not
        have, or a note too long, EnvironmentFault where the disk does not take it: then nothing is changed."""
        with self._lock:
            labels = labels_of(record_of(self._verdict(place)))
            if len(opinion.note) > MAX_NOTE:
                raise UsageError(f"a note has at most {MAX_NOTE} characters, this one {len(opinion.note)}")
            if opinion.verdict is not None and opinion.verdict not in labels:
                raise UsageError(f"{opinion.verdict!r} is no label of this record: {', '.join(labels)}")
            before = self._said.get(place, Opinion())
            if opinion != before:
                self._keep(place, opinion, blind=self._hides(place))
                self._undo.append((place, before))

    def reveal(self, place: int) -> None:
        """Lets the person see the judge's verdict, and keeps that they did. Raises UsageError where they have none of
        their own yet."""
        with self._lock:
            self._verdict(place)
            own = self._said.get(place, Opinion())
            if own.verdict is None:
                raise UsageError("the judge's verdict is shown after your own")
            if self._hides(place):
                self._keep(place, own, blind=False)
                self._seen.add(place)

    def undo(self) -> int | None:
        """Takes the last thing said in this session back, and gives the place of the record; None without any."""
        with self._lock:
            if not self._undo:
                return None
            place, before = self._undo[-1]
            self._keep(place, before, blind=self._hides(place))
            self._undo.pop()
            return place

    def _hides(self, place: int) -> bool:
        return self.blind and place not in self._seen

    def _verdict(self, place: int) -> Verdict:
        try:
            return self.queue.verdict(place)
        except IndexError:
            raise UsageError(f"there is no record {place}: the queue has {len(self.queue)}, from 0 on") from None

    def _order(self, place: int) -> Literal["ab", "ba"] | None:
        about = self.queue.items[place].about
        if about.task != "pairwise":
            return None
        drawn = hashlib.sha256(json.dumps([self._seed, self.reviewer, *about]).encode()).digest()
        return "ba" if drawn[0] & 1 else "ab"

    def _keep(self, place: int, opinion: Opinion, *, blind: bool) -> None:
        # A clock that was set back must not make this older than what was said before.
        at = max(datetime.now(UTC).isoformat(timespec="milliseconds"), self._latest, key=_time)
        about = self.queue.items[place].about
        event = ReviewEvent(
            task=about.task,
            record=about.record,
            content=about.content,
            reviewer=self.reviewer,
            verdict=opinion.verdict,
            note=opinion.note,
            blind=blind,
            order=self._order(place),
            at=at,
        )
        self._file.append(event)
        self._latest = at
        self._said[place] = opinion


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at) if at else datetime.min.replace(tzinfo=UTC)


def _texts_only(verdict: Verdict) -> dict[str, Any]:
    """What the judge was shown, and nothing that it said or that is known: not even the record's name, which may say
    who answered."""
    record = record_of(verdict)
    values = record.to_json()
    texts = {name: values[name] for name in type(record).judged if name in values}
    return {"task": verdict.task, "status": verdict.status, "verdict": None, "record": texts}
