"""The GPUs that the engine's build can use, and the one it cannot. Loads no library: a crash would end fare."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fare_cli.errors import EnvironmentFault
from fare_cli.machine import GpuMaker

_SECONDS = 120

#: GPU backends are libraries of their own beside libllama: `libggml-cuda.so`, `libggml-metal.dylib`.
_BACKEND = re.compile(r"(?:lib)?ggml-(cuda|hip|metal|musa|opencl|sycl|vulkan)\.(?:so|dylib|dll)\b")

#: For each maker the backends that can use its GPU, the likeliest first, and the build flag of that one.
_BACKENDS_OF: dict[GpuMaker, tuple[str, ...]] = {
    "NVIDIA": ("cuda", "vulkan"),
    "AMD": ("hip", "vulkan"),
    "Apple": ("metal",),
}


class Device(NamedTuple):
    """A GPU as llama.cpp sees it. `shares_memory`: its memory is the main memory (integrated GPUs)."""

    name: str
    description: str
    free_bytes: int
    total_bytes: int
    shares_memory: bool


def gpu_backends() -> set[str]:
    """The GPU backends of the installed engine, from the names of its files: `cuda`, `metal`, ..."""
    try:
        files = importlib.metadata.files("llama-cpp-python") or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    return backends_among(file.name for file in files)


def backends_among(names: Iterable[str]) -> set[str]:
    """The GPU backends whose libraries are among these file names."""
    return {found[1] for name in names if (found := _BACKEND.match(name))}


def find_devices() -> list[Device]:
    """The GPUs that the engine will use; none with a build for the CPU. Asked in a child process, since a driver that
    does not fit can end the process. Raises EnvironmentFault when that fails."""
    if not gpu_backends():
        return []
    program = "import json, fare_cli.engine.native as n; print(json.dumps(n.devices()))"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
        return [Device(*values) for values in json.loads(done.stdout.strip().splitlines()[-1])]
    except (subprocess.TimeoutExpired, IndexError, ValueError, TypeError):
        raise EnvironmentFault(
            "the engine cannot say which GPUs there are", "fare doctor tells more; --gpu-layers 0 does without them"
        ) from None


class IdleGpu(NamedTuple):
    """A GPU that the build cannot use, and the command that mends it."""

    maker: GpuMaker
    install: str

    @property
    def message(self) -> str:
        return f"the {self.maker} GPU of this machine lies idle: the engine was built without support for it"


def idle_gpu(makers: Sequence[GpuMaker], backends: Iterable[str]) -> IdleGpu | None:
    """The first GPU for which none of these backends is any good; None if all are of use, or there is none."""
    for maker in makers:
        usable = _BACKENDS_OF[maker]
        if not set(usable) & set(backends):
            flag = f"-DGGML_{usable[0].upper()}=on"
            version = _engine_version()
            wanted = f"llama-cpp-python=={version}" if version else "llama-cpp-python"
            pip = "pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python"
            return IdleGpu(maker, f'CMAKE_ARGS="{flag}" {pip} {wanted}')
    return None


def _engine_version() -> str | None:
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return None
