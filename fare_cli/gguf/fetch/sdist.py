"""Brings a source package from the Python package index, as pip is configured, without running any of its code."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from fare_cli.errors import EnvironmentFault
from fare_cli.gguf.disk import Say
from fare_cli.gguf.fetch.pip import find_pip, run_downloader

# pip asks a source package's build backend for its metadata before it saves the package, which would install and run
# the backend. With build isolation off it imports the backend from the environment, and finds this one: it answers
# with the name and version that pip knows already.
_BACKEND = """\
import os
from pathlib import Path


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name, version = os.environ["FARE_SDIST"].split("==")
    info = Path(folder, f"{name.replace('-', '_')}-{version}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info.name


def build_wheel(folder, config_settings=None, metadata_directory=None):
    raise SystemExit("nothing is built here")
"""


def package_sdist(
    distribution: str,
    version: str,
    *,
    sha256: str,
    backend: str,
    folder: Path,
    say: Say = lambda _: None,
) -> Path:
    """The source package of `distribution` at `version`, downloaded into `folder`; its SHA-256 is checked.

    `backend` is the module its pyproject.toml names as build backend; a stand-in takes its place, so that nothing of
    the package is run or built. Raises EnvironmentFault where it cannot be had.
    """
    requirement = f"{distribution}=={version}"
    pip = find_pip()
    if pip is None:
        raise EnvironmentFault(
            f"pip is not there to download the source package of {requirement}",
            "install pip (python -m ensurepip), or download the source package elsewhere and name it",
        )
    say(f"downloading the source package of {requirement} from the Python package index")
    with tempfile.TemporaryDirectory(prefix="fare-sdist-") as temporary:
        _write_backend(Path(temporary), backend)
        wanted = Path(temporary) / "requirements.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        brought = Path(temporary) / "brought"
        command = [
            *(
                *pip,
                "--disable-pip-version-check",
                "download",
                "--no-deps",
                "--no-binary=:all:",
                "--no-build-isolation",
            ),
            *("--require-hashes", "--dest", str(brought), "--requirement", str(wanted)),
        ]
        run_downloader(
            command,
            f"the source package of {requirement}",
            "a source package at hand can be named",
            environment={"PYTHONPATH": temporary, "FARE_SDIST": requirement},
        )
        return _take(brought, folder, requirement, sha256)


def _write_backend(folder: Path, backend: str) -> None:
    *packages, module = backend.split(".")
    for package in packages:
        folder = folder / package
        folder.mkdir()
        (folder / "__init__.py").touch()
    (folder / f"{module}.py").write_text(_BACKEND, encoding="utf-8")


def _take(brought: Path, folder: Path, requirement: str, sha256: str) -> Path:
    packages = list(brought.iterdir())
    if len(packages) != 1:
        raise EnvironmentFault(f"pip reported success, but brought {len(packages)} files for {requirement}")
    with packages[0].open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise EnvironmentFault(f"the source package of {requirement} is not the one expected: its SHA-256 differs")
    return Path(shutil.move(packages[0], folder / packages[0].name))
