"""The checkpoint that a training starts from: a folder that is there, or a GGUF file turned back into one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.disk import Say, check_space
from fare_cli.gguf.header import read_header
from fare_cli.gguf.store import resolve_model
from fare_cli.run.files import write_whole
from fare_cli.settings import looks_like_path
from training.manifest import FileFacts, file_facts, model_facts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_F32_BYTES = 4
_MADE_OF = "made-of.json"


def start_facts(start: str) -> FileFacts:
    """What a training starts from, for its manifest: a checkpoint's folder, or the GGUF file that is turned into one;
    of a checkpoint that `start_checkpoint` has made, the file that it was made of.

    Raises UsageError for what is neither.
    """
    found = _find(start)
    if isinstance(found, FileFacts):
        return found
    return _made_of(found) or file_facts(found)


def start_checkpoint(start: str, place: Path, say: Say) -> Path:
    """The folder of the checkpoint meant by `start`: a folder with config.json, or an installed model or GGUF file,
    which is dequantised into `place`: once (the folder appears whole), and again where it was made of another file.

    Raises UsageError for what is neither, ModelError for a GGUF file that transformers cannot read.
    """
    found = _find(start)
    if not isinstance(found, FileFacts):
        return found
    made_of = _made_of(place)
    if made_of is None or made_of.sha256 != found.sha256:
        # First of all the note: what a kill leaves half-removed is not taken for whole.
        (place / _MADE_OF).unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        _make(found, place, say)
    return place


def _find(start: str) -> Path | FileFacts:
    """A checkpoint's folder, or the facts of a GGUF file."""
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
    return model_facts(found)


def _made_of(folder: Path) -> FileFacts | None:
    """The GGUF file that a checkpoint was made of by `start_checkpoint`; None for any other folder."""
    try:
        return FileFacts.model_validate_json((folder / _MADE_OF).read_bytes())
    except (OSError, ValidationError):
        return None


def _make(source: FileFacts, place: Path, say: Say) -> None:
    gguf = Path(source.file)
    say(f"turning {gguf.name} into a checkpoint in F32")
    place.parent.mkdir(parents=True, exist_ok=True)
    check_space(place.parent, read_header(gguf).parameters * _F32_BYTES, "the checkpoint")
    partial = place.with_name(place.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    write_dequantised(gguf, partial)
    write_whole(partial / _MADE_OF, source.model_dump_json() + "\n", "note of what it was made of")
    partial.replace(place)


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
