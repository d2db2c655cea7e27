"""Models of random weights that train in seconds, and samples for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fare_cli.prompting import load_task_prompt
from fare_cli.records import parse
from tests.engine import tiny_models
from tests.gguf import checkpoints
from tests.training.making import sums
from training.export import ExportOptions, export
from training.questions import ask_record
from training.samples import Sample, Tokeniser
from training.start import write_dequantised


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A qwen3 of two layers with a vocabulary of some 350 tokens; transformers takes its heads to be 128 wide."""
    return tiny_models.write_qwen3(tmp_path_factory.mktemp("tiny") / "tiny.gguf", head=128)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory, tiny_gguf: Path) -> Path:
    """The tiny model as a checkpoint."""
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    write_dequantised(tiny_gguf, folder)
    return folder


@pytest.fixture(scope="session")
def samples(tiny_gguf: Path) -> list[Sample]:
    """24 samples of some 850 tokens (the tiny vocabulary is nearly one of bytes), direct ones and critiques, from easy
    to hard."""
    made = []
    with Tokeniser(tiny_gguf) as tokeniser:
        for number, record in enumerate(sums(24)):
            question = ask_record(parse("verify", record), load_task_prompt, "ab")
            assert question is not None
            rate = (4 - number // 6) / 4
            if number % 2:
                made.append(tokeniser.direct(question, rate))
            else:
                text = f"Explanation: sum {number} is right.\nVerdict:{question.right}"
                made.append(tokeniser.critique(question, text, rate))
    return made


@pytest.fixture
def samples_file(tmp_path: Path, samples: list[Sample]) -> Path:
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(sample.to_line() + "\n" for sample in samples), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def converter_home(tmp_path_factory: pytest.TempPathFactory, converter_folder: Path) -> Iterator[None]:
    """A `FARE_HOME` where the converter is at hand."""
    home = tmp_path_factory.mktemp("home")
    place = home / "cache" / "converter" / converter_folder.name
    place.parent.mkdir(parents=True)
    place.symlink_to(converter_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARE_HOME", str(home))
        yield


@pytest.fixture(scope="session")
def start_checkpoint(tmp_path_factory: pytest.TempPathFactory, smollm2_path: Path) -> Path:
    """A llama of two layers and 3M random weights with SmolLM2's tokenizer, which the converter knows."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("start")
    tokenizer = folder / "tokenizer"
    AutoTokenizer.from_pretrained(smollm2_path.parent, gguf_file=smollm2_path.name).save_pretrained(tokenizer)
    (tokenizer / "config.json").write_text(json.dumps({"vocab_size": 49152}))
    return checkpoints.write_llama(folder / "checkpoint", tokenizer)


@pytest.fixture(scope="session")
def start_gguf(tmp_path_factory: pytest.TempPathFactory, start_checkpoint: Path, converter_home: None) -> Path:
    """The same as a GGUF file in F16."""
    path = tmp_path_factory.mktemp("start") / "start.gguf"
    export(start_checkpoint, path, ExportOptions(type="F16", compare=False), say=lambda _: None)
    return path
