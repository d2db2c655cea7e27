"""Removes installed models, with all that was kept beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.install import clear, only_one
from fare_cli.gguf.notes import read_notes
from fare_cli.gguf.split import part_paths
from fare_cli.gguf.store import find_installed, installed_models


def check_removal(names: Sequence[str], *, force: bool = False) -> dict[str, list[Path]]:
    """The files of the installed models `names`, by name. Raises ModelError where there is no such model.

    Without `force`, raises UsageError for a base of an adapter that would stay.
    """
    files = {name: part_paths(find_installed(name)) for name in names}
    orphans = [(adapter, base) for adapter, base in _bases().items() if base in files and adapter not in files]
    if orphans and not force:
        adapter, base = orphans[0]
        raise UsageError(
            f"the adapter {adapter} stands on {base}",
            f"remove both (fare models remove {base} {adapter}), or this one alone with --force",
        )
    return files


def remove_model(name: str) -> None:
    """Removes an installed model: its files, notes, prompts and card. Nothing outside the models folder is touched.

    Raises ModelError if there is no such model, EnvironmentFault where it cannot be removed.
    """
    path = find_installed(name)
    try:
        with only_one(name, lambda _: None):
            # The first file makes it a model: without it nothing judges with what is left, should this be cut short.
            path.unlink(missing_ok=True)
            clear(path)
    except OSError as error:
        raise EnvironmentFault(f"{name} cannot be removed: {error.filename}: {error.strerror}") from None


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
