"""The verdicts as the page holds them: an index of short columns, and the whole verdicts in chunks that are parsed when
somebody looks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO, Any, Self

from fare_cli.run.files import disk_fault
from fare_cli.studies.evaluating.case import Case
from fare_cli.verdicts import Verdict

_CHUNK_CHARACTERS = 500_000
_CHUNK_RECORDS = 500
_SNIPPET = 120
_DIGITS = 4


def embedded(value: Any) -> str:
    """JSON that can stand in an HTML script element: no text in it can end the element or open a comment."""
    return escaped(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def escaped(line: str) -> str:
    """The JSON with every `<` written as an escape; outside of its strings there is none."""
    return line.replace("<", "\\u003c")


class Rows(AbstractContextManager["Rows"]):
    """Takes verdicts one after the other and keeps the large part in an unnamed temporary file."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        self._sets: dict[int, int] = {}
        self._starts: list[int] = []
        self._chunk: list[str] = []
        self._characters = 0
        self._file: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115

    def __len__(self) -> int:
        return len(self._columns["id"])

    def add(self, number: int, verdict: Verdict, case: Case) -> None:
        """Another verdict, of the set with this number, 0-based. Raises EnvironmentFault for a full disk."""
        if not self._chunk:
            self._starts.append(len(self))
        for name, value in _row(number, verdict, case).items():
            self._columns[name].append(value)
        line = escaped(verdict.to_line())
        self._chunk.append(line)
        self._characters += len(line)
        if self._characters >= _CHUNK_CHARACTERS or len(self._chunk) >= _CHUNK_RECORDS:
            self._flush()

    def index(self) -> str:
        """The columns, and the first record of each chunk, as JSON to be embedded."""
        return embedded({"columns": self._columns, "starts": self._starts})

    def chunks(self) -> Iterator[str]:
        """Each chunk as JSON to be embedded: a list of whole verdicts."""
        self._flush()
        self._file.seek(0)
        for line in self._file:
            yield line.rstrip("\n")

    def _flush(self) -> None:
        if not self._chunk:
            return
        try:
            self._file.write(f"[{','.join(self._chunk)}]\n")
        except OSError as error:
            raise disk_fault("a temporary copy of the verdicts", error) from error
        self._chunk.clear()
        self._characters = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


#: What the list can be filtered and sorted by, and what binds a person's verdict to the record.
_COLUMNS = (
    "set", "id", "question", "verdict", "confidence", "expected", "gold", "correct", "consistent", "category", "state",
    "content",
)  # fmt: skip


def _row(number: int, verdict: Verdict, case: Case) -> dict[str, Any]:
    question = str((verdict.record or {}).get("question", ""))
    return {
        "set": number,
        "id": verdict.id,
        "question": " ".join(question[: 4 * _SNIPPET].split())[:_SNIPPET],
        "verdict": case.verdict,
        "confidence": None if case.confidence is None else round(case.confidence, _DIGITS),
        "expected": None if case.expected_score is None else round(case.expected_score, _DIGITS),
        "gold": case.gold,
        "correct": case.correct,
        "consistent": case.consistent,
        "category": case.category,
        "state": "invalid" if case.invalid is not None else "undecided" if case.is_undecided else "ok",
        "content": case.content,
    }
