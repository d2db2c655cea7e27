"""A checkpoint that was trained becomes a file that judges like it, with prompts and options inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.embedded import embedded_decoding, embedded_prompts
from fare_cli.gguf.header import read_header
from fare_cli.prompting import load_task_prompt, prompt_from_texts, read_prompt_texts
from tests.training.making import RECORDS, sums, write_records
from training.config import Compute, Config, Data, Lora, Optimisation
from training.export import Base, ExportOptions, export
from training.labels import (
    CLEAR_NATS,
    LabelAgreement,
    agreement,
    checkpoint_readings,
    engine_readings,
    see_alike,
)
from training.manifest import read_manifest
from training.questions import ask_record, read_records
from training.samples import Tokeniser
from training.sft import sft

ROOT = Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures("converter_home")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_records(tmp_path_factory.mktemp("records") / "records.jsonl", [*RECORDS, *sums(12)])


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, records: Path, smollm2_path: Path) -> Path:
    path = tmp_path_factory.mktemp("samples") / "samples.jsonl"
    with Tokeniser(smollm2_path) as tokeniser:
        found = [ask_record(record, load_task_prompt, "ab") for record in read_records(records)]
        path.write_text("".join(tokeniser.direct(one).to_line() + "\n" for one in found if one is not None))
    return path


def _config(lora: Lora | None = None) -> Config:
    return Config(
        about="for a test",
        data=Data(max_length=300, packing=False),
        optimisation=Optimisation(learning_rate=3e-3, warmup=0.0, max_steps=6),
        compute=Compute(bf16=False, gradient_checkpointing=False),
        lora=lora,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, start_checkpoint: Path, samples: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "judge"
    sft(samples, folder, str(start_checkpoint), _config(), say=lambda _: None)
    return folder


def test_the_files_give_the_labels_of_the_trained_checkpoint(
    trained: Path, start_checkpoint: Path, records: Path, tmp_path: Path
) -> None:
    output = tmp_path / "judge.gguf"
    said: list[str] = []
    options = ExportOptions(keep_unquantised=True, decoding={"mode": "direct"})
    manifest = export(trained, output, options, check=records, say=said.append)
    labels = manifest.counts["labels"]
    assert list(labels) == ["F16", "Q8_0"]
    for one in labels.values():
        assert one["records"] == 16
        assert one["clear"] >= 8, "most labels of this checkpoint are no toss-up"
        assert one["same_clear"] == one["clear"]
        assert one["nats"] < CLEAR_NATS
    assert any("the same label for 16 of 16 records" in line for line in said)
    assert read_manifest(output) == manifest
    assert read_header(output).quantisation == "Q8_0"
    assert read_header(tmp_path / "judge-f16.gguf").quantisation == "F16"
    assert embedded_decoding(output) == {"mode": "direct"}
    inside = embedded_prompts(output)
    for task in ("pairwise", "step", "verify", "score"):
        assert prompt_from_texts(task, inside[task]).fingerprint == load_task_prompt(task).fingerprint
    found = {path.name for path in tmp_path.glob("[!.]*")}
    assert found == {"judge.gguf", "judge-f16.gguf", "judge.gguf.manifest.json"}, "nothing else stays"

    asked = [one for record in read_records(records) if (one := ask_record(record, load_task_prompt, "ab"))]
    other = agreement(checkpoint_readings(start_checkpoint, output, asked), engine_readings(output, asked))
    with pytest.raises(ModelError, match="does not judge like"):
        see_alike("F16", other, 1.0)

    verify = write_records(tmp_path / "verify.jsonl", sums(4))
    judged = subprocess.run(
        [sys.executable, "-m", "fare_cli", "judge", "verify", str(verify), "--model", str(output), "--quiet"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
        check=True,
    )
    verdicts = [json.loads(line) for line in judged.stdout.splitlines()]
    assert [verdict["status"] for verdict in verdicts] == ["ok"] * 4
    assert all(one["judgments"][0]["critique"] is None for one in verdicts), "direct is its default"


@pytest.mark.parametrize(
    ("name", "labels", "fine"),
    [
        ("F16", LabelAgreement(100, 98, 90, 90, 0.05), True),
        ("F16", LabelAgreement(100, 99, 90, 89, 0.05), False),
        ("F16", LabelAgreement(100, 100, 90, 90, 0.4), False),
        ("Q4_K_M", LabelAgreement(100, 90, 90, 85, 0.9), True),
        ("Q4_K_M", LabelAgreement(100, 89, 90, 85, 0.9), False),
    ],
)
def test_what_judges_otherwise_than_its_checkpoint_is_refused(name: str, labels: LabelAgreement, fine: bool) -> None:
    if fine:
        see_alike(name, labels, 0.1)
        return
    with pytest.raises(ModelError, match="does not judge like its checkpoint"):
        see_alike(name, labels, 0.1)


def test_paths_may_be_relative(start_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint, output = Path(os.path.relpath(start_checkpoint)), Path("judge.gguf")
    export(checkpoint, output, ExportOptions(type="F16", compare=False), say=lambda _: None)
    assert embedded_prompts(output).keys() == read_prompt_texts().keys()


def test_an_adapter_becomes_an_adapter_on_its_base(
    start_checkpoint: Path, start_gguf: Path, samples: Path, records: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    sft(samples, folder, str(start_checkpoint), _config(Lora(rank=4, alpha=8)), say=lambda _: None)
    output = tmp_path / "adapter.gguf"
    with pytest.raises(UsageError, match="is an adapter"):
        export(folder, output, ExportOptions(), say=lambda _: None)
    below = Base(str(start_gguf), start_checkpoint)
    manifest = export(folder, output, ExportOptions(), base=below, check=records, say=lambda _: None)
    assert manifest.counts["labels"]["LoRA"]["same_clear"] == manifest.counts["labels"]["LoRA"]["clear"]
    assert read_header(output).metadata["general.type"] == "adapter"
    assert embedded_prompts(output).keys() == read_prompt_texts().keys()
    with pytest.raises(UsageError, match="is no adapter"):
        export(start_checkpoint, tmp_path / "x.gguf", ExportOptions(), base=below, say=lambda _: None)


def test_a_full_training_becomes_an_adapter_of_its_largest_changes(
    start_checkpoint: Path, start_gguf: Path, records: Path, tmp_path: Path
) -> None:
    """Two directions in one matrix are all of the change: rank 2 is the trained model, rank 1 is a part of it."""
    weights = load_file(start_checkpoint / "model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    out, into = weights[name].shape
    generator = torch.Generator().manual_seed(1)
    left, right = torch.randn(out, 2, generator=generator), torch.randn(2, into, generator=generator)
    change = left * torch.tensor([0.2, 0.1]) @ right
    trained = tmp_path / "trained"
    shutil.copytree(start_checkpoint, trained)
    save_file(weights | {name: weights[name] + change}, trained / "model.safetensors", metadata={"format": "pt"})
    shares = {}
    for rank, below in ((1, start_checkpoint), (2, None)):
        base, output = Base(str(start_gguf), below, rank), tmp_path / f"rank-{rank}.gguf"
        manifest = export(trained, output, ExportOptions(tolerance=1), base=base, check=records, say=lambda _: None)
        shares[rank], labels = manifest.counts["share_of_change"], manifest.counts["labels"]["LoRA"]
    assert 0.6 < shares[1] < 0.95
    assert shares[2] == 1
    assert labels["nats"] < CLEAR_NATS
    assert read_header(output).metadata["general.type"] == "adapter"
    unchanged = Base(str(start_gguf), start_checkpoint, rank)
    with pytest.raises(ModelError, match="has the linear layers of"):
        export(start_checkpoint, tmp_path / "x.gguf", ExportOptions(), base=unchanged, say=lambda _: None)


def test_readings_agree_where_they_should() -> None:
    sure, unsure = {"a": -0.1, "b": -2.4}, {"a": -0.65, "b": -0.74}
    flipped = {"a": -0.74, "b": -0.65}
    found = agreement([sure, unsure, unsure], [sure, flipped, unsure])
    assert (found.records, found.same, found.clear, found.same_clear) == (3, 2, 1, 1)
    assert found.nats == pytest.approx(0.09)
    assert agreement([sure], [{"a": -2.4, "b": -0.1}]).same_clear == 0
