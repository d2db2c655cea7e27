"""Training on samples: on the right tokens, in the right order, through kills, and with clear ends.

Nothing here is a judge: the model has 300,000 random weights. What must hold, holds for it too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fare_cli.errors import EnvironmentFault, InputError, InvalidRecordsError, UsageError
from tests.engine import tiny_models
from tests.training.running import kill_verb
from training.attention import by_sample
from training.config import Attention, Compute, Config, Data, Lora, Optimisation, Parallel, Saving
from training.manifest import file_facts, read_manifest
from training.samples import Sample, read_samples
from training.sft import losses, run_folder, sft
from training.start import start_checkpoint
from training.trainer import OrderedTrainer, make_trainer

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """The same sums everywhere, and no threads that wait for one another on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


_SAVING = Saving()


def _config(
    *,
    packing: bool = True,
    attention: Attention = "sdpa",
    saving: Saving = _SAVING,
    lora: Lora | None = None,
    **optimisation: Any,
) -> Config:
    return Config(
        about="for a test",
        data=Data(max_length=1400, packing=packing),
        optimisation=Optimisation(**{"learning_rate": 1e-3, "warmup": 0.0, **optimisation}),
        compute=Compute(bf16=False, gradient_checkpointing=False, attention=attention),
        saving=saving,
        lora=lora,
    )


def _trainer(checkpoint: Path, run: Path, samples: list[Sample], config: Config) -> OrderedTrainer:
    run.mkdir()
    return make_trainer(checkpoint, config, run, samples, seed=0, say=lambda _: None)


def _loss_by_hand(model: Any, samples: list[Sample]) -> float:
    """The mean negative log-probability of the completions' tokens, each sample alone in a plain forward pass."""
    total, count = 0.0, 0
    for sample in samples:
        ids = torch.tensor([sample.input_ids])
        with torch.no_grad():
            logs = model(ids).logits[0].log_softmax(-1)
        for place, mask in enumerate(sample.completion_mask):
            if mask:
                total -= float(logs[place - 1, sample.input_ids[place]])
                count += 1
    return total / count


@pytest.mark.parametrize(("packing", "attention"), [(True, "sdpa"), (True, "by_sample"), (False, "sdpa")])
def test_the_loss_is_that_of_the_completions_tokens_and_of_no_others(
    packing: bool, attention: Attention, tiny_checkpoint: Path, samples: list[Sample], tmp_path: Path
) -> None:
    """Proven token by token: labels stand exactly where the mask is 1, the loss is the mean over just these, and it is
    the same for samples in one row as for each alone: none sees another."""
    few = samples[:4]
    trainer = _trainer(tiny_checkpoint, tmp_path / "run", few, _config(packing=packing, attention=attention, batch=4))
    (batch,) = list(trainer.get_train_dataloader())
    expected = [t if m else -100 for one in few for t, m in zip(one.input_ids, one.completion_mask, strict=True)]
    assert batch["labels"].flatten().tolist() == expected
    assert batch["input_ids"].flatten().tolist() == [token for one in few for token in one.input_ids]
    with torch.no_grad():
        loss = float(trainer.compute_loss(trainer.model, dict(batch)))
        by_trl = float(super(OrderedTrainer, trainer).compute_loss(trainer.model, dict(batch)))
    trainer.model.set_attn_implementation("sdpa")
    assert loss == pytest.approx(_loss_by_hand(trainer.model, few), abs=1e-4)
    assert loss == pytest.approx(by_trl, abs=1e-5)


def test_attention_by_sample_refuses_what_it_does_not_do() -> None:
    tensors = torch.zeros(3, 1, 2, 4, 8)
    assert by_sample(torch.nn.Module(), *tensors, None)[0].shape == (1, 4, 2, 8)
    with pytest.raises(ValueError, match="a mask"):
        by_sample(torch.nn.Module(), *tensors, torch.ones(1, 1, 4, 4))
    with pytest.raises(ValueError, match="sliding_window"):
        by_sample(torch.nn.Module(), *tensors, None, sliding_window=2)


def test_a_token_under_the_mask_gets_no_gradient(tiny_checkpoint: Path, samples: list[Sample], tmp_path: Path) -> None:
    """The rows of the output matrix that the loss pushes up are those of trained tokens alone."""
    trainer = _trainer(tiny_checkpoint, tmp_path / "run", samples[:1], _config())
    (batch,) = list(trainer.get_train_dataloader())
    logits = trainer.model(batch["input_ids"], position_ids=batch["position_ids"]).logits
    logits.retain_grad()
    shifted = batch["labels"][0, 1:]
    trained = shifted != -100
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], shifted, ignore_index=-100)
    loss.backward()
    pulled = logits.grad[0, :-1].abs().sum(-1) > 0
    assert torch.equal(pulled, trained)
    with torch.no_grad():
        assert float(trainer.compute_loss(trainer.model, dict(batch))) == pytest.approx(float(loss), abs=1e-5)


@pytest.mark.parametrize(("packing", "batch", "accumulate"), [(True, 1, 2), (True, 2, 1), (False, 3, 2)])
def test_the_batches_that_the_trainer_draws_are_in_the_samples_order(
    packing: bool, batch: int, accumulate: int, tiny_checkpoint: Path, samples: list[Sample], tmp_path: Path
) -> None:
    samples = samples[::2]
    config = _config(packing=packing, batch=batch, accumulate=accumulate)
    trainer = _trainer(tiny_checkpoint, tmp_path / "run", samples, config)
    drawn: list[int] = []
    step = trainer.training_step

    def seen(model: Any, inputs: dict[str, torch.Tensor], *rest: Any, **named: Any) -> Any:
        drawn.extend(inputs["input_ids"].flatten().tolist())
        return step(model, inputs, *rest, **named)

    trainer.training_step = seen
    trainer.train()
    assert drawn == [token for sample in samples for token in sample.input_ids]
    rates = [sample.pass_rate or 0 for sample in samples]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 4, "from 4 of 4 to 1 of 4"


def _write(path: Path, samples: list[Sample]) -> Path:
    path.write_text("".join(sample.to_line() + "\n" for sample in samples), encoding="utf-8")
    return path


def test_the_loss_falls_on_a_fixed_batch_and_what_is_made_is_whole(
    tiny_checkpoint: Path, samples: list[Sample], tmp_path: Path
) -> None:
    few = _write(tmp_path / "few.jsonl", samples[:2])
    output = tmp_path / "trained"
    said: list[str] = []
    config = _config(max_steps=20, packing=False, saving=Saving(evaluate_every_steps=15))
    manifest = sft(few, output, str(tiny_checkpoint), config, held_out=few, say=said.append)
    assert manifest is not None
    course = losses(output / "log.jsonl")
    assert len(course) == 20
    assert course[-1] < 0.5 * course[0]
    assert manifest.counts["last_loss"] == course[-1]
    assert manifest == read_manifest(output)
    assert not run_folder(output).exists()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    trained = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    assert _loss_by_hand(trained, samples[:2]) < 0.5 * course[0]
    assert AutoTokenizer.from_pretrained(output).chat_template
    before = AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    assert course[0] == pytest.approx(_loss_by_hand(before, samples[:1]), abs=1e-4), "from the current weights"

    assert any(line.startswith("memory: about") for line in said)
    assert any(line.startswith("disk: about") for line in said)
    assert any("loss on held-out samples" in line for line in said)
    assert sft(few, output, str(tiny_checkpoint), config, held_out=few, say=said.append) == manifest
    assert said[-1] == f"{output} is made already"
    with pytest.raises(InputError, match="was made by something else"):
        sft(few, output, str(tiny_checkpoint), _config(max_steps=19), say=said.append)


def test_a_killed_training_goes_on_to_the_same_losses(
    tiny_checkpoint: Path, samples_file: Path, tmp_path: Path
) -> None:
    """kill -9 in the middle, a torn log and a half-written checkpoint beside it."""
    config_file = tmp_path / "config.toml"
    config_file.write_text(
        'about = "for a test"\n[data]\nmax_length = 700\n'
        "[optimisation]\nlearning_rate = 1e-3\nwarmup = 0.2\naccumulate = 2\nmax_steps = 14\n"
        "[compute]\nbf16 = false\ngradient_checkpointing = false\n[saving]\nevery_steps = 3\n"
    )
    output = tmp_path / "killed"
    log = run_folder(output) / "log.jsonl"
    command = ["sft", str(samples_file), "-o", str(output), "--config", str(config_file), "--seed", "3"]
    kill_verb(
        lambda: log.is_file() and len(log.read_text().splitlines()) >= 5, *command, "--model", str(tiny_checkpoint)
    )
    assert not output.exists()
    with log.open("a") as torn:
        torn.write('{"step": 9')
    half = run_folder(output) / "checkpoint-12"
    half.mkdir()
    (half / "trainer_state.json").write_text("{}")

    from training.config import read_config

    config = read_config(config_file)
    said: list[str] = []
    sft(samples_file, output, str(tiny_checkpoint), config, seed=3, say=said.append)
    (going_on,) = [line for line in said if line.startswith("going on from")]
    assert going_on != "going on from checkpoint-12"
    unbroken = tmp_path / "unbroken"
    sft(samples_file, unbroken, str(tiny_checkpoint), config, seed=3, say=said.append)
    assert losses(output / "log.jsonl") == pytest.approx(losses(unbroken / "log.jsonl"), abs=1e-6)
    assert len(losses(output / "log.jsonl")) == 14
    assert read_manifest(output).counts["steps"] == 14  # type: ignore[union-attr]


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_last_checkpoint(
    tiny_checkpoint: Path, samples_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "diverged"
    config = _config(learning_rate=1e36, max_steps=6, saving=Saving(every_steps=1), schedule="constant_with_warmup")
    with pytest.raises(EnvironmentFault, match=r"diverged: .* is not a number at step") as diverged:
        sft(samples_file, output, str(tiny_checkpoint), config, say=lambda _: None)
    assert not output.exists()
    last = max(run_folder(output).glob("checkpoint-*"))
    assert str(last) in diverged.value.message
    state = json.loads((last / "trainer_state.json").read_text())
    assert all(entry["loss"] == entry["loss"] for entry in state["log_history"] if "loss" in entry)
    assert diverged.value.exit_code == 5
    assert "--force" in str(diverged.value.hint)

    lower = _config(learning_rate=1e-3, max_steps=1)
    with pytest.raises(UsageError, match=f"holds an unfinished training on another .* up to {last.name}") as refused:
        sft(samples_file, output, str(tiny_checkpoint), lower, say=lambda _: None)
    assert "--force" in str(refused.value.hint)
    assert last.is_dir(), "nothing is lost by asking"
    assert sft(samples_file, output, str(tiny_checkpoint), lower, say=lambda _: None, force=True) is not None
    assert not run_folder(output).exists()


def test_another_start_under_the_same_name_is_the_one_that_is_trained(
    tiny_checkpoint: Path, tiny_gguf: Path, samples: list[Sample], tmp_path: Path
) -> None:
    """A start that an interrupted training has left is of its own model alone."""
    other = tiny_models.write_qwen3(tmp_path / "other.gguf", head=128, seed=5)
    few, output = _write(tmp_path / "few.jsonl", samples[:1]), tmp_path / "out"
    left = start_checkpoint(str(other), run_folder(output) / "start", print)
    weights = (left / "model.safetensors").read_bytes()
    assert start_checkpoint(str(other), left, pytest.fail) == left, "once"
    manifest = sft(few, output, str(tiny_gguf), _config(max_steps=1), say=lambda _: None)
    assert manifest is not None
    assert manifest.inputs[1] == file_facts(tiny_gguf)
    assert weights != (tiny_checkpoint / "model.safetensors").read_bytes()
    wanted = tmp_path / "wanted"
    sft(few, wanted, str(tiny_checkpoint), _config(max_steps=1), say=lambda _: None)
    assert losses(output / "log.jsonl") == losses(wanted / "log.jsonl")


def test_a_disk_that_is_too_small_is_said_before_anything_is_trained(
    tiny_checkpoint: Path, samples_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=65 << 20))
    with pytest.raises(EnvironmentFault, match=r"the training needs about 0\.0\d GB .* are free"):
        sft(samples_file, tmp_path / "out", str(tiny_checkpoint), _config(), say=lambda _: None)
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_samples_of_another_vocabulary_and_samples_that_do_not_fit_are_refused(
    tiny_checkpoint: Path, samples: list[Sample], tmp_path: Path
) -> None:
    foreign = samples[0].model_copy(update={"input_ids": [40000, *samples[0].input_ids[1:]]})
    path = _write(tmp_path / "foreign.jsonl", [foreign])
    with pytest.raises(InputError, match="token id 40000, and the model's vocabulary ends at"):
        sft(path, tmp_path / "out", str(tiny_checkpoint), _config(), say=print)
    good = _write(tmp_path / "good.jsonl", samples[:2])
    with pytest.raises(InputError, match=r"foreign\.jsonl holds the token id 40000"):
        sft(good, tmp_path / "out", str(tiny_checkpoint), _config(), held_out=path, say=print)
    short = _config().model_copy(update={"data": Data(max_length=100)})
    path = _write(tmp_path / "long.jsonl", samples)
    with pytest.raises(InvalidRecordsError, match="no sample of at most 100 tokens"):
        sft(path, tmp_path / "out", str(tiny_checkpoint), short, say=print)
    said: list[str] = []
    middle = _config(max_steps=1).model_copy(update={"data": Data(max_length=630)})
    manifest = sft(path, tmp_path / "some", str(tiny_checkpoint), middle, say=said.append)
    assert said[0] == "12 samples are longer than 630 tokens (data.max_length) and left out"
    assert manifest is not None
    assert (manifest.counts["samples"], manifest.counts["too_long"]) == (12, 12)
    with pytest.raises(UsageError, match="does not exist"):
        sft(path, tmp_path / "out", str(tmp_path / "nowhere"), _config(), say=print)


def test_an_adapter_trains_little_and_leaves_the_model_as_it_was(
    tiny_checkpoint: Path, samples: list[Sample], tmp_path: Path
) -> None:
    few = _write(tmp_path / "few.jsonl", samples[:2])
    output = tmp_path / "adapter"
    config = _config(max_steps=8, learning_rate=1e-2, lora=Lora(rank=4, alpha=8))
    manifest = sft(few, output, str(tiny_checkpoint), config, say=lambda _: None)
    assert manifest is not None
    assert (output / "adapter_model.safetensors").is_file()
    from safetensors import safe_open

    with safe_open(output / "adapter_model.safetensors", "pt") as weights:
        sizes = [weights.get_tensor(name).numel() for name in weights.keys()]  # noqa: SIM118 - not a mapping
    assert manifest.counts["parameters"] == sum(sizes), "as many as were foreseen"
    assert losses(output / "log.jsonl")[-1] < losses(output / "log.jsonl")[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
@pytest.mark.parametrize("values", [{"optimiser": "adamw_8bit"}, {"lora": Lora(rank=4, alpha=8, four_bit=True)}])
def test_what_needs_a_gpu_says_so(
    values: dict[str, Any], tiny_checkpoint: Path, samples_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentFault, match="need a GPU"):
        sft(samples_file, tmp_path / "out", str(tiny_checkpoint), _config(**values), say=lambda _: None)


def test_weights_are_split_among_two_processes(
    tiny_checkpoint: Path, tiny_gguf: Path, samples_file: Path, tmp_path: Path
) -> None:
    """torchrun with two processes on the CPU: one dequantises the start for both, the checkpoint is whole, its course
    that of one process, and both find it done."""
    output = tmp_path / "split"
    config = tmp_path / "config.toml"
    fsdp = ROOT / "training" / "configs" / "accelerate" / "fsdp2-2cpu.yaml"
    config.write_text(
        'about = "for a test"\n[data]\nmax_length = 700\npacking = false\n'
        "[optimisation]\nlearning_rate = 1e-3\nwarmup = 0.0\nmax_steps = 3\n"
        "[compute]\nbf16 = false\ngradient_checkpointing = false\n"
        f'[parallel]\nprocesses = 2\nfsdp = "{fsdp}"\n[saving]\nevery_steps = 2\n'
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "training", "sft", str(samples_file), "-o", str(output)]
    command += ["--model", str(tiny_gguf), "--config", str(config)]
    for said in ("2 processes, 25 parameters split among them", "is made already"):
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert said in done.stderr
    assert not run_folder(output).exists()
    from transformers import AutoModelForCausalLM

    split = AutoModelForCausalLM.from_pretrained(output, dtype=torch.float32)
    alone = tmp_path / "alone"
    one = _config(packing=False, max_steps=3, accumulate=2).model_copy(update={"parallel": Parallel()})
    sft(samples_file, alone, str(tiny_checkpoint), one, say=lambda _: None)
    assert losses(output / "log.jsonl") == pytest.approx(losses(alone / "log.jsonl"), abs=1e-3)
    whole = AutoModelForCausalLM.from_pretrained(alone, dtype=torch.float32)
    found = list(read_samples(samples_file))[:4]
    assert _loss_by_hand(split, found) == pytest.approx(_loss_by_hand(whole, found), abs=1e-2)
