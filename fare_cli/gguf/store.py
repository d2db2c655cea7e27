"""Finds model files: by path, or by name among those installed in the data folder; remembers their checksums."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import ModelError
from fare_cli.folders import cache_folder, data_folder
from fare_cli.gguf.catalog import catalog

_SUFFIX = ".gguf"


class ModelFile(NamedTuple):
    """A model that is here: where it lies, what people call it, and the checksum of its bytes."""

    path: Path
    name: str
    sha256: str


def models_folder() -> Path:
    """The folder of installed models; may not exist yet. A GGUF file put there is installed under its stem."""
    return data_folder() / "models"


def installed_models() -> dict[str, Path]:
    """The installed model files by name, sorted."""
    try:
        paths = [path for path in models_folder().iterdir() if path.suffix == _SUFFIX and path.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ModelError(f"the models folder {models_folder()} cannot be read: {error.strerror}") from None
    return {path.stem: path for path in sorted(paths) if not path.name.startswith(".")}


def resolve_model(name_or_path: str | Path | None = None) -> ModelFile:
    """The model meant by an installed model's name or a GGUF file's path; None means the only one installed.

    Raises ModelError with the command that helps, where there is no such model or the choice is open.
    """
    path = _find(name_or_path).absolute()
    return ModelFile(path, path.stem, file_sha256(path))


def _find(name_or_path: str | Path | None) -> Path:
    installed = installed_models()
    if name_or_path is None:
        return _only(installed)
    name = str(name_or_path)
    if isinstance(name_or_path, str) and name in installed:
        return installed[name]
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise ModelError(f"{path} is a folder, not a model file", "name the GGUF file in it")
    if name in catalog():
        raise ModelError(f"the model {name} is not installed", f"get it with: fare models pull {name}")
    if isinstance(name_or_path, Path) or "/" in name or name.lower().endswith(_SUFFIX):
        raise ModelError(f"there is no model file {path}")
    near = difflib.get_close_matches(name, [*installed, *catalog()], n=1)
    hint = f"did you mean {near[0]}?" if near else "fare models list shows the models by name; a path works too"
    raise ModelError(f"no model is called {name}", hint)


def _only(installed: dict[str, Path]) -> Path:
    if len(installed) == 1:
        return next(iter(installed.values()))
    if not installed:
        raise ModelError("no model is installed", "get the small one with: fare models pull smollm2")
    names = ", ".join(installed)
    raise ModelError(f"several models are installed: {names}", "choose with --model NAME, or set FARE_MODEL")


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file in hex; computed once (1 to 3 s a gigabyte), then remembered by path, size and time."""
    try:
        before = path.stat()
        key = [before.st_size, before.st_mtime_ns]
        remembered = _remembered().get(str(path.absolute()))
        if isinstance(remembered, list) and len(remembered) == 3 and remembered[:2] == key:
            return str(remembered[2])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = path.stat()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    # A file that was written to meanwhile has no checksum worth remembering.
    if [after.st_size, after.st_mtime_ns] == key:
        _remember(path, [*key, digest])
    return digest


def _digests_file() -> Path:
    return cache_folder() / "digests.json"


def _remembered() -> dict[str, object]:
    try:
        content = json.loads(_digests_file().read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(path: Path, entry: list[int | str]) -> None:
    """Keeps a checksum for the next time; without a writable cache folder it is just computed again."""
    file = _digests_file()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {**_remembered(), str(path.absolute()): entry}
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".digests-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as output:
                json.dump(content, output)
            Path(temporary).replace(file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
