"""Verdict files and what people say of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fare_cli.review.events import ReviewEvent
from fare_cli.review.queue import record_of
from fare_cli.verdicts import Verdict

_START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def write_verdicts(path: Path, verdicts: Iterable[Verdict]) -> Path:
    path.write_text("".join(f"{verdict.to_line()}\n" for verdict in verdicts), "utf-8")
    return path


def event(verdict: Verdict, reviewer: str, label: str | None, *, minute: int = 0, **more: Any) -> ReviewEvent:
    """What `reviewer` says of a verdict's record, blind, so many minutes after nine."""
    values: dict[str, Any] = {
        "task": verdict.task,
        "record": verdict.id,
        "content": record_of(verdict).content_id(),
        "reviewer": reviewer,
        "verdict": label,
        "blind": True,
        "order": "ab" if verdict.task == "pairwise" else None,
        "at": (_START + timedelta(minutes=minute)).isoformat(),
    }
    return ReviewEvent(**{**values, **more})


def write_reviews(path: Path, events: Iterable[ReviewEvent]) -> Path:
    path.write_text("".join(f"{one.to_line()}\n" for one in events), "utf-8")
    return path


def labels_of_people(verdicts: Sequence[Verdict], labels: Sequence[dict[str, str]]) -> list[ReviewEvent]:
    return [
        event(verdict, reviewer, label, minute=minute)
        for minute, (verdict, given) in enumerate(zip(verdicts, labels, strict=True))
        for reviewer, label in given.items()
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
