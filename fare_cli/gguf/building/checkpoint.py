"""A checkpoint folder as training and the Hub give it (config, tokenizer, safetensors), read without torch.

Layout of safetensors: https://github.com/huggingface/safetensors#format. Nothing in the folder is trusted or executed:
only files with the names below are looked at, and every length is checked against the bytes that are there.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.errors import ModelError
from fare_cli.gguf.store import file_sha256

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
_ADAPTER_CONFIG = "adapter_config.json"

#: The files of a checkpoint besides its weights, all small. Code is not among them: checkpoints may bring Python
#: modules, which transformers would run.
SMALL_FILES = (
    CONFIG,
    INDEX,
    CARD,
    "LICENSE",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_WEIGHTS_FILE = re.compile(r"model[\w.-]*\.safetensors")
_LARGEST_JSON_BYTES = 1 << 27
_BYTES = {
    **{"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2},
    **{"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1},
}


class Size(NamedTuple):
    """The dimensions that cost: all weights (two in a byte of an MXFP4 block), the most in one tensor, and the bytes of
    the files that hold them."""

    parameters: int
    largest: int
    bytes: int


class Tensor(NamedTuple):
    """A tensor as a safetensors file announces it; `type` is the format's own word (`BF16`)."""

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What lies in a checkpoint folder. `files` are those that count, as names in `folder`; `weights_type` is the type
    that most weights have, in safetensors' words (`BF16`)."""

    folder: Path
    files: tuple[str, ...]
    config: Mapping[str, Any]
    weights_type: str
    size: Size

    def sha256(self) -> str:
        """One checksum over the names and contents of all `files`; 1 to 3 s a gigabyte the first time."""
        lines = "".join(f"{file_sha256(self.folder / name)}  {name}\n" for name in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()


def weight_files(folder: Path) -> list[str]:
    """The names of the files that hold the weights, from the index if there is one; they need not be there yet.

    Raises ModelError for an index that cannot be read, or that points out of the folder.
    """
    if not (folder / INDEX).exists():
        return [WEIGHTS]
    index = read_config(folder / INDEX).get("weight_map")
    names = sorted({str(name) for name in index.values()}) if isinstance(index, dict) else []
    wrong = next((name for name in names if not _WEIGHTS_FILE.fullmatch(name)), None)
    if not names or wrong is not None:
        raise ModelError(f"{folder / INDEX}: weight_map: {wrong or 'it'} names no file of weights", "bring it again")
    return names


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`. Raises ModelError naming the file that is missing, damaged or cut off."""
    if not folder.is_dir():
        raise ModelError(f"there is no folder {folder}", "name a folder with config.json and safetensors files")
    if (folder / _ADAPTER_CONFIG).is_file() and not (folder / CONFIG).is_file():
        raise ModelError(
            f"{folder} is a LoRA adapter, not a model", "build the model it was trained on and add --lora FOLDER"
        )
    config = read_config(folder / CONFIG)
    see_usable(folder)
    weights = weight_files(folder)
    tensors = [tensor for name in weights for tensor in read_tensors(folder / name)]
    if not tensors:
        raise ModelError(f"{folder / weights[0]} holds no tensors", "bring it again")
    small = [name for name in SMALL_FILES if (folder / name).is_file()]
    by_type = Counter[str]()
    for tensor in tensors:
        by_type[tensor.type] += tensor.elements
    return Checkpoint(
        folder=folder,
        files=tuple(sorted((*small, *weights))),
        config=config,
        weights_type=by_type.most_common(1)[0][0],
        size=Size(
            parameters=sum(_parameters(tensors)),
            largest=max(tensor.elements for tensor in tensors),
            bytes=sum((folder / name).stat().st_size for name in weights),
        ),
    )


def see_usable(folder: Path) -> None:
    """Raises ModelError where the small files of a checkpoint lack what judging needs: a tokenizer with a template."""
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ModelError(f"{folder} has no tokenizer ({', '.join(_TOKENIZERS)})", "save the tokenizer there too")
    if any((folder / name).is_file() for name in _TEMPLATES):
        return
    config = folder / "tokenizer_config.json"
    if not config.is_file() or not read_config(config).get("chat_template"):
        raise ModelError(
            f"{folder} has no chat template (in {', '.join(_TEMPLATES)} or tokenizer_config.json)",
            "judges need an instruction-tuned model, whose tokenizer has one",
        )


def _parameters(tensors: Iterable[Tensor]) -> Iterator[int]:
    for tensor in tensors:
        if tensor.name.endswith("_blocks"):
            yield 2 * tensor.elements
        elif not tensor.name.endswith("_scales"):
            yield tensor.elements


def read_tensors(file: Path) -> list[Tensor]:
    """The tensors that a safetensors file announces. Raises ModelError unless all of their bytes are there."""
    try:
        size = file.stat().st_size
        with file.open("rb") as content:
            (length,) = struct.unpack("<Q", content.read(8).ljust(8, b"\0"))
            if not 2 <= length <= min(size - 8, _LARGEST_JSON_BYTES):
                raise ValueError(f"its header would have {length} of the file's {size} bytes")
            header = json.loads(content.read(length))
        return _announced(header, size - 8 - length)
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelError(f"{file} is no whole safetensors file: {error}", "bring it again") from None


def _announced(header: Any, data_bytes: int) -> list[Tensor]:
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    tensors = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        tensor = Tensor(name, str(entry["dtype"]), tuple(int(extent) for extent in entry["shape"]))
        begin, end = entry["data_offsets"]
        if tensor.type in _BYTES and end - begin != tensor.elements * _BYTES[tensor.type]:
            raise ValueError(f"tensor {name} has {end - begin} bytes for the shape {list(tensor.shape)}")
        if not 0 <= begin <= end <= data_bytes or min(tensor.shape, default=1) < 0:
            raise ValueError(f"tensor {name} ends beyond the file: it is cut off")
        tensors.append(tensor)
    return tensors


def read_config(file: Path) -> dict[str, Any]:
    """A JSON file of a checkpoint, such as `config.json`. Raises ModelError unless it holds an object."""
    try:
        if file.stat().st_size > _LARGEST_JSON_BYTES:
            raise ModelError(f"{file} is larger than such a file can be")
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}", "a checkpoint has this file") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is no JSON: {error}", "bring it again") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file} is no JSON object", "bring it again")
    return content
