"""What fare keeps beside an installed model: where it came from, its licence, what it is judged with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fare_cli.errors import ModelError
from fare_cli.gguf.disk import whole_file, writing
from fare_cli.gguf.split import model_name


class BuildNotes(BaseModel):
    """How a model was built here: the SHA-256 of its checkpoint (see `building.checkpoint.Checkpoint`), the type, the
    converter's release, the SHA-256 of the records whose importance was weighed, and in words how it agreed with the
    checkpoint; None where they could not be compared."""

    model_config = ConfigDict(extra="forbid")

    checkpoint: str
    type: str
    converter: str
    importance: str | None = None
    agreement: str | None = None


class ModelNotes(BaseModel):
    """Notes on an installed model, all optional.

    `source` is what it was brought from (`hf:OWNER/REPO/FILE.gguf@REVISION`, `package:...`, `fare:FILE.gguf` for what
    fare's own package carries, a URL, `import:FILE`, `build:...`), `sha256` its checksum then, over all parts of a
    split model (see `resolve_model`). `base` is the name of the model that an adapter stands on. `parts` are the file
    names of a split model after the first. `decoding` holds judging options that are this judge's defaults (`mode`,
    `max_tokens`, ...). `quantisation_check` is the report of the last checked quantisation, `build` says how it was
    made where that was done here.
    """

    model_config = ConfigDict(extra="forbid")

    source: str | None = None
    sha256: str | None = None
    licence: str | None = None
    base: str | None = None
    parts: list[str] = []
    decoding: dict[str, Any] = {}
    quantisation_check: dict[str, Any] | None = None
    build: BuildNotes | None = None


def notes_file(model_path: Path) -> Path:
    """Where the notes on a model file lie: beside it, `NAME.json`; a split model has one file of notes."""
    return model_path.with_name(f"{model_name(model_path)}.json")


def prompts_folder(model_path: Path) -> Path:
    """Where prompts lie that were installed with a model: beside it, `NAME.prompts`."""
    return model_path.with_name(f"{model_name(model_path)}.prompts")


def card_file(model_path: Path) -> Path:
    """Where the model card lies that was brought with a model: beside it, `NAME.card.md`."""
    return model_path.with_name(f"{model_name(model_path)}.card.md")


def check_report_file(model_path: Path) -> Path:
    """Where the page about a model's quantisation check lies: beside it, `NAME.report.html`."""
    return model_path.with_name(f"{model_name(model_path)}.report.html")


def files_beside(model_path: Path) -> list[Path]:
    """All that may be kept beside a model file, and is removed with it."""
    return [
        notes_file(model_path),
        prompts_folder(model_path),
        card_file(model_path),
        check_report_file(model_path),
    ]


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


def notes_text(notes: ModelNotes) -> str:
    """The notes as they stand in their file."""
    return notes.model_dump_json(indent=2, exclude_defaults=True) + "\n"


def write_notes(model_path: Path, notes: ModelNotes) -> None:
    """Replaces the notes on a model file in one step. Raises EnvironmentFault."""
    file = notes_file(model_path)
    with writing(file), whole_file(file) as output:
        output.write(notes_text(notes).encode())
