"""Removes installed models, with all that was kept beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.disk import Say
from fare_cli.gguf.install import clear, clear_half_written, half_written, only_one_at
from fare_cli.gguf.notes import read_notes
from fare_cli.gguf.split import part_paths
from fare_cli.gguf.store import find_installed, installed_models


def check_removal(names: Sequence[str], *, force: bool = False) -> dict[str, list[Path]]:
    """The files of the installed models `names`, by name, with what is half downloaded of them.

    Raises ModelError where there is nothing of a model, UsageError, without `force`, for a base of an adapter that
    would stay.
    """
    files = {name: _files(name) for name in names}
    orphans = [(adapter, base) for adapter, base in _bases().items() if base in files and adapter not in files]
    if orphans and not force:
        adapter, base = orphans[0]
        raise UsageError(
            f"the adapter {adapter} stands on {base}",
            f"remove both (fare models remove {base} {adapter}), or this one alone with --force",
        )
    return files


def remove_model(name: str, *, say: Say = lambda _: None) -> None:
    """Removes an installed model: its files, notes, prompts and card, and what is half downloaded of it.

    Nothing outside the models folder is touched. Raises ModelError if there is nothing of such a model,
    EnvironmentFault where it cannot be removed.
    """
    _files(name)
    try:
        with only_one_at(name, say):
            path = installed_models().get(name)
            if path is not None:
                # The first file makes it a model: should this be cut short, nothing judges with what is left.
                path.unlink(missing_ok=True)
                clear(path)
            clear_half_written(name)
    except OSError as error:
        raise EnvironmentFault(f"{name} cannot be removed: {error.filename}: {error.strerror}") from None


def _files(name: str) -> list[Path]:
    """All of a model that holds weights. Raises ModelError where there is nothing of it."""
    partial = half_written(name)
    if partial and name not in installed_models():
        return partial
    return [*part_paths(find_installed(name)), *partial]


def _bases() -> dict[str, str]:
    """The base of each installed adapter. Notes that cannot be read name none."""
    bases = {}
    for name, path in installed_models().items():
        try:
            base = read_notes(path).base
        except ModelError:
            continue
        if base is not None:
            bases[name] = base
    return bases
