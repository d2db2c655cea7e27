"""Finished pieces of a verb's work, kept beside its output until that is whole: what a kill does not lose."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fare_cli.run.files import disk_fault, open_locked


class Pieces:
    """Pieces by name, as JSON values. A file of another plan (`fingerprint`) is started anew; a torn last line, which a
    kill leaves, is owed again. One process at a time."""

    def __init__(self, output: Path, fingerprint: str) -> None:
        self.path = output.with_name(output.name + ".pieces.jsonl")
        self._done: dict[str, Any] = {}
        self._file = os.fdopen(open_locked(self.path, "pieces"), "r+b")
        whole = self._read(fingerprint)
        self._file.truncate(whole)
        self._file.seek(whole)
        if not whole:
            self._append({"plan": fingerprint})

    def _read(self, fingerprint: str) -> int:
        """How many bytes of the file are whole lines of this plan."""
        whole = 0
        for number, line in enumerate(self._file):
            try:
                entry = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                entry = None
            if not isinstance(entry, dict) or (number == 0 and entry.get("plan") != fingerprint):
                break
            if number:
                self._done[entry["piece"]] = entry["made"]
            whole += len(line)
        return whole

    def __contains__(self, name: str) -> bool:
        return name in self._done

    def __getitem__(self, name: str) -> Any:
        return self._done[name]

    def add(self, name: str, made: Any) -> None:
        """Keeps a piece. Raises EnvironmentFault where the disk does not take it."""
        self._append({"piece": name, "made": made})
        self._done[name] = made

    def _append(self, entry: Any) -> None:
        try:
            self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise disk_fault(f"pieces {self.path}", error) from error

    def discard(self) -> None:
        """Removes the file: the output is whole."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
