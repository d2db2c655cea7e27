"""Takes model files that are on this machine into the models folder: whole, split, or adapters with their base."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import EnvironmentFault, InputError, UsageError
from fare_cli.gguf.adapter import check_fit, is_adapter
from fare_cli.gguf.disk import Say, check_space
from fare_cli.gguf.install import check_name, staging
from fare_cli.gguf.notes import ModelNotes, read_notes, write_notes
from fare_cli.gguf.split import complete_parts, model_name, read_model
from fare_cli.gguf.store import (
    file_sha256,
    find_same,
    installed_models,
    models_folder,
    parts_sha256,
    resolve_model,
)


class Imported(NamedTuple):
    """An installed model's name and first file; `new` is False where the same content was there already."""

    name: str
    path: Path
    new: bool


def import_model(
    path: Path, *, name: str | None = None, base: str | None = None, move: bool = False, say: Say = lambda _: None
) -> Imported:
    """The GGUF file at `path`, with all its parts, installed under `name` (else under its own).

    `base` is the installed model that an adapter is judged on; it has to fit. `move` takes the files instead of copying
    them, at once where they are on the same disk. Raises InputError where there is no such file, UsageError for a name
    that another model has and for a base that is missing or too much, ModelError for a file that is no whole model or
    adapter, EnvironmentFault where it cannot be written.
    """
    sources = _sources(path)
    target_name = model_name(path) if name is None else name
    check_name(target_name)
    if move and path.resolve().parent == models_folder().resolve():
        raise UsageError(f"{path} lies among the installed models already", "leave --move out to install a copy")
    base_name = _check_header(sources[0], base)
    with staging(target_name, say) as staged:
        there = _already_there(sources, target_name, base_name, elsewhere=name is None)
        if there is not None:
            return there
        on_same_disk = move and sources[0].stat().st_dev == models_folder().stat().st_dev
        if not on_same_disk:
            check_space(models_folder(), sum(source.stat().st_size for source in sources), target_name)
        for source in sources:
            if not (on_same_disk and staged.add_link(source, file_sha256(source))):
                staged.add(source)
        installed = staged.publish(ModelNotes(source=f"import:{path.name}", base=base_name))
    if move:
        _remove_sources(sources)
    return Imported(target_name, installed, True)


def _sources(path: Path) -> list[Path]:
    try:
        path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if not path.is_file():
        raise InputError(f"{path} is no file", "name a GGUF file, or the folder of a bundle")
    return complete_parts(path)


def _remove_sources(sources: list[Path]) -> None:
    for source in sources:
        try:
            source.unlink()
        except OSError as error:
            raise EnvironmentFault(f"the model is installed, but {source} stays: {error.strerror}") from None


def _check_header(path: Path, base: str | None) -> str | None:
    """The name of the base, None for a whole model. Raises ModelError, UsageError."""
    header = read_model(path)
    if not is_adapter(path, header):
        if base is not None:
            raise UsageError(f"{path} is a whole model and has no base", "leave --base out")
        return None
    if base is None:
        raise UsageError(f"{path} is an adapter", "name the installed model that it was trained on with --base MODEL")
    found = resolve_model(base)
    if found.installed_file not in installed_models().values():
        raise UsageError(f"--base {base}: that is a file and no installed model", f"fare models import {base} first")
    check_fit(path, header, found.name, read_model(found.installed_file))
    return found.name


def _already_there(sources: list[Path], name: str, base: str | None, *, elsewhere: bool) -> Imported | None:
    """The installed model that has these bytes under `name`, or `elsewhere` under any; None if there is none.

    Raises UsageError where another one has the name.
    """
    installed = installed_models()
    same = find_same(
        [source.stat().st_size for source in sources],
        functools.cache(lambda: parts_sha256([file_sha256(source) for source in sources])),
    )
    for other in sorted(same, key=lambda other: other != name):
        notes = read_notes(installed[other])
        if other == name and base is not None and notes.base is None:
            # It was put into the folder by hand.
            write_notes(installed[other], notes.model_copy(update={"base": base}))
        elif notes.base != base or not (elsewhere or other == name):
            continue
        return Imported(other, installed[other], False)
    if name in installed:
        raise UsageError(
            f"another model is installed as {name}",
            f"choose another name with --name, or remove that one first: fare models remove {name}",
        )
    return None
