"""Quantising: every type offered gives a file that judges, and what goes wrong leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

import fare_cli as fare
from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.header import read_header
from fare_cli.gguf.quantize import TYPES, bits_per_weight, quantize, stand_ins, type_named
from fare_cli.identity import JudgingOptions
from tests.cli.conftest import environment
from tests.engine.tiny_models import write_gpt_oss, write_lora, write_qwen3

PAIR = {"question": "What is 2+2?", "answer_a": "It is 4.", "answer_b": "It is 5."}

EXPERTS = {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"}


@pytest.fixture(scope="module")
def fitting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in F32 all of whose widths are multiples of 256, so that K types fit."""
    path = tmp_path_factory.mktemp("source") / "fitting.gguf"
    return write_qwen3(path, embedding=256, feed_forward=512, head=64)


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mixture of experts with the width of gpt-oss-20b, which K types do not fit."""
    path = tmp_path_factory.mktemp("source") / "experts.gguf"
    return write_gpt_oss(path, layers=2, embedding=2880, feed_forward=96)


def probability_of_a(model: Path) -> float:
    """What the model makes of PAIR, asked directly."""
    with fare.Judge.open(model, options=JudgingOptions(mode="direct"), ctx=2048, threads=1) as judge:
        verdict = next(judge.pairwise([PAIR]))
    assert verdict.status == "ok", verdict.error
    assert verdict.probabilities is not None
    return verdict.probabilities["A"]


@pytest.mark.parametrize("name", [name for name in TYPES if name != "MXFP4_MOE"])
def test_every_type_gives_a_model_that_judges_nearly_as_before(name: str, fitting: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    written = quantize(fitting, target, name, threads=1)
    assert written.quantisation == name
    assert bits_per_weight(written) == pytest.approx(TYPES[name].bits, abs=1.0)
    assert written == read_header(target)
    assert stand_ins(written, name) is None
    # Random weights have no outliers and no structure: two bits bend them most.
    tolerance = 0.02 if TYPES[name].bits > 5 else 0.3
    assert probability_of_a(target) == pytest.approx(probability_of_a(fitting), abs=tolerance)


def test_experts_go_to_mxfp4_and_the_rest_to_q8_0(experts: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    written = quantize(experts, target, "MXFP4_MOE", threads=2)
    assert {tensor.type for tensor in written.tensors} == {"MXFP4", "Q8_0", "F32"}
    assert {tensor.name.split(".")[2] for tensor in written.tensors if tensor.type == "MXFP4"} == EXPERTS
    probability_of_a(target)
    # As published, gpt-oss has its experts in MXFP4 and the rest in BF16: that is full precision for this type.
    again = quantize(target, tmp_path / "again.gguf", "MXFP4_MOE", threads=2, allow_requantize=True)
    assert again == written


def test_the_width_of_gpt_oss_gets_stand_ins_for_k_types_and_is_said_to(experts: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    written = quantize(experts, target, "Q4_K_M", threads=2)
    found = stand_ins(written, "Q4_K_M")
    assert found is not None
    assert found.width == 2880
    assert set(found.types) == {"Q5_0", "Q8_0"}
    assert found.share > 0.95
    assert bits_per_weight(written) > 5.4
    assert stand_ins(quantize(experts, target, "Q5_0", threads=2), "Q5_0") is None
    probability_of_a(target)


def test_a_quantised_source_is_refused_unless_that_is_asked_for(fitting: Path, tmp_path: Path) -> None:
    small = tmp_path / "q8.gguf"
    quantize(fitting, small, "Q8_0", threads=1)
    with pytest.raises(UsageError, match=r"q8\.gguf is quantised already \(Q8_0\)") as caught:
        quantize(small, tmp_path / "out.gguf", "Q4_0")
    assert "--allow-requantize" in (caught.value.hint or "")
    assert [path.name for path in tmp_path.iterdir()] == ["q8.gguf"]
    written = quantize(small, tmp_path / "out.gguf", "Q4_0", allow_requantize=True, threads=1)
    assert written.quantisation == "Q4_0"


def test_mxfp4_without_experts_and_an_adapter_are_refused(fitting: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no experts"):
        quantize(fitting, tmp_path / "out.gguf", "MXFP4_MOE")
    with pytest.raises(UsageError, match="is an adapter"):
        quantize(write_lora(tmp_path / "lora.gguf"), tmp_path / "out.gguf", "Q8_0")


def test_types_are_found_in_any_case_and_near_misses_are_named() -> None:
    assert type_named("q4_k_m") == "Q4_K_M"
    with pytest.raises(UsageError) as caught:
        type_named("Q4_KM")
    assert caught.value.hint == "did you mean Q4_K_M?"
    with pytest.raises(UsageError) as caught:
        type_named("int8")
    assert "Q8_0" in (caught.value.hint or "")


def test_what_is_no_number_is_refused_with_llama_cpps_reason(fitting: Path, tmp_path: Path) -> None:
    source = tmp_path / "nan.gguf"
    source.write_bytes(fitting.read_bytes()[:-4] + np.array([np.nan], np.float32).tobytes())
    target = tmp_path / "out.gguf"
    target.write_bytes(b"what was there")
    with pytest.raises(ModelError, match=r"cannot quantise it: tensor 'blk.*' has invalid data"):
        quantize(source, target, "Q8_0", threads=1)
    assert target.read_bytes() == b"what was there"
    assert not list(tmp_path.glob(".*"))


def test_a_native_crash_is_an_error_and_leaves_nothing(fitting: Path, tmp_path: Path) -> None:
    key = b"qwen3.block_count" + (4).to_bytes(4, "little")
    content = fitting.read_bytes()
    assert key in content
    source = tmp_path / "bad.gguf"
    # llama.cpp aborts on more layers than it has room for.
    source.write_bytes(content.replace(key + (2).to_bytes(4, "little"), key + (100_000).to_bytes(4, "little")))
    with pytest.raises(ModelError, match=r"crashed while quantising it \(SIGABRT\)") as caught:
        quantize(source, tmp_path / "out.gguf", "Q8_0", threads=1)
    assert "damaged" in (caught.value.hint or "")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    """The source is a header and a hole: twice as many bytes of weights as the disk has room for."""
    rows = shutil.disk_usage(tmp_path).free // 4096
    source = tmp_path / "huge.gguf"
    writer = GGUFWriter(source, "llama")
    writer.add_embedding_length(4096)
    writer.add_tensor_info("token_embd.weight", (rows, 4096), np.dtype(np.float16), rows * 4096 * 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    os.truncate(source, source.stat().st_size + rows * 4096 * 2 + 64)
    with pytest.raises(EnvironmentFault, match=r"out.gguf needs about .* GB in .*, and .* GB are free"):
        quantize(source, tmp_path / "out.gguf", "Q8_0")
    assert [path.name for path in tmp_path.iterdir()] == ["huge.gguf"]


def test_two_processes_do_not_write_the_same_target(fitting: Path, tmp_path: Path) -> None:
    with (tmp_path / ".out.gguf.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(EnvironmentFault, match="another process is writing"):
            quantize(fitting, tmp_path / "out.gguf", "Q8_0")
    # What a killed process left is no obstacle.
    quantize(fitting, tmp_path / "out.gguf", "Q8_0", threads=1)
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]


def _begin(tmp_path: Path) -> subprocess.Popen[str]:
    """A process in the middle of quantising source.gguf to out.gguf."""
    source = write_gpt_oss(tmp_path / "source.gguf", layers=3, embedding=2880, feed_forward=960)
    program = "import sys; from pathlib import Path; from fare_cli.gguf.quantize import quantize;"
    program += "quantize(Path(sys.argv[1]), Path(sys.argv[2]), 'Q4_0', threads=1)"
    child = subprocess.Popen(
        [sys.executable, "-c", program, source, tmp_path / "out.gguf"],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    partial = tmp_path / ".out.gguf.part"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.001)
    return child


def test_ctrl_c_ends_the_work_and_leaves_nothing(tmp_path: Path) -> None:
    child = _begin(tmp_path)
    child.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in child.communicate(timeout=60)[1]
    assert [path.name for path in tmp_path.iterdir()] == ["source.gguf"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the child of a process")
def test_what_outlives_a_killed_process_keeps_its_file_to_itself(tmp_path: Path) -> None:
    process = _begin(tmp_path)
    worker = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(worker, signal.SIGSTOP)
    process.kill()
    process.communicate()
    try:
        with pytest.raises(EnvironmentFault, match="another process is writing"):
            quantize(tmp_path / "source.gguf", tmp_path / "out.gguf", "Q4_0")
    finally:
        os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert quantize(tmp_path / "source.gguf", tmp_path / "out.gguf", "Q4_0").quantisation == "Q4_0"


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in TYPES if name != "MXFP4_MOE"])
def test_every_type_of_the_small_model_judges_nearly_as_before(name: str, smollm2_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    written = quantize(smollm2_path, target, name, allow_requantize=True)
    assert written.quantisation == name
    found = stand_ins(written, name)
    assert (found is not None) == ("_K" in name or name == "IQ4_XS")  # its width is 576
    tolerance = 0.15 if TYPES[name].bits > 4 else 0.4
    assert probability_of_a(target) == pytest.approx(probability_of_a(smollm2_path), abs=tolerance)
