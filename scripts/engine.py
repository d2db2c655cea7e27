"""Gives the virtual environment it runs in the engine that pyproject.toml pins, built for this CPU.

Run it with the environment's own Python: `.venv/bin/python scripts/engine.py`. Only the standard library and pip are
needed. The build takes 3 to 18 minutes on two cores; its wheel is kept in the user's cache under a key of everything
that goes into it, so that another CPU, compiler or CMAKE_ARGS never gets it. pip's own cache knows nothing of these.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path
from typing import NoReturn

_PACKAGE = "llama-cpp-python"

# Built by gcc 12 with AMX, the engine dies at the first prompt (llama.cpp pull request 26954). Switching off the tile
# alone does not compile, because -march=native still announces the other two.
_NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"

_WISHES = re.compile(r"(CMAKE|SKBUILD)_\w+|CUDACXX|CC|CXX|C(XX|PP)?FLAGS|LDFLAGS|MACOSX_DEPLOYMENT_TARGET")
_NO_WISHES = "plain"


def main() -> None:
    version = pinned_version()
    compiler = os.environ.get("CC", "cc")
    machine, wishes = machine_key(version, compiler), wishes_key()
    marker = Path(sys.prefix) / "fare-engine"
    built_for = marker.read_text().strip() if marker.is_file() else None
    if is_kept(built_for, machine, wishes) and works(version):
        return
    folder = cache_folder() / f"{machine}-{wishes}"
    wheel = find_wheel(folder) or build(version, folder, compiler)
    pip("install", "--quiet", "--force-reinstall", "--no-deps", str(wheel))
    # What the engine itself needs; the engine is there already and stays.
    pip("install", "--quiet", f"{_PACKAGE}=={version}")
    marker.write_text(f"{machine} {wishes}\n")
    if not works(version):
        fail(f"{_PACKAGE} {version} was built, but cannot be loaded", f"remove {folder} and run this again")


def is_kept(built_for: str | None, machine: str, wishes: str) -> bool:
    """Whether an engine that is installed may stay. One without a marker is the user's own; one built with wishes
    (CMAKE_ARGS for a GPU, say) also stays when they are not repeated."""
    if built_for is None:
        return True
    built_machine, _, built_wishes = built_for.partition(" ")
    return built_machine == machine and wishes in (_NO_WISHES, built_wishes)


def pinned_version() -> str:
    """The exact version that pyproject.toml asks for."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    for requirement in project["project"]["dependencies"]:
        name, _, version = requirement.partition("==")
        if name == _PACKAGE and version:
            return str(version)
    raise SystemExit(f"pyproject.toml does not pin {_PACKAGE}")


def works(version: str) -> bool:
    """Whether this environment has that version, and it loads without a crash."""
    program = f"from importlib.metadata import version as v; assert v({_PACKAGE!r}) == {version!r}; import llama_cpp"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def machine_key(version: str, compiler: str) -> str:
    """16 hex digits over everything in a build that the user did not ask for."""
    compilers = [said_by(compiler, "--version"), said_by(os.environ.get("CXX", "c++"), "--version")]
    return digest([version, cpu(), compilers, sys.implementation.cache_tag, sysconfig.get_platform(), _NO_AMX])


def wishes_key() -> str:
    """16 hex digits over the variables that change a build, or `plain` where there are none."""
    wishes = sorted(item for item in os.environ.items() if _WISHES.fullmatch(item[0]))
    return digest(wishes) if wishes else _NO_WISHES


def digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def cpu() -> list[str]:
    """Model and abilities of the CPU: what -march=native looks at."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return [platform.machine(), said_by("sysctl", "-n", "machdep.cpu"), said_by("sysctl", "-n", "hw.optional")]
    telling = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU implementer", "CPU part")
    return [platform.machine(), *sorted({line for line in lines if line.split(":")[0].strip() in telling})]


def said_by(*command: str) -> str:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "fare" / "engine"


def find_wheel(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.whl"))), None)


def need_compiler(compiler: str) -> None:
    for program in (compiler, os.environ.get("CXX", "c++")):
        if shutil.which(shlex.split(program)[0]) is None:
            hint = "on Debian or Ubuntu: apt install build-essential; on macOS: xcode-select --install"
            fail(f"no compiler was found ({program}); the engine is built from source", hint)


def build(version: str, folder: Path, compiler: str) -> Path:
    """The wheel, built and kept in `folder`, which then holds it whole or does not exist."""
    need_compiler(compiler)
    print(f"building {_PACKAGE} {version} for this CPU; this takes 3 to 18 minutes, once", file=sys.stderr, flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".building-") as temporary:
        target = Path(temporary) / "wheel"
        pip(
            *("wheel", "--no-cache-dir", "--no-deps", "--no-binary", _PACKAGE, "--wheel-dir", str(target)),
            f"{_PACKAGE}=={version}",
            cmake_args=cmake_args(compiler),
        )
        try:
            target.rename(folder)
        except OSError:
            # Another setup was faster; its wheel is as good.
            if find_wheel(folder) is None:
                raise
    wheel = find_wheel(folder)
    assert wheel is not None, "pip wheel succeeded without a wheel"
    return wheel


def cmake_args(compiler: str) -> str:
    """The user's CMAKE_ARGS, and the flags against AMX where they apply and the user has set no flags."""
    given = os.environ.get("CMAKE_ARGS", "")
    if platform.machine() not in ("x86_64", "AMD64") or "CMAKE_C_FLAGS" in given or not accepts(compiler, _NO_AMX):
        return given
    return f'{given} -DCMAKE_C_FLAGS="{_NO_AMX}" -DCMAKE_CXX_FLAGS="{_NO_AMX}"'.strip()


def accepts(compiler: str, flags: str) -> bool:
    command = [*shlex.split(compiler), *flags.split(), "-Werror", "-c", "-x", "c", os.devnull, "-o", os.devnull]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def pip(*arguments: str, cmake_args: str | None = None) -> None:
    environment = {**os.environ, **({} if cmake_args is None else {"CMAKE_ARGS": cmake_args})}
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    # What pip says goes to stderr: it is talk.
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=environment, check=False)
    if done.returncode != 0:
        fail(f"pip {arguments[0]} failed", "the lines above say why; a build needs a compiler and a network")


def fail(message: str, hint: str) -> NoReturn:
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
    raise SystemExit(5)


if __name__ == "__main__":
    main()
