"""Whether installed models are still what was installed: reads every byte again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from fare_cli.errors import FareError, ModelError
from fare_cli.gguf.adapter import check_fit, is_adapter
from fare_cli.gguf.notes import ModelNotes, read_notes
from fare_cli.gguf.split import read_model
from fare_cli.gguf.store import base_of, catalog_sha256, find_installed, model_sha256

Found = TypeVar("Found")
ExpectedFrom = Literal["notes", "catalog"]


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found about one model. `expected_from` says who knew the checksum; both are None where nobody does.

    `problems` are sentences; none of them means that the model is in order.
    """

    name: str
    path: Path
    sha256: str | None
    expected: str | None
    expected_from: ExpectedFrom | None
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


def verify_model(name: str) -> Verification:
    """Checks the installed model `name`: its checksum, read anew, its header, where its tensors lie, and its base.

    Raises ModelError if no model of that name is installed; what is wrong with the model is in the result.
    """
    path = find_installed(name)
    problems: list[str] = []
    notes = _tried(lambda: read_notes(path), problems) or ModelNotes()
    _tried(lambda: _check_contents(path, notes), problems)
    digest = _tried(lambda: model_sha256(path, again=True), problems)
    known = catalog_sha256(name)
    expected = notes.sha256 or known
    if digest is not None and expected is not None and digest != expected:
        problems.append(f"{path}: its checksum is {digest}, and should be {expected}")
    source: ExpectedFrom | None = "notes" if notes.sha256 else "catalog" if known else None
    return Verification(name, path, digest, expected, source, problems)


def _check_contents(path: Path, notes: ModelNotes) -> None:
    header = read_model(path)
    if is_adapter(path, header):
        if notes.base is None:
            raise ModelError(f"{path} is an adapter, and its notes do not name its base")
        check_fit(path, header, notes.base, read_model(base_of(path, notes.base)))


def _tried(check: Callable[[], Found], problems: list[str]) -> Found | None:
    """What a check gives; None where it fails, with the reason among the problems (once)."""
    try:
        return check()
    except FareError as error:
        if error.message not in problems:
            problems.append(error.message)
        return None
