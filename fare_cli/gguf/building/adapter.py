"""Makes a GGUF file out of a LoRA adapter as peft saves it, and installs it on top of a model that is here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fare_cli.engine.probe import probe_model
from fare_cli.errors import ModelError
from fare_cli.gguf.building.checkpoint import CARD, read_config, read_tensors
from fare_cli.gguf.building.converter import SDIST_SHA256
from fare_cli.gguf.building.making import Making, folder_of_links
from fare_cli.gguf.header import read_header
from fare_cli.gguf.store import ModelFile, file_sha256

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"


def adapter_sha256(adapter: Path) -> str:
    """One checksum over an adapter's config and weights. Raises ModelError where they are missing or damaged."""
    config = read_config(adapter / _CONFIG)
    if config.get("peft_type") != "LORA":
        raise ModelError(f"{adapter / _CONFIG}: peft_type is {config.get('peft_type')!r}, and only LORA can be used")
    read_tensors(adapter / _WEIGHTS)
    lines = "".join(f"{file_sha256(adapter / name)}  {name}\n" for name in (_CONFIG, _WEIGHTS))
    return hashlib.sha256(lines.encode()).hexdigest()


def make_adapter(adapter: Path, base: ModelFile, checkpoint: Path, making: Making) -> Path:
    """The GGUF file of the adapter, tried on `base`; `checkpoint` is the folder that `base` was made of."""

    def work(partial: Path) -> None:
        making.say(f"converting the adapter {adapter.name}")
        files = [name for name in (_CONFIG, _WEIGHTS, CARD) if (adapter / name).is_file()]
        links = folder_of_links(making.stages.folder / "adapter" / adapter.name, files, adapter)
        making.converter.adapter(links, checkpoint, partial, making.watch())

    inputs = {"adapter": adapter_sha256(adapter), "base": base.sha256, "converter": SDIST_SHA256}
    made = making.stages.make("adapter.gguf", inputs, work).path
    architecture = read_header(base.path).architecture
    header = read_header(made)
    if header.architecture != architecture or header.metadata.get("general.type") != "adapter":
        raise ModelError(f"{adapter} became no adapter for {architecture}", "it may have been trained on another model")
    probe_model(base.path, adapter=made)
    making.say(f"tried: {base.name} loads with it and decodes")
    return made
