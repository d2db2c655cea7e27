"""Finds model files: by path, or by name among those installed in the data folder; remembers their checksums."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import ModelError
from fare_cli.folders import cache_folder, data_folder
from fare_cli.gguf.catalog import catalog
from fare_cli.gguf.disk import whole_file
from fare_cli.gguf.notes import read_notes
from fare_cli.gguf.split import complete_parts, is_later_part, model_name, part_paths

_SUFFIX = ".gguf"


class ModelFile(NamedTuple):
    """A model that is here: where it lies, what people call it, and the checksum of its bytes.

    `path` is the first file of a split model. `adapter` is the LoRA adapter that is judged with on top of it: then
    `name` is the adapter's, `path` and `sha256` are its base's.
    """

    path: Path
    name: str
    sha256: str
    adapter: Path | None = None

    @property
    def installed_file(self) -> Path:
        """The file that `name` stands for, beside which its notes and prompts lie: the adapter, or the model."""
        return self.adapter or self.path


def models_folder() -> Path:
    """The folder of installed models; may not exist yet. A GGUF file put there is installed under its `model_name`."""
    return data_folder() / "models"


def installed_models() -> dict[str, Path]:
    """The installed model files by name, sorted; of a split model the first file."""
    try:
        paths = [path for path in models_folder().iterdir() if path.suffix == _SUFFIX and path.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ModelError(f"the models folder {models_folder()} cannot be read: {error.strerror}") from None
    found: dict[str, Path] = {}
    # Whole models first: a split one of the same name goes by the name of its file.
    for path in sorted(paths, key=lambda path: (model_name(path) != path.stem, path)):
        if not path.name.startswith(".") and not is_later_part(path):
            found[path.stem if model_name(path) in found else model_name(path)] = path
    return dict(sorted(found.items()))


def resolve_model(name_or_path: str | Path | None = None) -> ModelFile:
    """The model meant by an installed model's name or a GGUF file's path; None means the only one installed.

    An installed adapter is resolved to its base, with the adapter on top. The checksum of a split model is the SHA-256
    over the checksums of its files in order, each in hex and with a line end: what
    `sha256sum NAME-*.gguf | sed 's/ .*//' | sha256sum` prints.

    Raises ModelError with the command that helps, where there is no such model or the choice is open.
    """
    path = _find(name_or_path).absolute()
    base = read_notes(path).base if path.parent == models_folder() else None
    if base is None:
        return ModelFile(path, _name(path), model_sha256(path))
    below = base_of(path, base)
    return ModelFile(below, _name(path), model_sha256(below), adapter=path)


def find_installed(name: str) -> Path:
    """The (first) file of the installed model `name`. Raises ModelError where none is, a path included."""
    found = installed_models().get(name)
    if found is not None:
        return found
    near = difflib.get_close_matches(name, installed_models(), n=1)
    hint = f"did you mean {near[0]}?" if near else "fare models list shows them by name"
    raise ModelError(f"no model is installed as {name}", hint)


def base_of(adapter: Path, base: str) -> Path:
    """The file of the installed model `base` that an adapter stands on. Raises ModelError if it cannot be that."""
    found = installed_models().get(base)
    name = _name(adapter)
    if found is None:
        known = catalog().get(base)
        hint = f"fare models {known.command} {base}" if known else f"fare models import FILE --name {base}"
        raise ModelError(f"{name} is an adapter for {base}, which is not installed", f"get it with: {hint}")
    if read_notes(found).base is not None:
        raise ModelError(f"{name} is an adapter for {base}, which is an adapter itself", "install it on a whole model")
    return found


def _name(path: Path) -> str:
    installed = {file: name for name, file in installed_models().items()} if path.parent == models_folder() else {}
    return installed.get(path, model_name(path))


def _find(name_or_path: str | Path | None) -> Path:
    installed = installed_models()
    if name_or_path is None:
        return _only(installed)
    name = str(name_or_path)
    if isinstance(name_or_path, str) and name in installed:
        return installed[name]
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return part_paths(path)[0]
    if path.is_dir():
        raise ModelError(f"{path} is a folder, not a model file", "name the GGUF file in it")
    if name in catalog():
        command = f"fare models {catalog()[name].command} {name}"
        raise ModelError(f"the model {name} is not installed", f"get it with: {command}")
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


def catalog_sha256(name: str) -> str | None:
    """The checksum of the model of this name in the catalog; None where it has none, or is not there."""
    entry = catalog().get(name)
    return entry.sha256 if entry else None


def find_same(sizes: list[int], digest: Callable[[], str]) -> Iterator[str]:
    """The names of installed models whose files have these sizes in bytes and together this checksum.

    `digest` is asked for only where the sizes match.
    """
    for name, path in installed_models().items():
        with contextlib.suppress(OSError):
            if [part.stat().st_size for part in part_paths(path)] == sizes and model_sha256(path) == digest():
                yield name


def model_sha256(path: Path, *, again: bool = False) -> str:
    """The checksum of the model in a file and its other parts, as `resolve_model` says; `again` as in `file_sha256`."""
    digests = [file_sha256(part, again=again) for part in complete_parts(path)]
    return parts_sha256(digests)


def parts_sha256(digests: list[str]) -> str:
    """The checksum of a model from those of its files in order."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def file_sha256(path: Path, *, again: bool = False) -> str:
    """The SHA-256 of a file in hex; computed once (1 to 3 s a gigabyte), then remembered by path, size and time.

    `again` reads the file whatever is remembered. Raises ModelError if it cannot be read.
    """
    try:
        before = path.stat()
        key = [before.st_size, before.st_mtime_ns]
        remembered = None if again else _remembered().get(str(path.absolute()))
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


def remember_sha256(path: Path, digest: str) -> None:
    """Keeps the checksum of a file that was just written, so that it need not be read for it."""
    with contextlib.suppress(OSError):
        status = path.stat()
        _remember(path, [status.st_size, status.st_mtime_ns, digest])


def known_file(digest: str) -> Path | None:
    """A file on this machine of which it is known that it has this SHA-256 checksum; None where none is known. No file
    is read for it: those count whose checksum was taken when they were last used, and that are still as they were."""
    for name, entry in _remembered().items():
        if isinstance(entry, list) and len(entry) == 3 and entry[2] == digest:
            with contextlib.suppress(OSError):
                status = Path(name).stat()
                if [status.st_size, status.st_mtime_ns] == entry[:2]:
                    return Path(name)
    return None


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
        with whole_file(file) as output:
            output.write(json.dumps(content).encode())
