"""Writes a judge into a folder: weights, prompts, settings, checksums."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from fare_cli.bundle.manifest import (
    CARD,
    MANIFEST,
    PROMPTS,
    SETTINGS,
    SUMS,
    WEIGHTS,
    BundledModel,
    Manifest,
    judge_prompts,
    without_place,
)
from fare_cli.errors import InputError, ModelError
from fare_cli.gguf.disk import check_space, copy_file, write_synced, writing
from fare_cli.gguf.model_prompts import own_decoding
from fare_cli.gguf.notes import ModelNotes, card_file, read_notes
from fare_cli.gguf.split import bytes_here, complete_parts, model_name, part_file_names
from fare_cli.gguf.store import ModelFile, models_folder, parts_sha256, resolve_model
from fare_cli.run.files import sync_folder


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
    with writing(folder, "make room for it"):
        check_space(place, _weight_bytes(model), model.name, "make room, or choose another disk")
        partial.mkdir(parents=True)
        try:
            manifest = _write_bundle(model, partial)
            partial.replace(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync_folder(place.parent)
    return manifest


def _weight_bytes(model: ModelFile) -> int:
    return bytes_here(model.path) + (model.adapter.stat().st_size if model.adapter else 0)


def _write_bundle(model: ModelFile, folder: Path) -> Manifest:
    """Writes all files of a bundle into an empty folder."""
    sums: dict[str, str] = {}
    own_file = model.installed_file
    notes = _notes_of(own_file)
    prompts = judge_prompts(own_file)
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
        prompts=dict(prompts.places),
    )
    texts = {
        f"{PROMPTS}/{task}/{name}": text.encode()
        for task, files in prompts.texts.items()
        for name, text in files.items()
    }
    decoding = own_decoding(own_file).options
    if decoding:
        texts[SETTINGS] = _settings_text(decoding)
    if card_file(own_file).is_file():
        texts[CARD] = card_file(own_file).read_bytes()
    texts[MANIFEST] = (manifest.model_dump_json(indent=2, exclude_none=True) + "\n").encode()
    for path, content in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_synced(folder / path, content)
        sums[path] = hashlib.sha256(content).hexdigest()
    write_synced(folder / SUMS, "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items())).encode())
    return manifest


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
    return BundledModel(name=name, parts=len(parts), sha256=digest, notes=without_place(notes))


def _notes_of(path: Path) -> ModelNotes:
    """The notes on an installed model; a file elsewhere has none."""
    return read_notes(path) if path.parent == models_folder() else ModelNotes()


def _settings_text(decoding: Mapping[str, Any]) -> bytes:
    """Judging options as a fare.toml. Numbers, booleans and plain words look the same in JSON and in TOML."""
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in decoding.items()]
    return ("# How this judge is asked; fare takes these as its defaults.\n" + "".join(lines)).encode()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "0"
