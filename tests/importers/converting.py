"""Fixtures and rows written for a test, converted as `fare data convert` does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fare_cli.importers.convert import Conversion
from fare_cli.importers.registry import IMPORTERS
from tests.importers.published import FIXTURES


def converted(name: str, *files: str | Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The records that the importer makes of fixtures or of other files, and the skipped rows by reason."""
    conversion = Conversion(IMPORTERS[name], [str(FIXTURES / file) for file in files])
    return [json.loads(line) for line in conversion.lines()], dict(conversion.skipped)


def rows_of(fixture: str) -> list[dict[str, Any]]:
    """The rows of a JSON Lines fixture, or the elements of a JSON array."""
    text = (FIXTURES / fixture).read_text()
    if text.startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def written(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
