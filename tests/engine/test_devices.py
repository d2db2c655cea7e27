"""Which GPUs the build can use, and the one it cannot. Nothing here runs on a GPU: other machines' facts are given."""

from __future__ import annotations

import shlex

from fare_cli.engine.devices import backends_among, find_devices, gpu_backends, idle_gpu


def test_backends_are_known_by_their_libraries() -> None:
    linux = ["libggml.so", "libggml-base.so.0.25.3", "libggml-cpu.so", "libggml-cuda.so", "ggml-vulkan.h"]
    assert backends_among(linux) == {"cuda"}
    assert backends_among(["libggml-metal.dylib", "libllama.dylib"]) == {"metal"}
    assert backends_among(["ggml-hip.dll", "ggml-cuda.h", "ggml-metal.metal"]) == {"hip"}


def test_a_gpu_without_its_backend_lies_idle_and_the_command_builds_one() -> None:
    idle = idle_gpu(["NVIDIA"], set())
    assert idle is not None
    assert "NVIDIA" in idle.message
    words = shlex.split(idle.install)
    assert words[:3] == ["CMAKE_ARGS=-DGGML_CUDA=on", "pip", "install"]
    assert words[-1] == "llama-cpp-python==0.3.36"


def test_each_maker_has_its_own_backend() -> None:
    assert idle_gpu(["AMD"], {"hip"}) is None
    assert idle_gpu(["AMD"], {"vulkan"}) is None
    assert idle_gpu(["Apple"], {"metal"}) is None
    assert idle_gpu([], set()) is None
    second = idle_gpu(["NVIDIA", "AMD"], {"cuda"})
    assert second is not None
    assert second.maker == "AMD"
    assert "-DGGML_HIP=on" in second.install


def test_a_build_for_the_cpu_has_no_devices() -> None:
    assert gpu_backends() or find_devices() == []
