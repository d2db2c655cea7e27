"""What is uploaded: the sdist and the wheel, built without a network, looked into, installed and run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT

# The folders that a wheel is made of, and where they lie in it.
PACKED = {"fare_cli": "fare_cli", "prompts": "fare_cli/prompts"}


def run(*command: str | Path, **options: object) -> str:
    """What a command says; fails the test with all of it where the command fails."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def built(source: Path, folder: Path, *kinds: str) -> list[Path]:
    """What `python -m build` makes of a source tree with the tools that are installed."""
    run(sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", folder, source)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel of this checkout."""
    wheel, sdist = built(ROOT, tmp_path_factory.mktemp("dist"), "--sdist", "--wheel")
    return sdist, wheel


def test_the_metadata_is_what_an_index_takes(archives: tuple[Path, Path]) -> None:
    sdist, wheel = archives
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        said = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        entry_points = archive.read(f"{folder}/entry_points.txt").decode()
        assert archive.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert (said["Name"], said["Version"], said["License-Expression"]) == ("fare-cli", project["version"], "Apache-2.0")
    assert said["Requires-Python"] == ">=3.11"
    assert "fare = fare_cli.cli.main:main" in entry_points
    assert "[pytest11]\nfare = fare_cli.pytest_plugin" in entry_points
    assert said.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


def tracked() -> set[str]:
    """Files of the checkout that git does not ignore; without git, which an exported tree does not have."""
    lines = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()] + [".git"]
    patterns = [line for line in lines if not line.startswith("!")]
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]

    def is_kept(path: Path) -> bool:
        return any(fnmatchcase(str(path.relative_to(ROOT)), pattern) for pattern in kept)

    def files(folder: Path) -> Iterator[Path]:
        for path in folder.iterdir():
            if is_kept(path) or not any(fnmatchcase(path.name, pattern) for pattern in patterns):
                yield from files(path) if path.is_dir() else [path]

    return {str(path.relative_to(ROOT)) for path in files(ROOT)}


def test_the_wheel_holds_the_program_its_data_and_nothing_else(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[1]) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        name.replace(folder, target, 1)
        for folder, target in PACKED.items()
        for name in tracked()
        if name.startswith(f"{folder}/")
    }
    assert inside == expected
    assert {"fare_cli/py.typed", "fare_cli/prompts/pairwise/prompt.toml", "fare_cli/gguf/catalog.toml"} <= inside


def test_the_sdist_holds_what_the_tests_need_and_makes_the_same_wheel(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    sdist, wheel = archives
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    inside = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert inside == tracked() | {"PKG-INFO"}
    (again,) = built(source, tmp_path / "dist", "--wheel")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (again, wheel)}
    assert len(digests) == 1, "not the same to the byte"


def test_the_wheel_runs_in_an_environment_of_its_own(
    archives: tuple[Path, Path], tmp_path: Path, smollm2_path: Path
) -> None:
    """Only its dependencies are borrowed: the engine takes minutes to compile."""
    fresh = tmp_path / "fresh"
    venv.create(fresh)
    python = fresh / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-index", "--no-deps", "--quiet", archives[1])
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *pythonpath()}
    (packages,) = fresh.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text("\n".join(sorted(borrowed)) + "\n")
    options = {"cwd": tmp_path, "env": {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}}
    assert str(packages) in run(python, "-c", "import fare_cli; print(fare_cli.__file__)", **options)
    judging = [*("judge", "pairwise", ROOT / "examples" / "pairwise.jsonl"), *("--mode", "direct"), "--quiet"]
    said = run(fresh / "bin" / "fare", *judging, "--model", smollm2_path, **options)
    assert said.count('"status":"ok"') == len((ROOT / "examples" / "pairwise.jsonl").read_text().splitlines())
    # pytest finds the plugin by itself there.
    fixtures = run(python, "-m", "pytest", "--fixtures", "-q", "--rootdir", tmp_path, **options)
    assert "fare_judge" in fixtures


def pythonpath() -> set[str]:
    """Folders of packages that are on the path besides those of the environment; not the checkout."""
    return {folder for folder in sys.path if folder.endswith("-packages")}
