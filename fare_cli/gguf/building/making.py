"""The work of a build: converting, quantising, a trial run, the comparison with the checkpoint; each a stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from fare_cli.engine.probe import probe_model
from fare_cli.errors import ModelError
from fare_cli.gguf.building.checkpoint import Checkpoint
from fare_cli.gguf.building.compare import MOST_NATS, Agreement, CannotCompare, compare
from fare_cli.gguf.building.converter import SDIST_SHA256, VERSION, Converter, Watch
from fare_cli.gguf.building.plan import Plan, Recipe
from fare_cli.gguf.building.stages import Stage, Stages
from fare_cli.gguf.disk import Say
from fare_cli.gguf.fetch.transfer import Show
from fare_cli.gguf.header import read_header
from fare_cli.gguf.quantize import quantize, stand_ins
from fare_cli.machine import memory

#: What transformers takes of memory for each weight, computing in F32 or in 16 bits, and what it takes besides.
_F32_BYTES, _HALF_BYTES = 4, 2
_COMPARISON_BYTES = 1_500_000_000

#: Texts of the comparison that llama.cpp may cut into other tokens than transformers: rare signs, not whole languages.
_OTHER_IDS_SHARE = 0.25


class Importance(NamedTuple):
    """Which weights matter most: `measure` gives a file for `quantize(imatrix=...)` on a converted model, `key` is the
    SHA-256 of the records it measures on."""

    key: str
    measure: Callable[[Path], Path]


class Making(NamedTuple):
    """What the work of a build is done with: where its stages lie, the converter, and who is told."""

    stages: Stages
    converter: Converter
    say: Say
    show: Show

    def watch(self, expected_bytes: int | None = None) -> Watch:
        return Watch(self.show, expected_bytes, (self.stages.lock,))


class Made(NamedTuple):
    """A model file that loads and decodes, and in words how it agrees with its checkpoint, if that is known."""

    path: Path
    agreement: str | None


def make_model(
    checkpoint: Checkpoint,
    recipe: Recipe,
    plan: Plan,
    making: Making,
    *,
    importance: Importance | None,
    compared: bool | None,
) -> Made:
    """The model file of a checkpoint. `compared` says whether to compare the two (None: where it fits the memory).

    Raises ModelError where a stage fails or its result does not pass.
    """
    converted = _convert(checkpoint, recipe, plan, making)
    final = converted if recipe.is_direct else _quantise(converted, recipe, making, importance)
    _try(final, making)
    files = {recipe.converted.upper(): converted, recipe.label: final}
    return Made(final.path, _compare(checkpoint, files, making, compared))


def folder_of_links(folder: Path, files: Iterable[str], source: Path) -> Path:
    """The new folder `folder` with links to `files` in `source`, and so without any code that may lie there."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name in files:
        (folder / name).symlink_to((source / name).resolve())
    return folder


def _convert(checkpoint: Checkpoint, recipe: Recipe, plan: Plan, making: Making) -> Stage:
    def work(partial: Path) -> None:
        making.say(f"converting to {recipe.converted.upper()}")
        # The folder's name becomes the model's name where nothing in the checkpoint says another.
        links = folder_of_links(
            making.stages.folder / "checkpoint" / checkpoint.folder.name, checkpoint.files, checkpoint.folder
        )
        making.converter.model(links, partial, recipe.converted, making.watch(plan.converted))

    inputs = {"checkpoint": checkpoint.sha256(), "converter": SDIST_SHA256, "type": recipe.converted}
    return making.stages.make(f"converted-{recipe.converted}.gguf", inputs, work)


def _quantise(converted: Stage, recipe: Recipe, making: Making, importance: Importance | None) -> Stage:
    def work(partial: Path) -> None:
        imatrix = None if importance is None else importance.measure(converted.path)
        making.say(f"quantising to {recipe.label}")
        header = quantize(converted.path, partial, recipe.type, imatrix=imatrix)
        if other := stand_ins(header, recipe.type):
            making.say(
                f"{other.share:.0%} of the weights are in {' and '.join(other.types)} instead, because the width "
                f"{other.width} is no multiple of 256"
            )

    inputs = {"of": converted.key, "type": recipe.type, "engine": VERSION}
    if importance is not None:
        inputs["importance"] = importance.key
    return making.stages.make(f"quantised-{recipe.label.lower()}.gguf", inputs, work)


def _try(final: Stage, making: Making) -> None:
    """Reads the header, with every tensor's extent, and has a child process load the file and decode ten tokens."""
    header = read_header(final.path)
    if not header.metadata.get("tokenizer.chat_template"):
        raise ModelError(f"{final.path} has no chat template", "the checkpoint's tokenizer has none: fare judges by it")
    probe = probe_model(final.path)
    making.say(f"tried: it loads and decodes {probe.tokens} tokens in {probe.seconds:.2f} s")


def _compare(checkpoint: Checkpoint, files: dict[str, Stage], making: Making, wanted: bool | None) -> str | None:
    if wanted is False:
        return None
    free = memory().available_bytes - _COMPARISON_BYTES
    in_f32 = checkpoint.size.parameters * _F32_BYTES <= free
    needed = checkpoint.size.parameters * _HALF_BYTES
    if wanted is None and not in_f32 and needed > free:
        making.say(
            f"not compared with the checkpoint: that takes {(needed + _COMPARISON_BYTES) / 1e9:.1f} GB of memory "
            "(--compare does it all the same)"
        )
        return None

    def work(partial: Path) -> None:
        making.say("comparing with the checkpoint, which transformers runs")
        paths = {label: stage.path for label, stage in files.items()}
        found = compare(checkpoint.folder, paths, full_precision=in_f32)
        partial.write_text(json.dumps(found), encoding="utf-8")

    label, final = list(files.items())[-1]
    try:
        stage = making.stages.make(f"compared-{label.lower()}.json", {"of": final.key, "in_f32": str(in_f32)}, work)
    except CannotCompare as error:
        making.say(f"not compared with the checkpoint: {error}")
        return None
    agreements = {name: Agreement(*values) for name, values in json.loads(stage.path.read_bytes()).items()}
    for name, agreement in agreements.items():
        making.say(f"compared, {name}: {agreement}")
    _see_right(next(iter(agreements.values())))
    return str(agreements[label])


def _see_right(converted: Agreement) -> None:
    """Raises ModelError where the converted file is not the checkpoint's model; quantising may cost what it costs."""
    other_ids = converted.texts - converted.same_ids
    if converted.nats > MOST_NATS or other_ids > converted.texts * _OTHER_IDS_SHARE:
        raise ModelError(
            f"the converted file is not the checkpoint's model: {converted}",
            "nothing was installed; the converter may not know this model (--no-compare installs it all the same)",
        )
