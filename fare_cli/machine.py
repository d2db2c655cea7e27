"""The machine: its memory and cores as this process may use them, and the GPUs it has. Reads files and loads nothing.

Every function takes the root of the file system, so that another machine's files can be given.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

GpuMaker = Literal["NVIDIA", "AMD", "Apple"]

_ROOT = Path("/")


class Memory(NamedTuple):
    """Bytes of main memory: all that this process may use, and what of it can be taken now without swapping.

    The limits of containers (cgroups) count. Where the system does not say what is available, it is half of all.
    """

    total_bytes: int
    available_bytes: int


def memory(root: Path = _ROOT) -> Memory:
    """The memory of this machine, or of the container this process runs in."""
    lines = _text(root / "proc/meminfo").splitlines()
    sizes = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    total = _kilobytes(sizes.get("MemTotal"))
    if total is None:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available = _kilobytes(sizes.get("MemAvailable"))
    if available is None:
        available = total // 2
    for limit, free in _cgroup_limits(root):
        total, available = min(total, limit), min(available, free)
    return Memory(total, available)


def usable_cpus() -> int:
    """CPUs this process may use, hyper-threads counted each."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores(root: Path = _ROOT) -> int:
    """Cores this process may use: its affinity and the quota of its container count, hyper-threads count once, since a
    second thread on a core only gets in the way."""
    cores = usable_cpus()
    if _text(root / "sys/devices/system/cpu/smt/active").strip() == "1":
        cores //= 2
    return max(1, min([cores, *(int(quota) for quota in _cgroup_quotas(root))]))


def cpu_flags(root: Path = _ROOT) -> str:
    """The line of /proc/cpuinfo that says what the CPU can; elsewhere the processor's name."""
    return _cpu_line(root, "flags", "Features") or platform.processor() or platform.machine()


def cpu_model(root: Path = _ROOT) -> str:
    """The CPU's name for people."""
    line = _cpu_line(root, "model name", "Model")
    return line.partition(":")[2].strip() or platform.processor() or platform.machine()


def gpu_devices(root: Path = _ROOT) -> list[str]:
    """The GPUs that programs may use, as far as files tell: names of NVIDIA's, vendor and device ids of others."""
    found = []
    with contextlib.suppress(OSError):
        for device in sorted((root / "proc/driver/nvidia/gpus").iterdir()):
            lines = (device / "information").read_text(encoding="utf-8", errors="replace").splitlines()
            found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    for card in sorted((root / "sys/class/drm").glob("renderD*/device")):
        with contextlib.suppress(OSError):
            found.append(f"{(card / 'vendor').read_text().strip()} {(card / 'device').read_text().strip()}")
    chosen = [
        f"{name}={os.environ[name]}" for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES") if name in os.environ
    ]
    return found + chosen if found else []


def gpus(root: Path = _ROOT, *, system: str | None = None, processor: str | None = None) -> list[GpuMaker]:
    """Who made the GPUs of this machine that llama.cpp has a backend for, as the drivers' files tell."""
    if (system or platform.system()) == "Darwin":
        return ["Apple"] if (processor or platform.machine()) == "arm64" else []
    found: list[GpuMaker] = []
    if (root / "dev/nvidia0").exists() or any(_children(root / "proc/driver/nvidia/gpus")):
        found.append("NVIDIA")
    if (root / "dev/kfd").exists():
        found.append("AMD")
    return found


def _cgroup_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and free memory of each control group this process is in, version 2 or 1.

    What is free counts the file cache, which the kernel gives up first.
    """
    for folder in _cgroups(root, "memory"):
        limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is None:
            limit, used = _number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes")
        if limit is None or used is None:
            continue
        words = [line.split() for line in _text(folder / "memory.stat").splitlines()]
        sizes = {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdigit()}
        cache = sizes.get("active_file", 0) + sizes.get("inactive_file", 0)
        yield limit, max(limit - max(used - cache, 0), 0)


def _cgroup_quotas(root: Path) -> Iterator[float]:
    """Processors' worth of time that each control group of this process gets."""
    for folder in _cgroups(root, "cpu"):
        words = _text(folder / "cpu.max").split()
        if not words:
            words = [_text(folder / "cpu.cfs_quota_us").strip(), _text(folder / "cpu.cfs_period_us").strip()]
        with contextlib.suppress(ValueError, ZeroDivisionError):
            quota = int(words[0]) / int(words[1])
            if quota > 0:
                yield quota


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of a controller's groups, from this process's own up to the root. Inside a container the group that
    /proc names may not be visible; the root of what is visible is then the container's own."""
    top = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            base = top
        elif controller in controllers.split(","):
            base = top / controllers if (top / controllers).is_dir() else top / controller
        else:
            continue
        group = base.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(base) and folder.is_dir())


def _cpu_line(root: Path, *starts: str) -> str:
    lines = _text(root / "proc/cpuinfo").splitlines()
    return next((line for line in lines if line.startswith(starts)), "")


def _number(path: Path) -> int | None:
    """A whole number in a file; None where there is none (`max`, no file)."""
    try:
        return int(_text(path))
    except ValueError:
        return None


def _kilobytes(words: list[str] | None) -> int | None:
    return int(words[0]) * 1024 if words and words[0].isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _children(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from folder.iterdir()
