"""What this machine and the engine's build are, read from files: nothing native is loaded for it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_GPU_CHOICES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def engine_version() -> str:
    """The version of the engine's Python package."""
    return importlib.metadata.version("llama-cpp-python")


def library_stamp() -> list[object]:
    """Size and time of the installed engine's files: another build of the same version is another build."""
    try:
        files = importlib.metadata.files("llama-cpp-python") or []
        stats = [Path(str(f.locate())).stat() for f in files if ".so" in f.name or f.suffix in (".dylib", ".dll")]
    except (importlib.metadata.PackageNotFoundError, OSError):
        return []
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def cpu_flags() -> str:
    """The line of /proc/cpuinfo that says what the CPU can; elsewhere the processor's name."""
    return _cpu_line("flags", "Features") or platform.processor() or platform.machine()


def cpu_model() -> str:
    """The CPU's name for people."""
    line = _cpu_line("model name", "Model")
    return line.partition(":")[2].strip() or platform.processor() or platform.machine()


def gpu_devices() -> list[str]:
    """The GPUs that programs may use, as far as files tell: names of NVIDIA's, vendor and device ids of others."""
    found = []
    with contextlib.suppress(OSError):
        for device in sorted(_NVIDIA.iterdir()):
            lines = (device / "information").read_text(encoding="utf-8", errors="replace").splitlines()
            found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    for card in sorted(Path("/sys/class/drm").glob("renderD*/device")):
        with contextlib.suppress(OSError):
            found.append(f"{(card / 'vendor').read_text().strip()} {(card / 'device').read_text().strip()}")
    chosen = [
        f"{name}={os.environ[name]}" for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES") if name in os.environ
    ]
    return found + chosen if found else []


def usable_cpus() -> int:
    """CPUs this process may use, hyper-threads counted each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """Cores this process may use, hyper-threads counted once: a second thread on a core only gets in the way."""
    try:
        siblings = Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1"
    except OSError:
        siblings = False
    return max(1, usable_cpus() // 2 if siblings else usable_cpus())


def memory_bytes() -> int:
    """All main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cpu_line(*starts: str) -> str:
    with contextlib.suppress(OSError):
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(starts):
                return line
    return ""
