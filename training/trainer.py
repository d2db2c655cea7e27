"""TRL's trainer, set up so that it trains what the samples say, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel
from transformers.trainer_callback import PrinterCallback
from trl import SFTConfig, SFTTrainer

from fare_cli.errors import EnvironmentFault, UsageError
from fare_cli.gguf.disk import Say
from training import attention
from training.config import Config
from training.packing import Row, rows
from training.parallel import check_split, shard_on_cpu, trainer_options
from training.samples import Sample
from training.watching import Watch

IGNORED = -100
"""The label of a token that is not learnt, by PyTorch's convention."""


class OrderedTrainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer that splits weights on CPUs too, and sees that they are split where that was asked for."""

    say: Say
    _is_checked = False

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        self.is_fsdp_enabled = shard_on_cpu(self.accelerator, self.args.fsdp_plugin_args)

    def training_step(self, model: Any, *arguments: Any, **named: Any) -> Any:
        if self.args.fsdp and not self._is_checked:
            count = check_split(model, self.args.world_size)
            self.say(f"{self.args.world_size} processes, {count} parameters split among them")
            self._is_checked = True
        return super().training_step(model, *arguments, **named)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """TRL's loss, summed over the completions of the row and divided by `num_items_in_batch`, the trained tokens
        of all rows and processes in the step; the gradients of processes are averaged later, so each counts as many
        times as there are processes.

        Where there is no GPU, TRL (1.16) computes logits over the whole vocabulary at every position, prompts included:
        with SmolLM2 that was half the time of a step. Here they are computed where something is learnt.
        """
        if inputs["input_ids"].is_cuda or len(inputs["input_ids"]) != 1 or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][0, 1:]
        learnt = (labels != IGNORED).nonzero()[:, 0]
        rest = {name: one for name, one in inputs.items() if name != "labels"}
        logits = model(**rest, use_cache=False, logits_to_keep=learnt).logits[0]
        count = len(learnt) if num_items_in_batch is None else num_items_in_batch / self.accelerator.num_processes
        return torch.nn.functional.cross_entropy(logits.float(), labels[learnt], reduction="sum") / count

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if state_dict is not None:
            # On a CPU accelerate's whole state dict is still split (1.15): every process takes part in joining it.
            state_dict = {
                name: one.full_tensor() if isinstance(one, DTensor) else one for name, one in state_dict.items()
            }
        super()._save(output_dir, state_dict=state_dict)


def load_model(checkpoint: Path, config: Config) -> PreTrainedModel:
    """The model to train: weights in F32 (bfloat16 or four bits under an adapter, on a GPU).

    Raises EnvironmentFault where the config needs a GPU and there is none.
    """
    on_gpu = torch.cuda.is_available()
    lora = config.lora
    if not on_gpu and (config.optimisation.optimiser == "adamw_8bit" or (lora is not None and lora.four_bit)):
        raise EnvironmentFault(
            "optimiser adamw_8bit and four_bit weights need a GPU, and there is none",
            'set optimisation.optimiser = "adamw" and take lora.four_bit out',
        )
    quantised = None
    if lora is not None and lora.four_bit:
        quantised = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            # A floating type can be split by FSDP.
            bnb_4bit_quant_storage=torch.bfloat16,
        )
    attention.register()
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        checkpoint,
        dtype=torch.bfloat16 if lora is not None and on_gpu else torch.float32,
        attn_implementation=config.compute.attention,
        quantization_config=quantised,
    )
    model.config.use_cache = False
    return model


def load_tokenizer(checkpoint: Path) -> Any:
    """The checkpoint's tokenizer, which only pads and is saved again: what is trained comes tokenised."""
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def dataset(samples: Sequence[Sample], config: Config) -> Dataset:
    """The samples as rows, in their order, with the columns that TRL takes as they are."""
    packed = list(rows(samples, config.data.max_length, packing=config.data.packing))
    return Dataset.from_dict({name: [getattr(row, name) for row in packed] for name in Row.__slots__})


def make_trainer(
    checkpoint: Path,
    config: Config,
    run: Path,
    samples: Sequence[Sample],
    *,
    held_out: Sequence[Sample] = (),
    seed: int,
    say: Say,
) -> OrderedTrainer:
    """The trainer, ready to start or to resume in the folder `run`.

    Raises UsageError where several GPUs are visible to one process, EnvironmentFault where the config needs a GPU and
    there is none.
    """
    # Before the model: with ZeRO-3 transformers (5.23) knows by them not to read all weights into each process.
    arguments = _arguments(config, run, evaluates=bool(held_out), seed=seed)
    if arguments.n_gpu > 1:
        raise UsageError(
            f"one process sees {arguments.n_gpu} GPUs, and trains on one",
            "show it one (CUDA_VISIBLE_DEVICES=0), or start one process for each with torchrun and parallel.processes",
        )
    trainer = OrderedTrainer(
        model=load_model(checkpoint, config),
        args=arguments,
        train_dataset=dataset(samples, config),
        eval_dataset=dataset(held_out, config) if held_out else None,
        processing_class=load_tokenizer(checkpoint),
        peft_config=_peft_config(config),
        callbacks=[Watch(run, say)],
    )
    trainer.say = say
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(config: Config, run: Path, *, evaluates: bool, seed: int) -> SFTConfig:
    optimisation, compute, saving = config.optimisation, config.compute, config.saving
    return SFTConfig(
        output_dir=str(run),
        seed=seed,
        # What the samples are: ids and masks as they are, in their order, each row whole.
        completion_only_loss=True,
        packing=False,
        padding_free=True,
        max_length=None,
        train_sampling_strategy="sequential",
        # How they are learnt.
        learning_rate=optimisation.learning_rate,
        lr_scheduler_type=optimisation.schedule,
        warmup_steps=optimisation.warmup,
        weight_decay=optimisation.weight_decay,
        max_grad_norm=optimisation.max_grad_norm,
        num_train_epochs=optimisation.epochs,
        max_steps=optimisation.max_steps or -1,
        per_device_train_batch_size=optimisation.batch,
        per_device_eval_batch_size=optimisation.batch,
        gradient_accumulation_steps=optimisation.accumulate,
        optim="adamw_torch_fused" if optimisation.optimiser == "adamw" else "adamw_8bit",
        # What they are computed in.
        bf16=compute.bf16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=compute.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if compute.gradient_checkpointing else None,
        # What is kept of it. A loss that is no number must show.
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_steps=saving.every_steps,
        save_total_limit=saving.keep,
        eval_strategy="steps" if evaluates else "no",
        eval_steps=saving.evaluate_every_steps if evaluates else None,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
        **trainer_options(config),
    )


def _peft_config(config: Config) -> Any:
    if config.lora is None:
        return None
    from peft import LoraConfig

    lora = config.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        task_type="CAUSAL_LM",
    )
