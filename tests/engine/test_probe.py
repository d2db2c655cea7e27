"""The trial run in a child process: a native crash is an error message, and what was found is remembered."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFWriter

from fare_cli.engine import probe
from fare_cli.engine.probe import probe_model, remembered_probe
from fare_cli.errors import ExitCode, ModelError


def test_a_sound_model_decodes_ten_tokens(tiny: Callable[[str], Path]) -> None:
    result = probe_model(tiny("qwen3"))
    assert result.tokens == 10
    assert not result.safe_kernels
    assert "qwen3" in result.model


def test_a_truncated_file_is_an_error_with_exit_code_5(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    whole = tiny("qwen3").read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ModelError, match=r"cut\.gguf") as caught:
        probe_model(cut)
    assert caught.value.exit_code is ExitCode.ENVIRONMENT


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    writer = GGUFWriter(path, "perceptron")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match="perceptron"):
        probe_model(path)


def test_a_crash_is_told_with_its_signal(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A python that dies of SIGILL whatever it is told to run, like an engine built for another CPU."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -ILL $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(probe.sys, "executable", str(python))
    with pytest.raises(ModelError, match="SIGILL"):
        probe_model(tiny("qwen3"))


def test_a_trial_that_was_killed_says_so_and_is_no_crash_of_the_kernels(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -KILL $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(probe.sys, "executable", str(python))
    with pytest.raises(ModelError, match="SIGKILL") as caught:
        probe_model(tiny("qwen3"))
    assert "memory" in (caught.value.hint or "")


def test_a_crash_of_the_fast_kernels_leaves_the_safe_ones(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *" fast") kill -{int(signal.SIGILL)} $$;; esac\nexec {probe.sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(probe.sys, "executable", str(python))
    assert probe_model(tiny("qwen3")).safe_kernels


def test_a_success_is_remembered_for_this_file_only(
    tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny("qwen3").read_bytes())
    first = remembered_probe(path)
    with monkeypatch.context() as patch:
        patch.setattr(probe.sys, "executable", "/bin/false")
        assert remembered_probe(path) == first
        path.write_bytes(tiny("llama-3").read_bytes())
        with pytest.raises(ModelError):
            remembered_probe(path)
