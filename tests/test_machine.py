"""Memory, cores and GPUs, read from the files of other machines laid out in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fare_cli.machine import gpus, memory, usable_cores

GIB = 1 << 30


def _write(root: Path, **files: str) -> Path:
    """Writes files whose names have `__` for `/` and `_dot_` for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """16 GiB, of which 12 are available."""
    return _write(tmp_path, proc__meminfo=f"MemTotal: {16 << 20} kB\nMemFree: 1 kB\nMemAvailable:  {12 << 20} kB\n")


def test_a_machine_has_what_the_kernel_says(machine: Path) -> None:
    assert memory(machine) == (16 * GIB, 12 * GIB)


def test_this_machine_has_memory_and_cores() -> None:
    total, available = memory()
    assert 10**8 < available <= total
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_without_proc_half_of_all_memory_is_taken_for_available(tmp_path: Path) -> None:
    total, available = memory(tmp_path)
    assert total == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert available == total // 2


def test_a_container_s_limit_counts_and_its_file_cache_is_free(machine: Path) -> None:
    _write(
        machine,
        proc__self__cgroup="0::/\n",
        sys__fs__cgroup__memory_dot_max=str(4 * GIB),
        sys__fs__cgroup__memory_dot_current=str(3 * GIB),
        sys__fs__cgroup__memory_dot_stat=f"anon 5\nactive_file {GIB}\ninactive_file {GIB // 2}\n",
    )
    assert memory(machine) == (4 * GIB, 2.5 * GIB)


def test_a_limit_above_the_own_group_counts_too(machine: Path) -> None:
    _write(
        machine,
        proc__self__cgroup="0::/user.slice/session\n",
        sys__fs__cgroup__user_dot_slice__session__memory_dot_max="max\n",
        sys__fs__cgroup__user_dot_slice__memory_dot_max=str(2 * GIB),
        sys__fs__cgroup__user_dot_slice__memory_dot_current="0\n",
    )
    assert memory(machine) == (2 * GIB, 2 * GIB)


def test_the_first_version_of_control_groups_is_read(machine: Path) -> None:
    unlimited = 9_223_372_036_854_771_712
    _write(
        machine,
        proc__self__cgroup="5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/\n",
        sys__fs__cgroup__memory__memory_dot_limit_in_bytes=str(3 * GIB),
        sys__fs__cgroup__memory__memory_dot_usage_in_bytes=str(GIB),
        sys__fs__cgroup__memory__docker__abc__memory_dot_limit_in_bytes=str(unlimited),
        sys__fs__cgroup__memory__docker__abc__memory_dot_usage_in_bytes="1\n",
        **{"sys__fs__cgroup__cpu,cpuacct__cpu_dot_cfs_quota_us": "100000\n"},
        **{"sys__fs__cgroup__cpu,cpuacct__cpu_dot_cfs_period_us": "100000\n"},
    )
    assert memory(machine) == (3 * GIB, 2 * GIB)
    assert usable_cores(machine) == 1


@pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 1), ("20000 100000", 1), ("max 100000", None)])
def test_a_quota_bounds_the_cores(machine: Path, quota: str, cores: int | None) -> None:
    _write(machine, proc__self__cgroup="0::/\n", sys__fs__cgroup__cpu_dot_max=quota)
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert usable_cores(machine) == (affinity if cores is None else cores)


def test_hyper_threads_count_once(machine: Path) -> None:
    alone = usable_cores(machine)
    _write(machine, sys__devices__system__cpu__smt__active="1\n")
    assert usable_cores(machine) == max(1, alone // 2)


def test_broken_files_are_no_end(machine: Path) -> None:
    _write(
        machine,
        proc__self__cgroup="nonsense\n0::/../../..\n:::\n",
        sys__fs__cgroup__memory_dot_max="\x00",
        sys__fs__cgroup__memory_dot_stat="active_file\ninactive_file y\n",
        sys__fs__cgroup__cpu_dot_max="1 0",
    )
    assert memory(machine) == (16 * GIB, 12 * GIB)
    assert usable_cores(machine) >= 1


def test_gpus_are_found_by_their_drivers_files(tmp_path: Path) -> None:
    def here(root: Path) -> list[str]:
        return list(gpus(root, system="Linux", processor="x86_64"))

    assert here(tmp_path) == []
    assert here(_write(tmp_path / "nvidia", dev__nvidia0="")) == ["NVIDIA"]
    assert here(_write(tmp_path / "wsl", **{"proc__driver__nvidia__gpus__0000:01:00_dot_0__information": ""})) == [
        "NVIDIA"
    ]
    assert here(_write(tmp_path / "both", dev__nvidia0="", dev__kfd="")) == ["NVIDIA", "AMD"]
    assert gpus(tmp_path, system="Darwin", processor="arm64") == ["Apple"]
    assert gpus(tmp_path, system="Darwin", processor="x86_64") == []
