"""What fare keeps beside an installed model: where it came from, its licence, what it is judged with."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fare_cli.errors import EnvironmentFault, ModelError


class BuildNotes(BaseModel):
    """How a model was built here: the SHA-256 of its checkpoint (see `building.checkpoint.Checkpoint`), the type, the
    converter's release, and in words how it agreed with the checkpoint; None where they could not be compared."""

    model_config = ConfigDict(extra="forbid")

    checkpoint: str
    type: str
    converter: str
    agreement: str | None = None


class ModelNotes(BaseModel):
    """Notes on an installed model, all optional.

    `source` is what it was brought from (`hf:OWNER/REPO/FILE.gguf@REVISION`, `package:...`, a URL, `import:FILE`,
    `build:...`). `sha256` is the checksum of the file as it came. `base` is the name of the model that an adapter
    stands on. `parts` are the file names of a split model after the first. `decoding` holds judging options that are
    this judge's defaults (`mode`, `max_tokens`, ...). `quantisation_check` is the report of the last checked
    quantisation, `build` says how it was made where that was done here.
    """

    model_config = ConfigDict(extra="forbid")

    source: str | None = None
    licence: str | None = None
    sha256: str | None = None
    base: str | None = None
    parts: list[str] = []
    decoding: dict[str, Any] = {}
    quantisation_check: dict[str, Any] | None = None
    build: BuildNotes | None = None


def notes_file(model_path: Path) -> Path:
    """Where the notes on a model file lie: beside it, `NAME.json`."""
    return model_path.with_suffix(".json")


def prompts_folder(model_path: Path) -> Path:
    """Where prompts lie that were installed with a model: beside it, `NAME.prompts`."""
    return model_path.with_suffix(".prompts")


def card_file(model_path: Path) -> Path:
    """Where the card lies that was published with a model: beside it, `NAME.card.md`; there need not be one."""
    return model_path.with_suffix(".card.md")


def read_notes(model_path: Path) -> ModelNotes:
    """The notes on a model file; empty ones where there are none. Raises ModelError where they are damaged."""
    file = notes_file(model_path)
    try:
        return ModelNotes.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return ModelNotes()
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{file}: {where or 'the file'}: {first['msg']}", "mend or delete the file") from None


def write_notes(model_path: Path, notes: ModelNotes) -> None:
    """Replaces the notes on a model file in one step. Raises EnvironmentFault."""
    file = notes_file(model_path)
    text = notes.model_dump_json(indent=2, exclude_defaults=True) + "\n"
    try:
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as output:
                output.write(text)
            Path(temporary).replace(file)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"{file} cannot be written: {error.strerror}") from None
