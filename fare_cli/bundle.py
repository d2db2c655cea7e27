"""Air-gap bundles: a judge in one folder, for a machine without network. docs/models.md describes the folder.

A bundle is not trusted. Its files are found by walking it, never by a path that it names, and every one of them is
checked against SHA256SUMS before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fare_cli.errors import EnvironmentFault, InputError, ModelError, UsageError
from fare_cli.gguf.adapter import check_fit, is_adapter
from fare_cli.gguf.describe import PROMPTS_KEY
from fare_cli.gguf.importing import Imported
from fare_cli.gguf.install import Staging, check_name, check_space, copy_file, staging, sync_folder, write_synced
from fare_cli.gguf.notes import ModelNotes, card_file, prompts_folder, read_notes
from fare_cli.gguf.split import complete_parts, model_name, part_file_names, part_paths, read_model
from fare_cli.gguf.store import (
    ModelFile,
    file_sha256,
    find_same,
    installed_models,
    models_folder,
    parts_sha256,
    resolve_model,
)
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import check_prompts, prompt_files
from fare_cli.settings import Settings

MANIFEST, SUMS, SETTINGS, CARD = "bundle.json", "SHA256SUMS", "fare.toml", "card.md"
WEIGHTS, PROMPTS = "weights", "prompts"

_MOST_FILES = 10_000
_DEEPEST_FOLDER = 2
_BRING_AGAIN = "bring the bundle again: nothing was installed"
_LARGEST_TEXT_BYTES = 1 << 24
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")

Say = Callable[[str], None]
Sums = Mapping[str, str]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BundledModel(_Part):
    """A model whose files are `weights/NAME.gguf`, or its `parts` under llama.cpp's names."""

    name: str
    parts: int = Field(ge=1, lt=_MOST_FILES)
    sha256: str
    notes: ModelNotes

    @property
    def files(self) -> list[str]:
        """The paths of its files in the bundle, in order."""
        return [f"{WEIGHTS}/{name}" for name in part_file_names(self.name, self.parts)]


class Manifest(_Part):
    """What bundle.json says. `base` is there where `model` is an adapter.

    `prompts` says which ones the judge uses: its `own`, those that were `packaged` with fare, or those that are carried
    in the `weights`, which are the only ones that are not in the folder.
    """

    bundle: Literal[1] = 1
    fare: str
    llama_cpp_python: str
    model: BundledModel
    base: BundledModel | None = None
    prompts: Literal["own", "packaged", "weights"]


def export_bundle(name_or_path: str, folder: Path) -> Manifest:
    """Puts the judge that a model is here into a new `folder`: weights, prompts, settings, checksums.

    Raises InputError where the folder has something in it, ModelError where there is no such model, EnvironmentFault
    where it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty", "name a new folder")
    model = resolve_model(name_or_path)
    place = folder.resolve()
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        check_space(place, _weight_bytes(model))
        partial.mkdir(parents=True)
        try:
            manifest = _write_bundle(model, partial)
            partial.replace(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync_folder(place.parent)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be written: {error.strerror or error}", "make room for it") from None
    return manifest


def _weight_bytes(model: ModelFile) -> int:
    paths = [*part_paths(model.path), *([model.adapter] if model.adapter else [])]
    return sum(path.stat().st_size for path in paths)


def _write_bundle(model: ModelFile, folder: Path) -> Manifest:
    """Writes all files of a bundle into an empty folder."""
    sums: dict[str, str] = {}
    own_file = model.installed_file
    notes = _notes_of(own_file)
    prompts, prompts_from = _prompts_of(own_file, model.path)
    (folder / WEIGHTS).mkdir()
    base = None
    if model.adapter is not None:
        base_notes = _notes_of(model.path)
        base = _write_model(folder, notes.base or model_name(model.path), model.path, base_notes, sums)
    manifest = Manifest(
        fare=_version("fare-cli"),
        llama_cpp_python=_version("llama-cpp-python"),
        model=_write_model(folder, model.name, own_file, notes, sums),
        base=base,
        prompts=prompts_from,
    )
    texts = {f"{PROMPTS}/{path}": content for path, content in prompts.items()}
    if notes.decoding:
        texts[SETTINGS] = _settings_text(notes.decoding)
    if card_file(own_file).is_file():
        texts[CARD] = card_file(own_file).read_bytes()
    texts[MANIFEST] = (manifest.model_dump_json(indent=2, exclude_none=True) + "\n").encode()
    for path, content in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_synced(folder / path, content)
        sums[path] = hashlib.sha256(content).hexdigest()
    write_synced(folder / SUMS, "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items())).encode())
    return manifest


def _without_place(notes: ModelNotes) -> ModelNotes:
    """What of a model's notes is true on every machine, apart from what the bundle says elsewhere."""
    return notes.model_copy(update={"base": None, "decoding": {}, "sha256": None, "parts": []})


def _write_model(folder: Path, name: str, path: Path, notes: ModelNotes, sums: dict[str, str]) -> BundledModel:
    parts = complete_parts(path)
    digests = []
    for source, target in zip(parts, part_file_names(name, len(parts)), strict=True):
        digests.append(copy_file(source, folder / WEIGHTS / target))
        sums[f"{WEIGHTS}/{target}"] = digests[-1]
    digest = parts_sha256(digests)
    if notes.sha256 not in (None, digest):
        raise ModelError(
            f"{path} is not what was installed: its checksum is {digest}, and should be {notes.sha256}",
            f"bring the model again: fare models verify {name}",
        )
    return BundledModel(name=name, parts=len(parts), sha256=digest, notes=_without_place(notes))


def _notes_of(path: Path) -> ModelNotes:
    """The notes on an installed model; a file elsewhere has none."""
    return read_notes(path) if path.parent == models_folder() else ModelNotes()


def _prompts_of(*paths: Path) -> tuple[dict[str, bytes], Literal["own", "packaged", "weights"]]:
    """The prompts that a model (and its base) is judged with when nobody says otherwise, and where they come from."""
    own = prompts_folder(paths[0])
    if paths[0].parent == models_folder() and own.is_dir():
        return prompt_files(own), "own"
    if any(PROMPTS_KEY in read_model(path).metadata for path in paths):
        return {}, "weights"
    return prompt_files(), "packaged"


def _settings_text(decoding: Mapping[str, Any]) -> bytes:
    """Judging options as a fare.toml. Numbers, booleans and plain words look the same in JSON and in TOML."""
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in decoding.items()]
    return ("# How this judge is asked; fare takes these as its defaults.\n" + "".join(lines)).encode()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "0"


class _Bundle(NamedTuple):
    """A bundle that was read and is right but for its weights, which are checked while they are copied."""

    folder: Path
    sums: Sums
    manifest: Manifest
    prompts: dict[str, bytes]
    decoding: dict[str, Any]
    card: bytes | None


def import_bundle(folder: Path, *, name: str | None = None, say: Say = lambda _: None) -> Imported:
    """The judge in a bundle, installed under `name` (else under its own) with its prompts and settings, and its base.

    Raises ModelError that names the file for a bundle in which one is changed, missing, or too much, UsageError where
    another judge has the name, EnvironmentFault where it cannot be written. Then nothing was installed.
    """
    bundle = _read_bundle(folder)
    model, base = bundle.manifest.model, bundle.manifest.base
    target_name = model.name if name is None else name
    check_name(target_name)
    with ExitStack() as stack:
        base_name, staged_base = None, None
        if base is not None:
            if target_name == base.name:
                raise UsageError(f"{target_name} is the name of the adapter's base", "choose another with --name")
            staged_base = stack.enter_context(staging(base.name, say))
            base_name = _installed_base(bundle, base)
            staged_base = None if base_name else staged_base
            base_name = base_name or base.name
        staged = stack.enter_context(staging(target_name, say))
        there = _already_there(bundle, target_name, base_name)
        _take(bundle, base, staged_base)
        _take(bundle, model, None if there else staged)
        if staged_base is not None and base is not None:
            staged_base.publish(_without_place(base.notes))
        if there is not None:
            return Imported(target_name, there, False)
        if bundle.manifest.prompts != "weights":
            staged.add_prompts(bundle.prompts)
        if bundle.card is not None:
            staged.add_card(bundle.card)
        notes = _without_place(model.notes).model_copy(update={"base": base_name, "decoding": bundle.decoding})
        return Imported(target_name, staged.publish(notes), True)


def _take(bundle: _Bundle, model: BundledModel | None, staged: Staging | None) -> None:
    """Copies the files of a model, checking them; without `staged` it only checks them."""
    paths = model.files if model else []
    if staged is not None:
        check_space(models_folder(), sum((bundle.folder / path).stat().st_size for path in paths))
    for path in paths:
        if staged is not None:
            staged.add(bundle.folder / path, bundle.sums[path])
        elif file_sha256(bundle.folder / path, again=True) != bundle.sums[path]:
            raise _changed(path)


def _installed_base(bundle: _Bundle, base: BundledModel) -> str | None:
    """The name of the installed model that has the base's bytes; None if it has to be installed.

    Raises UsageError where its name belongs to another model.
    """
    same = next(_find_same(bundle, base), None)
    if same is None and base.name in installed_models():
        raise UsageError(
            f"the bundle brings a base {base.name}, and another model is installed under that name",
            f"install the base by itself: fare models import {bundle.folder / base.files[0]} --name OTHER",
        )
    return same


def _already_there(bundle: _Bundle, name: str, base_name: str | None) -> Path | None:
    """The file of the same judge installed under `name`. Raises UsageError where another one has the name."""
    path = installed_models().get(name)
    if path is None:
        return None
    hint = f"choose another name with --name, or remove that one first: fare models remove {name}"
    if name not in _find_same(bundle, bundle.manifest.model):
        raise UsageError(f"another model is installed as {name}", hint)
    notes = read_notes(path)
    base_path = installed_models().get(base_name or "", path)
    if (notes.base, notes.decoding) != (base_name, bundle.decoding) or _prompts_of(path, base_path)[
        0
    ] != bundle.prompts:
        raise UsageError(f"{name} is installed with the same weights and other prompts, settings or base", hint)
    return path


def _find_same(bundle: _Bundle, model: BundledModel) -> Iterator[str]:
    sizes = [(bundle.folder / path).stat().st_size for path in model.files]
    return find_same(sizes, lambda: model.sha256)


def _read_bundle(folder: Path) -> _Bundle:
    """Everything but the weights, read and checked. Raises ModelError that names the file at fault."""
    found = _walk(folder)
    sums = _read_sums(folder, found)
    manifest = _read_manifest(folder, sums)
    models = [model for model in (manifest.base, manifest.model) if model is not None]
    weights = [path for model in models for path in model.files]
    texts = {MANIFEST, SETTINGS, CARD, *(f"{PROMPTS}/{path}" for path in prompt_files())}
    for path in weights:
        if path not in sums:
            raise ModelError(f"{folder}: {path} is missing from the bundle", _BRING_AGAIN)
    for path in sums:
        if path not in weights and path not in texts:
            raise ModelError(f"{folder}: {path!r} does not belong to a bundle", _BRING_AGAIN)
    for model in models:
        if parts_sha256([sums[path] for path in model.files]) != model.sha256:
            raise ModelError(f"{folder}/{MANIFEST}: the sha256 of {model.name} is not that of its files", _BRING_AGAIN)
    _check_weights(folder, manifest)
    content = {path: _read_text(folder, path, sums) for path in sums if path in texts}
    prompts = {path.removeprefix(f"{PROMPTS}/"): text for path, text in content.items() if path.startswith(PROMPTS)}
    _check_prompts(folder, manifest, prompts)
    decoding = _read_settings(folder, content[SETTINGS]) if SETTINGS in content else {}
    return _Bundle(folder, sums, manifest, prompts, decoding, content.get(CARD))


def _walk(folder: Path) -> set[str]:
    """The paths of all files in a bundle. Raises ModelError for links and other things that are no files."""
    found: set[str] = set()
    folders = [""]
    while folders:
        inside = folders.pop()
        try:
            with os.scandir(folder / inside) as entries:
                for entry in entries:
                    path = f"{inside}{entry.name}"
                    if entry.is_dir(follow_symlinks=False) and path.count("/") < _DEEPEST_FOLDER:
                        folders.append(f"{path}/")
                    elif entry.is_file(follow_symlinks=False) and len(found) < _MOST_FILES:
                        found.add(path)
                    else:
                        kind = "a link" if entry.is_symlink() else "more than a bundle has"
                        raise ModelError(f"{folder}: {path!r} is {kind}", "a bundle holds plain files only")
        except OSError as error:
            raise ModelError(f"{folder / inside} cannot be read: {error.strerror}") from None
    return found


def _read_sums(folder: Path, found: set[str]) -> Sums:
    """The checksums by path, for exactly the files that are there."""
    for path in (SUMS, MANIFEST):
        if path not in found:
            raise ModelError(f"{folder} is no bundle: it has no {path}", "fare models export writes bundles")
    text = _read_limited(folder / SUMS).decode("utf-8", "surrogateescape")
    sums: dict[str, str] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        match = _SUM_LINE.fullmatch(line)
        if match is None or match[2] in sums:
            raise ModelError(f"{folder}/{SUMS}: line {number} is no checksum, or the second for its file", _BRING_AGAIN)
        sums[match[2]] = match[1]
    for path in sums:
        if path not in found:
            raise ModelError(f"{folder}: {path!r}, which {SUMS} names, is missing from the bundle", _BRING_AGAIN)
    for path in found - {SUMS}:
        if path not in sums:
            raise ModelError(f"{folder}: {path!r} is not in {SUMS}", "what nobody vouches for is not installed")
    return sums


def _read_manifest(folder: Path, sums: Sums) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(_read_text(folder, MANIFEST, sums))
        names = [model.name for model in (manifest.model, manifest.base) if model is not None]
        for name in names:
            check_name(name)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(
            f"{folder}/{MANIFEST}: {where}: {first['msg']}", "another version of fare may have written it"
        ) from None
    except UsageError as error:
        raise ModelError(f"{folder}/{MANIFEST}: {error.message}", _BRING_AGAIN) from None
    if len(set(names)) < len(names):
        raise ModelError(f"{folder}/{MANIFEST}: the adapter and its base have one name", _BRING_AGAIN)
    return manifest


def _check_weights(folder: Path, manifest: Manifest) -> None:
    path = folder / manifest.model.files[0]
    header = read_model(path)
    if is_adapter(path, header) != (manifest.base is not None):
        raise ModelError(f"{path}: an adapter comes with its base, and a whole model without one", _BRING_AGAIN)
    if manifest.base is not None:
        check_fit(path, header, manifest.base.name, read_model(folder / manifest.base.files[0]))


def _check_prompts(folder: Path, manifest: Manifest, prompts: Mapping[str, bytes]) -> None:
    """Raises ModelError for prompts that cannot judge, and for some where the weights carry their own."""
    if manifest.prompts == "weights":
        if prompts:
            raise ModelError(
                f"{folder}: the judge's prompts are in its weights, and {PROMPTS} holds others", _BRING_AGAIN
            )
        return
    with tempfile.TemporaryDirectory(prefix="fare-import-") as temporary:
        for path, content in prompts.items():
            target = Path(temporary, path)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)
        findings = check_prompts(Path(temporary))
    if findings:
        raise ModelError(f"{folder}/{PROMPTS}: {findings[0].file}: {findings[0].message}", _BRING_AGAIN)


def _read_settings(folder: Path, content: bytes) -> dict[str, Any]:
    """The judging options in a bundle's fare.toml."""
    try:
        values = tomllib.loads(content.decode())
    except ValueError as error:
        raise ModelError(f"{folder}/{SETTINGS}: {error}", _BRING_AGAIN) from None
    known = [field.name for field in fields(JudgingOptions)]
    for name in values:
        if name not in known:
            raise ModelError(f"{folder}/{SETTINGS}: {name!r} is no judging option", f"known: {', '.join(known)}")
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ModelError(f"{folder}/{SETTINGS}: {first['loc'][0]}: {first['msg']}", _BRING_AGAIN) from None
    return values


def _read_text(folder: Path, path: str, sums: Sums) -> bytes:
    content = _read_limited(folder / path)
    if hashlib.sha256(content).hexdigest() != sums[path]:
        raise _changed(path)
    return content


def _read_limited(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_TEXT_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST_TEXT_BYTES:
        raise ModelError(f"{path} is larger than {_LARGEST_TEXT_BYTES >> 20} MiB", _BRING_AGAIN)
    return content


def _changed(path: str) -> ModelError:
    return ModelError(f"{path} was changed: its checksum is not the one in {SUMS}", _BRING_AGAIN)
