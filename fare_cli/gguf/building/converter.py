"""llama.cpp's own converter from safetensors to GGUF: found or brought, checked, and run as a child process.

It is the one that belongs to the pinned engine: it ships in the source package of llama-cpp-python, from which the two
scripts and the modules they need (2 MB) are unpacked into the cache folder once. It is never imported here.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.folders import cache_folder
from fare_cli.gguf.disk import Say
from fare_cli.gguf.fetch.sdist import package_sdist
from fare_cli.gguf.fetch.transfer import Show

DISTRIBUTION = "llama-cpp-python"
VERSION = "0.3.36"
SDIST_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
_BACKEND = "scikit_build_core.build"

#: What converting takes beyond fare itself: the modules behind the extra `convert`.
_MODULES = ("torch", "transformers", "safetensors", "sentencepiece")

_MODEL_SCRIPT = "convert_hf_to_gguf.py"
_ADAPTER_SCRIPT = "convert_lora_to_gguf.py"
_SINGLE_FILES = (_MODEL_SCRIPT, _ADAPTER_SCRIPT, "LICENSE")
_FOLDERS = ("conversion", "gguf-py/gguf")
_LIST = "SHA256SUMS"
_MOST_FILES = 1000
_MOST_BYTES = 1 << 25

_SECONDS_BETWEEN_LOOKS = 0.5
_LAST_LINES = 40


def need_packages() -> None:
    """Raises EnvironmentFault, with the one command that mends it, unless all that converting needs is installed."""
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentFault(
            f"converting needs packages that are not installed: {', '.join(missing)}",
            "install them: pip install 'fare-cli[convert]'",
        )


class Watch(NamedTuple):
    """How a conversion is looked after: who is shown how far it is, how large its file will be (None: not known), and
    the open files that the child holds too (a lock: a child that outlives fare keeps the next one waiting)."""

    show: Show
    expected_bytes: int | None = None
    held: tuple[int, ...] = ()


class Converter(NamedTuple):
    """The unpacked converter; `folder` holds its scripts."""

    folder: Path

    def model(self, checkpoint: Path, target: Path, output_type: str, watch: Watch) -> None:
        """Converts a checkpoint folder to the GGUF file `target`; `output_type` is f32, f16, bf16 or q8_0.

        Raises ModelError with the converter's last words where it fails.
        """
        _run([*self._program(_MODEL_SCRIPT, output_type, target), str(checkpoint)], target, watch)

    def adapter(self, adapter: Path, base: Path, target: Path, watch: Watch) -> None:
        """Converts a LoRA adapter (a PEFT folder) to GGUF in F16; of the folder `base` only the config is read."""
        program = self._program(_ADAPTER_SCRIPT, "f16", target)
        _run([*program, "--base", str(base), str(adapter)], target, watch)

    def _program(self, script: str, output_type: str, target: Path) -> list[str]:
        return [sys.executable, str(self.folder / script), "--outtype", output_type, "--outfile", str(target)]


def find_converter(*, file: Path | None = None, sha256: str = SDIST_SHA256, say: Say = lambda _: None) -> Converter:
    """The converter in the cache folder; brought there first if it is not there whole.

    It is unpacked from `file`, the source package of llama-cpp-python, or else from the Python package index, as pip is
    configured; either must have the SHA-256 that is known. Raises EnvironmentFault, UsageError for a wrong `file`.
    """
    folder = cache_folder() / "converter" / sha256[:16]
    if _is_whole(folder):
        return Converter(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".bringing-") as temporary:
            sdist = file or package_sdist(
                DISTRIBUTION, VERSION, sha256=sha256, backend=_BACKEND, folder=Path(temporary), say=say
            )
            unpacked = Path(temporary) / "converter"
            _unpack(sdist, sha256, unpacked)
            # Another process may have been faster; what it brought is the same.
            if not _is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
                unpacked.rename(folder)
    except OSError as error:
        if not _is_whole(folder):
            raise EnvironmentFault(f"{folder} cannot be written: {error.strerror or error}") from None
    return Converter(folder)


def _is_whole(folder: Path) -> bool:
    """Whether all files are there as they were unpacked: cache folders are cleaned by others, file by file."""
    try:
        lines = (folder / _LIST).read_text(encoding="utf-8").splitlines()
        return bool(lines) and all(_sha256(folder / line[66:]) == line[:64] for line in lines)
    except OSError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unpack(sdist: Path, sha256: str, target: Path) -> None:
    """Writes the converter's files out of the source package into the new folder `target`."""
    try:
        found = _sha256(sdist)
    except OSError as error:
        raise UsageError(f"{sdist} cannot be read: {error.strerror}") from None
    if found != sha256:
        raise UsageError(
            f"{sdist} is not the source package of {DISTRIBUTION} {VERSION}: its SHA-256 is {found[:12]}...",
            f"{DISTRIBUTION.replace('-', '_')}-{VERSION}.tar.gz from the Python package index has {sha256[:12]}...",
        )
    try:
        with tarfile.open(sdist, "r:gz") as archive:
            lines = [_write_member(archive, member, path, target) for member, path in _members(archive)]
    except (tarfile.TarError, EOFError) as error:
        raise EnvironmentFault(f"{sdist} cannot be unpacked: {error}") from None
    if not (target / _MODEL_SCRIPT).is_file():
        raise EnvironmentFault(f"{sdist} does not hold the converter {_MODEL_SCRIPT}")
    (target / _LIST).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _members(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, PurePosixPath]]:
    """The files of the converter with their paths below llama.cpp's folder; nothing else of the package is touched."""
    files = total = 0
    for member in archive:
        # The first two folders below the package's own are vendor/llama.cpp.
        parts = PurePosixPath(member.name).parts
        path = PurePosixPath(*parts[3:])
        if parts[1:3] != ("vendor", "llama.cpp") or not member.isfile() or ".." in parts:
            continue
        wanted = str(path) in _SINGLE_FILES or (path.suffix == ".py" and str(path).startswith(_FOLDERS))
        if not wanted:
            continue
        files, total = files + 1, total + member.size
        if files > _MOST_FILES or total > _MOST_BYTES:
            raise EnvironmentFault("the converter in the source package is larger than it can be")
        yield member, path


def _write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, path: PurePosixPath, target: Path) -> str:
    source = archive.extractfile(member)
    assert source is not None, "members are regular files"
    content = source.read()
    place = target / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return f"{hashlib.sha256(content).hexdigest()}  {path}"


def _run(command: list[str], target: Path, watch: Watch) -> None:
    """Runs the converter without network; shows how far it is. It dies with fare, or soon after."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=target.parent,
        env=_environment(),
        pass_fds=watch.held,
    )
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)
    assert process.stdout is not None
    reader = threading.Thread(target=last_lines.extend, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(_SECONDS_BETWEEN_LOOKS)
                break
            with contextlib.suppress(FileNotFoundError):
                watch.show("converting", target.stat().st_size, watch.expected_bytes)
    except BaseException:
        process.kill()
        process.wait()
        raise
    reader.join()
    if code != 0:
        raise _failure(code, [line.strip() for line in last_lines if line.strip()])


def _environment() -> dict[str, str]:
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    unwanted = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "NO_LOCAL_GGUF")
    return {**{name: value for name, value in os.environ.items() if name not in unwanted}, **offline}


def _failure(code: int, lines: list[str]) -> ModelError:
    if code < 0:
        return ModelError(
            f"the converter was killed by signal {-code}",
            "probably the memory was too small; the same command goes on where it was",
        )
    reason = lines[-1] if lines else "no reason given"
    return ModelError(f"the converter failed: {reason}", "llama.cpp's converter does not take every checkpoint")
