"""The checkpoint that a training starts from: a folder that is there, or a GGUF file turned back into one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.disk import Say, check_space
from fare_cli.gguf.header import read_header
from fare_cli.gguf.store import resolve_model
from fare_cli.settings import looks_like_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_F32_BYTES = 4


def start_checkpoint(start: str, place: Path, say: Say) -> Path:
    """The folder of the checkpoint meant by `start`: a folder with config.json, or an installed model or GGUF file,
    which is dequantised into `place` (once: the folder appears whole).

    Raises UsageError for what is neither, ModelError for a GGUF file that transformers cannot read.
    """
    folder = Path(start).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(f"{folder} is no checkpoint: it has no config.json")
        return folder
    if looks_like_path(start) and not folder.exists():
        raise UsageError(f"{start} does not exist", "name a checkpoint's folder, a GGUF file or an installed model")
    found = resolve_model(start)
    if found.adapter is not None:
        raise UsageError(f"{start} is an adapter", "start from its base, or from a checkpoint with it merged")
    if not (place / "config.json").is_file():
        say(f"turning {found.path.name} into a checkpoint in F32")
        needed = read_header(found.path).parameters * _F32_BYTES
        place.parent.mkdir(parents=True, exist_ok=True)
        check_space(place.parent, needed, "the checkpoint")
        partial = place.with_name(place.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_dequantised(found.path, partial)
        partial.replace(place)
    return place


def write_dequantised(gguf: Path, folder: Path) -> None:
    """Writes the weights of a GGUF file as a checkpoint in F32, with its tokenizer and chat template.

    A model that transformers read from a GGUF file cannot be saved: its weights are put into a fresh one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (ValueError, RuntimeError, KeyError, ImportError) as error:
        raise ModelError(
            f"transformers cannot read {gguf}: {error}", "start from the checkpoint that the file was made of"
        ) from error
    fresh = fresh_model(read)
    fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def fresh_model(read: PreTrainedModel) -> PreTrainedModel:
    """A model of the same weights that knows nothing of where they came from."""
    import copy

    from transformers import AutoModelForCausalLM

    config = copy.deepcopy(read.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=read.dtype)
    missing, unexpected = model.load_state_dict(read.state_dict(), strict=False)
    tied = set(getattr(model, "all_tied_weights_keys", None) or getattr(model, "_tied_weights_keys", None) or ())
    if unexpected or set(missing) - tied:
        raise ModelError(f"weights do not fit their config: {', '.join([*missing, *unexpected][:5])}")
    return model
