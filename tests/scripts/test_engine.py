"""scripts/engine.py: when it builds, what it builds with, and what it leaves alone; with a stand-in for the engine.

The stand-in is a source package of the engine's name and version; it compiles nothing and keeps its build's CMAKE_ARGS.
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import tarfile
import venv
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "engine.py"
_VERSION = "0.3.36"

_BACKEND = f"""
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "llama_cpp_python-{_VERSION}-py3-none-any.whl"
    info = "llama_cpp_python-{_VERSION}.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("llama_cpp/__init__.py", "built_with = " + repr(os.environ.get("CMAKE_ARGS", "")))
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: llama-cpp-python\\nVersion: {_VERSION}\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
def build_sdist(folder, config_settings=None):
    raise NotImplementedError
"""
_PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class _Machine:
    """A machine with an environment of its own, and a package index that holds only the stand-in."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.index = folder / "index"
        self.cache = folder / "cache"
        self.python = folder / "venv" / "bin" / "python"
        self.marker = folder / "venv" / "fare-engine"
        shutil.copytree(environment, folder / "venv", symlinks=True)
        self.index.mkdir()
        with tarfile.open(self.index / f"llama_cpp_python-{_VERSION}.tar.gz", "w:gz") as archive:
            for name, text in (("backend.py", _BACKEND), ("pyproject.toml", _PROJECT), ("PKG-INFO", "")):
                entry = tarfile.TarInfo(f"llama_cpp_python-{_VERSION}/{name}")
                entry.size = len(text.encode())
                archive.addfile(entry, io.BytesIO(text.encode()))

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("CMAKE", "PIP_", "CC", "CXX"))
        }
        own = {"XDG_CACHE_HOME": str(self.cache), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index)}
        return subprocess.run(
            [str(self.python), str(_SCRIPT)], env=kept | own | environment, capture_output=True, text=True, check=False
        )

    def close_index(self) -> None:
        for file in self.index.iterdir():
            file.unlink()

    def built_with(self) -> str:
        command = [str(self.python), "-c", "import llama_cpp; print(llama_cpp.built_with)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def wheels(self) -> list[Path]:
        return sorted((self.cache / "fare" / "engine").rglob("*.whl"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with pip and nothing else, to be copied: making one takes seconds."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=True, symlinks=True)
    return folder


@pytest.fixture
def machine(tmp_path: Path, environment: Path) -> _Machine:
    return _Machine(tmp_path, environment)


def test_an_engine_is_built_once_kept_and_used_again(machine: _Machine) -> None:
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    if platform.machine() == "x86_64":
        for flag in ("-mno-amx-tile", "-mno-amx-int8", "-mno-amx-bf16"):
            assert machine.built_with().count(flag) == 2
    assert len(machine.wheels()) == 1

    machine.close_index()
    assert machine.setup().stderr == "", "the second time nothing happens"

    subprocess.run([machine.python, "-m", "pip", "uninstall", "-qy", "llama-cpp-python"], check=True)
    done = machine.setup()
    assert (done.returncode, "building" in done.stderr) == (0, False), "the kept wheel is installed again"
    machine.built_with()


def test_what_was_built_on_another_machine_is_not_used(machine: _Machine) -> None:
    machine.setup()
    _, _, wishes = machine.marker.read_text().partition(" ")
    machine.marker.write_text(f"0123456789abcdef {wishes}")
    kept = machine.wheels()[0]
    kept.parent.rename(kept.parent.with_name("0123456789abcdef-plain"))
    assert "building" in machine.setup().stderr
    assert len(machine.wheels()) == 2


def test_the_user_s_cmake_args_are_honoured_and_need_no_repeating(machine: _Machine) -> None:
    machine.setup()
    assert "building" in machine.setup(CMAKE_ARGS="-DGGML_CUDA=on").stderr
    assert machine.built_with().startswith("-DGGML_CUDA=on")
    assert machine.setup().stderr == ""
    assert "building" in machine.setup(CMAKE_ARGS="-DCMAKE_C_FLAGS=-O1").stderr
    assert machine.built_with() == "-DCMAKE_C_FLAGS=-O1", "flags of the user's own are not mixed with ours"


def test_an_engine_of_the_user_s_own_is_left_alone(machine: _Machine) -> None:
    wheel = machine.index / f"llama_cpp_python-{_VERSION}.tar.gz"
    environment = {**os.environ, "CMAKE_ARGS": "mine"}
    subprocess.run([machine.python, "-m", "pip", "install", "-q", wheel], env=environment, check=True)
    machine.close_index()
    assert machine.setup().stderr == ""
    assert machine.built_with() == "mine"
    assert machine.wheels() == []


def test_an_engine_that_does_not_load_is_replaced(machine: _Machine) -> None:
    machine.setup()
    package = next((machine.python.parent.parent / "lib").rglob("llama_cpp/__init__.py"))
    package.write_text("import os; os.abort()")
    assert machine.setup().returncode == 0
    machine.built_with()


def test_without_a_compiler_the_packages_to_install_are_named(machine: _Machine) -> None:
    done = machine.setup(CC="no-such-cc")
    assert done.returncode == 5
    assert "error: no compiler was found (no-such-cc)" in done.stderr
    assert "apt install build-essential" in done.stderr
    assert "Traceback" not in done.stderr
    assert machine.wheels() == []


def test_a_failed_build_leaves_nothing_that_looks_like_a_wheel(machine: _Machine) -> None:
    machine.close_index()
    done = machine.setup()
    assert done.returncode == 5
    assert "error: pip wheel failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((machine.cache / "fare" / "engine").iterdir()) == []
