"""Reads a bundle, which nobody has to trust: its files are found by walking it, never by a path that it names, and
every one of them has to be the one that SHA256SUMS vouches for."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from fare_cli.bundle.manifest import CARD, MANIFEST, MOST_FILES, PROMPTS, SETTINGS, SUMS, Manifest
from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.adapter import check_fit, is_adapter
from fare_cli.gguf.install import check_name
from fare_cli.gguf.split import read_model
from fare_cli.gguf.store import parts_sha256
from fare_cli.prompting import TASK_NAMES, PromptTexts, prompt_file_names, prompt_from_texts
from fare_cli.settings import check_model_defaults

_DEEPEST_FOLDER = 2
_LARGEST_TEXT_BYTES = 1 << 24
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_BRING_AGAIN = "bring the bundle again: nothing was installed"

Sums = Mapping[str, str]


class Bundle(NamedTuple):
    """A bundle that is right but for its weights, whose bytes are checked while they are copied.

    `sums` has the checksum of each file by its path, `prompts` the texts that are not inside the weights.
    """

    folder: Path
    sums: Sums
    manifest: Manifest
    prompts: PromptTexts
    decoding: Mapping[str, Any]
    card: bytes | None


def read_bundle(folder: Path) -> Bundle:
    """The bundle in a folder. Raises ModelError that names the file that is changed, missing, or too much."""
    found = _walk(folder)
    sums = _read_sums(folder, found)
    manifest = _read_manifest(folder, sums)
    models = [model for model in (manifest.base, manifest.model) if model is not None]
    weights = [path for model in models for path in model.files]
    texts = {MANIFEST, SETTINGS, CARD, *(path for task in TASK_NAMES for path in _prompt_paths(task))}
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
    prompts = _read_prompts(folder, manifest, content)
    decoding = _read_settings(folder, content[SETTINGS]) if SETTINGS in content else {}
    return Bundle(folder, sums, manifest, prompts, decoding, content.get(CARD))


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
                    elif entry.is_file(follow_symlinks=False) and len(found) < MOST_FILES:
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


def _prompt_paths(task: str) -> list[str]:
    return [f"{PROMPTS}/{task}/{name}" for name in prompt_file_names(task)]


def _read_prompts(folder: Path, manifest: Manifest, content: Mapping[str, bytes]) -> PromptTexts:
    """The prompts of all tasks that are not inside the weights, checked."""
    prompts = {}
    for task in TASK_NAMES:
        files = {path: content[path] for path in _prompt_paths(task) if path in content}
        if manifest.prompts.get(task) == "inside":
            if files:
                raise ModelError(
                    f"{folder}: {next(iter(files))!r} is too much: the weights carry this prompt", _BRING_AGAIN
                )
            continue
        try:
            prompts[task] = {path.rpartition("/")[2]: data.decode("utf-8-sig") for path, data in files.items()}
            prompt_from_texts(task, prompts[task])
        except UnicodeDecodeError:
            raise ModelError(f"{folder}/{PROMPTS}/{task}: a file is not UTF-8 text", _BRING_AGAIN) from None
        except UsageError as error:
            raise ModelError(f"{folder}/{PROMPTS}/{error.message}", _BRING_AGAIN) from None
    return prompts


def _read_settings(folder: Path, content: bytes) -> dict[str, Any]:
    """The judging options in a bundle's fare.toml."""
    try:
        values = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{folder}/{SETTINGS}: {error}", _BRING_AGAIN) from None
    check_model_defaults(values, dict.fromkeys(values, f"{folder}/{SETTINGS}"))
    return values


def _read_text(folder: Path, path: str, sums: Sums) -> bytes:
    content = _read_limited(folder / path)
    if hashlib.sha256(content).hexdigest() != sums[path]:
        raise changed(path)
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


def changed(path: str) -> ModelError:
    return ModelError(f"{path} was changed: its checksum is not the one in {SUMS}", _BRING_AGAIN)
