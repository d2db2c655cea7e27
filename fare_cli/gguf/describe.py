"""What `fare models show` tells of a model: what its header, its notes and the catalog say, without loading it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fare_cli.engine.family import template_family
from fare_cli.errors import FareError, ModelError
from fare_cli.gguf.adapter import is_adapter
from fare_cli.gguf.catalog import catalog
from fare_cli.gguf.header import Header, Tensor
from fare_cli.gguf.memory import memory_table
from fare_cli.gguf.model_prompts import find_prompt, own_decoding
from fare_cli.gguf.notes import ModelNotes, read_notes
from fare_cli.gguf.split import bytes_here, part_paths, read_model
from fare_cli.gguf.store import ModelFile, catalog_sha256, model_sha256, models_folder
from fare_cli.prompting import TASK_NAMES


class AdapterFacts(BaseModel):
    """An adapter: its file, its checksum, and the name of the model it stands on, None where nobody says."""

    path: Path
    bytes: int
    sha256: str
    base: str | None


class MemoryRow(BaseModel):
    """What the model takes while it judges one ask of `ctx` tokens, prompt and reply, with a cache of `kv_type`."""

    ctx: int
    kv_type: str
    bytes: int
    cache_bytes: int


class ModelFacts(BaseModel):
    """A model, as far as it can be known without loading it. Of an installed adapter, what the weights say is its
    base's.

    `tensor_types` gives the share of the weights that each type has. `prompts` says for each task where its prompt
    comes from (see `find_prompt`), or what is wrong with it. None means that nobody says.
    """

    name: str
    path: Path
    parts: list[str]
    bytes: int
    sha256: str
    adapter: AdapterFacts | None
    architecture: str
    parameters: int
    quantisation: str
    tensor_types: dict[str, float]
    context: int | None
    template: str | None
    licence: str | None
    source: str | None
    prompts: dict[str, str]
    decoding: dict[str, Any]
    quantisation_check: dict[str, Any] | None
    memory: list[MemoryRow]


def describe(model: ModelFile) -> ModelFacts:
    """The facts on a model. Raises ModelError where its files or its notes cannot be read."""
    file = model.installed_file
    is_installed = file.parent == models_folder()
    notes = read_notes(file) if is_installed else ModelNotes()
    header = read_model(model.path)
    parts = part_paths(model.path)
    entry = catalog().get(model.name) if is_installed and catalog_sha256(model.name) == model.sha256 else None
    template = header.metadata.get("tokenizer.chat_template")
    stated = header.metadata.get("general.license")
    return ModelFacts(
        name=model.name,
        path=model.path,
        parts=[part.name for part in parts] if len(parts) > 1 else [],
        bytes=bytes_here(model.path),
        sha256=model.sha256,
        adapter=_adapter(model, notes, header),
        architecture=header.architecture,
        parameters=header.parameters,
        quantisation=header.quantisation,
        tensor_types=type_shares(header.tensors),
        context=header.context_length,
        template=template_family(template) if isinstance(template, str) else None,
        licence=notes.licence or (entry.licence if entry else None) or (stated if isinstance(stated, str) else None),
        source=notes.source,
        prompts={task: _prompt_place(task, file) for task in TASK_NAMES},
        decoding=dict(own_decoding(file).options),
        quantisation_check=notes.quantisation_check,
        memory=_memory(header),
    )


def type_shares(tensors: Iterable[Tensor]) -> dict[str, float]:
    """The share of all weights that is stored in each tensor type, the largest first."""
    weights: Counter[str] = Counter()
    for tensor in tensors:
        weights[tensor.type] += math.prod(tensor.shape)
    total = weights.total() or 1
    return {kind: count / total for kind, count in weights.most_common()}


def _adapter(model: ModelFile, notes: ModelNotes, header: Header) -> AdapterFacts | None:
    file = model.installed_file
    if model.adapter is None and not is_adapter(file, header):
        return None
    return AdapterFacts(path=file, bytes=bytes_here(file), sha256=model_sha256(file), base=notes.base)


def _memory(header: Header) -> list[MemoryRow]:
    """What the memory plan says for one ask at several contexts; [] where the header does not say enough for one."""
    try:
        rows = memory_table(header)
    except ModelError:
        return []
    return [
        MemoryRow(ctx=row.ctx, kv_type=row.kv_type, bytes=row.plan.total_bytes, cache_bytes=row.plan.kv_bytes)
        for row in rows
    ]


def _prompt_place(task: str, file: Path) -> str:
    try:
        return find_prompt(task, file).place
    except FareError as error:
        return error.message
