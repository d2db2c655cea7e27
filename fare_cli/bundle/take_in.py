"""Takes the judge in a bundle in: its weights, its base, its prompts and settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from fare_cli.bundle.check import Bundle, changed, read_bundle
from fare_cli.bundle.manifest import BundledModel, judge_prompts, without_place
from fare_cli.errors import UsageError
from fare_cli.gguf.disk import Say, check_space
from fare_cli.gguf.importing import Imported
from fare_cli.gguf.install import Staging, check_catalog, check_name, staging
from fare_cli.gguf.notes import read_notes
from fare_cli.gguf.store import file_sha256, find_same, installed_models, models_folder


def import_bundle(folder: Path, *, name: str | None = None, say: Say = lambda _: None) -> Imported:
    """The judge in a bundle, installed under `name` (else under its own) with its prompts and settings, and its base.

    Raises ModelError that names the file for a bundle in which one is changed, missing, or too much, UsageError where
    another judge has the name, EnvironmentFault where it cannot be written. Then nothing was installed.
    """
    bundle = read_bundle(folder)
    model, base = bundle.manifest.model, bundle.manifest.base
    target_name = model.name if name is None else name
    check_name(target_name)
    check_catalog(target_name, model.sha256)
    with ExitStack() as stack:
        base_name, staged_base = None, None
        if base is not None:
            if target_name == base.name:
                raise UsageError(f"{target_name} is the name of the adapter's base", "choose another with --name")
            staging_base = stack.enter_context(staging(base.name, say))
            base_name = _installed_base(bundle, base)
            if base_name is None:
                base_name, staged_base = base.name, staging_base
            _take(bundle, base, staged_base)
        staged = stack.enter_context(staging(target_name, say))
        there = _already_there(bundle, target_name, base_name)
        _take(bundle, model, None if there else staged)
        staged.add_prompts(bundle.prompts)
        if bundle.card is not None:
            staged.add_card(bundle.card)
        # Everything is checked and on the disk: from here on only names change.
        if base is not None and staged_base is not None:
            staged_base.publish(without_place(base.notes))
        if there is not None:
            return Imported(target_name, there, False)
        notes = without_place(model.notes).model_copy(update={"base": base_name, "decoding": bundle.decoding})
        return Imported(target_name, staged.publish(notes), True)


def _take(bundle: Bundle, model: BundledModel, staged: Staging | None) -> None:
    """Copies the files of a model, checking them; without `staged` it only checks them."""
    paths = model.files
    if staged is not None:
        needed = sum((bundle.folder / path).stat().st_size for path in paths)
        check_space(models_folder(), needed, model.name)
    for path in paths:
        if staged is not None:
            staged.add(bundle.folder / path, bundle.sums[path])
        elif file_sha256(bundle.folder / path, again=True) != bundle.sums[path]:
            raise changed(path)


def _installed_base(bundle: Bundle, base: BundledModel) -> str | None:
    """The name of the installed model that has the base's bytes; None if it has to be installed.

    Raises UsageError where its name belongs to another model.
    """
    same = next(_find_same(bundle, base), None)
    if same is None and base.name in installed_models():
        raise UsageError(
            f"the bundle brings a base {base.name}, and another model is installed under that name",
            f"install the base by itself: fare models import {bundle.folder / base.files[0]} --name OTHER",
        )
    if same is None:
        check_catalog(base.name, base.sha256)
    return same


def _already_there(bundle: Bundle, name: str, base_name: str | None) -> Path | None:
    """The file of the same judge installed under `name`. Raises UsageError where another one has the name."""
    path = installed_models().get(name)
    if path is None:
        return None
    hint = f"choose another name with --name, or remove that one first: fare models remove {name}"
    if name not in _find_same(bundle, bundle.manifest.model):
        raise UsageError(f"another model is installed as {name}", hint)
    notes = read_notes(path)
    if (notes.base, notes.decoding, judge_prompts(path).texts) != (base_name, bundle.decoding, bundle.prompts):
        raise UsageError(f"{name} is installed with the same weights and other prompts, settings or base", hint)
    return path


def _find_same(bundle: Bundle, model: BundledModel) -> Iterator[str]:
    sizes = [(bundle.folder / path).stat().st_size for path in model.files]
    return find_same(sizes, lambda: model.sha256)
