"""A quantised variant of a model, with the notes and prompts that make it the same judge."""

from __future__ import annotations

import re
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.disk import Say, writing
from fare_cli.gguf.header import read_header
from fare_cli.gguf.install import only_one_at
from fare_cli.gguf.notes import ModelNotes, files_beside, notes_file, prompts_folder, read_notes, write_notes
from fare_cli.gguf.quantize import quantize
from fare_cli.gguf.split import model_name
from fare_cli.gguf.store import ModelFile, models_folder, resolve_model


def variant_path(source: ModelFile, type: str, name: str | None = None) -> Path:
    """Where a variant is installed: NAME-q4_k_m.gguf, NAME being the source's name without its own type."""
    if name is None:
        own = re.escape(read_header(source.path).quantisation)
        name = re.sub(rf"[-_.]{own}$", "", source.name, flags=re.IGNORECASE)
    return models_folder() / f"{name}-{type.lower()}.gguf"


def make_variant(
    source: ModelFile,
    target: Path,
    type: str,
    *,
    imatrix: Path | None = None,
    threads: int | None = None,
    allow_requantize: bool = False,
    force: bool = False,
    say: Say = lambda _: None,
) -> ModelFile:
    """The model at `target`: `source` in another type, with its licence, decoding and prompts.

    What an earlier call made of the same source is taken as it is. Raises UsageError where `target` is another file
    (unless `force`), and what `quantize` raises.
    """
    origin = f"quantize:{source.name} {type} sha256:{source.sha256}"
    if imatrix is not None:
        origin += f" imatrix:{imatrix.stem}"
    with writing(target), _lock(target, say):
        if target.exists():
            if target.samefile(source.path):
                raise UsageError(f"{target} is the model that is to be quantised", "choose another name")
            if read_notes(target).source == origin and not force:
                say(f"{target.name} is there already, made of the same file")
                return resolve_model(target)
            if not force:
                raise UsageError(
                    f"{target} exists and is another file", "choose another --name, or replace it with --force"
                )
        elif not force:
            _check_free(target)
        notes = read_notes(source.path) if source.path.parent == models_folder() else ModelNotes()
        quantize(
            source.path, target, type, imatrix=imatrix, threads=threads, allow_requantize=allow_requantize, say=say
        )
        _copy_prompts(source.path, target)
        made = resolve_model(target)
        write_notes(
            target, ModelNotes(source=origin, sha256=made.sha256, licence=notes.licence, decoding=notes.decoding)
        )
        return made


def _lock(target: Path, say: Say) -> AbstractContextManager[object]:
    """Elsewhere than among the installed models nobody pulls, imports or removes."""
    return only_one_at(model_name(target), say) if target.absolute().parent == models_folder() else nullcontext()


def _check_free(target: Path) -> None:
    """Raises UsageError where something that fare did not put there has a name that the model's notes would take."""
    if notes_file(target).exists():
        try:
            read_notes(target)
        except ModelError:
            pass
        else:
            return
    for file in files_beside(target):
        if file.exists():
            raise UsageError(
                f"{file} is there already, and fare keeps what belongs to {target.name} under that name",
                "choose another name, or replace it with --force",
            )


def _copy_prompts(source: Path, target: Path) -> None:
    before, after = prompts_folder(source), prompts_folder(target)
    if after.exists():
        shutil.rmtree(after)
    if before.is_dir():
        shutil.copytree(before, after)
