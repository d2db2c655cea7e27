"""Makes a GGUF file that judges out of a checkpoint: brought, converted, quantised, tried, compared with it, installed.

Every stage is a file in a folder of the build's own beside the installed models, so that an interrupted build goes on
where it was (see `stages`).
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from fare_cli.errors import UsageError
from fare_cli.gguf.building.adapter import adapter_sha256, make_adapter
from fare_cli.gguf.building.checkpoint import CARD, Checkpoint, read_checkpoint
from fare_cli.gguf.building.converter import DISTRIBUTION, VERSION, find_converter, need_packages
from fare_cli.gguf.building.making import Importance, Making, make_model
from fare_cli.gguf.building.plan import Plan, Recipe, announced_size, choose_recipe, make_plan
from fare_cli.gguf.building.source import Brought, Hub, Source, find_source
from fare_cli.gguf.building.stages import Stages, one_at_a_time
from fare_cli.gguf.disk import Say, check_space
from fare_cli.gguf.fetch.licence import Accept
from fare_cli.gguf.fetch.transfer import Show
from fare_cli.gguf.install import check_name, only_one_at
from fare_cli.gguf.model_prompts import take_card_prompts
from fare_cli.gguf.notes import BuildNotes, ModelNotes, card_file, read_notes, write_notes
from fare_cli.gguf.store import ModelFile, file_sha256, installed_models, models_folder, resolve_model
from fare_cli.machine import memory

_DEFAULT_LABELS = ("Q4_K_M", "MXFP4")


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build, apart from what.

    `type` is one of `quantize.TYPES`, F32 or MXFP4 (default: MXFP4 for gpt-oss, else Q4_K_M). `name` is what the result
    is installed as. `lora` is the folder of a LoRA adapter (PEFT) to put on top. `converter` is llama-cpp-python's
    source package, where it is at hand. `importance` says which weights matter most. `compare` says whether to compare
    with the checkpoint (None: where it fits the memory). `keep` keeps the download and the converted file for other
    types.
    """

    type: str | None = None
    name: str | None = None
    lora: Path | None = None
    converter: Path | None = None
    importance: Importance | None = None
    compare: bool | None = None
    keep: bool = False


def build(
    reference: str,
    *,
    options: BuildOptions = BuildOptions(),
    accept_licence: Accept = False,
    say: Say = lambda _: None,
    show: Show = lambda _name, _here, _size: None,
) -> ModelFile:
    """The model made from a checkpoint, installed; the same one if it was built before.

    `reference` is a name of the catalog, `hf:OWNER/REPO[@REVISION]`, or a folder with config.json, tokenizer and
    safetensors. `say` is told what happens, beginning with the disk and memory it takes; `show` how far it is. An
    interrupted build goes on after its last finished stage; a second process waits for the first.

    Raises UsageError for what cannot be built or a licence not accepted, EnvironmentFault for missing packages, too
    little disk or network, ModelError for a damaged checkpoint or a result that does not pass its tests.
    """
    need_packages()
    if options.name is not None:
        check_name(options.name)
    if options.lora is not None:
        adapter_sha256(options.lora)
    source = find_source(reference)
    before = _built_before(source, options)
    if before is not None:
        say(f"{before.name} is installed already")
        return before
    with one_at_a_time(models_folder() / ".builds" / source.key, say) as stages:
        done = _Build(source, stages, options, say, show).done(accept_licence)
        if not options.keep:
            stages.remove()
    return done


def _built_before(source: Source, options: BuildOptions) -> ModelFile | None:
    """What was built of a repository before: to see that it is the same, all of it would have to be downloaded."""
    if source.folder is not None or options.lora is not None:
        return None
    labels = _DEFAULT_LABELS if options.type is None else (options.type.upper().removesuffix("_MOE"),)
    start = f"build:hf:{source.repository}@"
    for name, path in installed_models().items():
        notes = read_notes(path)
        if notes.source is None or notes.build is None or not notes.source.startswith(start):
            continue
        if notes.build.importance != (options.importance.key if options.importance is not None else None):
            continue
        right_revision = source.revision in ("main", notes.source.removeprefix(start))
        if right_revision and notes.build.type in labels and options.name in (None, name):
            return ModelFile(path, name, file_sha256(path))
    return None


class _Build:
    """One build, in the process that holds its lock."""

    def __init__(self, source: Source, stages: Stages, options: BuildOptions, say: Say, show: Show) -> None:
        self._source = source
        self._stages = stages
        self._options = options
        self._say = say
        self._show = show

    def done(self, accept: Accept) -> ModelFile:
        """The model, or the adapter on top of it, made and installed."""
        brought, making = self._bring(accept)
        checkpoint = read_checkpoint(brought.folder)
        recipe = choose_recipe(self._options.type, checkpoint.config, checkpoint.weights_type)
        base = self._model(brought, checkpoint, recipe, making)
        adapter = self._options.lora
        if adapter is None:
            return base
        name = self._options.name or adapter.resolve().name
        notes = ModelNotes(
            source=f"build:{adapter.resolve()}",
            base=base.name,
            build=BuildNotes(checkpoint=adapter_sha256(adapter), type="LoRA", converter=_converter_release()),
        )
        if _installed(name, notes) is None:
            self._install(make_adapter(adapter, base, brought.folder, making), name, notes, adapter / CARD)
        self._say(f"installed as {name}, on top of {base.name}")
        return resolve_model(name)

    def _model(self, brought: Brought, checkpoint: Checkpoint, recipe: Recipe, making: Making) -> ModelFile:
        is_base = self._options.lora is not None
        name = (None if is_base else self._options.name) or f"{self._source.name}-{recipe.label.lower()}"
        notes = ModelNotes(
            source=f"build:{brought.origin}",
            licence=brought.licence,
            decoding=dict(self._source.decoding),
            build=BuildNotes(
                checkpoint=checkpoint.sha256(),
                type=recipe.label,
                converter=_converter_release(),
                importance=None if recipe.is_direct else self._importance_key(),
            ),
        )
        here = _installed(name, notes)
        if here is None:
            plan = make_plan(recipe, checkpoint.size, checkpoint.config, download=False)
            made = make_model(
                checkpoint, recipe, plan, making, importance=self._options.importance, compared=self._options.compare
            )
            assert notes.build is not None
            notes.build.agreement = made.agreement
            here = self._install(made.path, name, notes, brought.folder / CARD)
            take_card_prompts(here, self._say)
        self._say(f"{'' if is_base else 'installed as '}{name}: {here.stat().st_size / 1e9:.2f} GB")
        return resolve_model(name)

    def _importance_key(self) -> str | None:
        return self._options.importance.key if self._options.importance is not None else None

    def _bring(self, accept: Accept) -> tuple[Brought, Making]:
        """The checkpoint and the converter, both here. What it all takes is said, and checked, before the download."""
        if self._source.folder is not None:
            return self._planned(Brought(self._source.folder, str(self._source.folder), None), is_download=False)
        again = f"fare models build {shlex.quote(self._source.reference)} --accept-license"
        hub = Hub(self._source, self._stages.folder / "brought", accept, again, self._say, self._show)
        brought = hub.brought()
        if brought is not None:
            return self._planned(brought, is_download=True)
        announced = hub.announced()
        recipe = choose_recipe(self._options.type, announced.config, "BF16")
        if announced.total_bytes is not None:
            size = announced_size(announced.config, announced.total_bytes, self._source.parameters)
            self._show_plan(recipe, make_plan(recipe, size, announced.config, download=True))
        making = self._making()
        brought = hub.bring(announced.commit)
        # Without an index nobody says beforehand how large the weights are.
        return (brought, making) if announced.total_bytes is not None else self._planned(brought, is_download=True)

    def _planned(self, brought: Brought, *, is_download: bool) -> tuple[Brought, Making]:
        checkpoint = read_checkpoint(brought.folder)
        recipe = choose_recipe(self._options.type, checkpoint.config, checkpoint.weights_type)
        self._show_plan(recipe, make_plan(recipe, checkpoint.size, checkpoint.config, download=is_download))
        return brought, self._making()

    def _making(self) -> Making:
        return Making(self._stages, find_converter(file=self._options.converter, say=self._say), self._say, self._show)

    def _install(self, made: Path, name: str, notes: ModelNotes, card: Path) -> Path:
        """Puts a finished file among the models, whole and with its notes and card there before it."""
        target = models_folder() / f"{name}.gguf"
        digest = file_sha256(made)
        with only_one_at(name, self._say):
            # Another build, of another checkpoint, may have been given the same name.
            if _installed(name, notes) is None:
                write_notes(target, notes.model_copy(update={"sha256": digest}))
                if card.is_file():
                    shutil.copyfile(card, card_file(target))
                if self._options.keep:
                    # Other types are made of the converted file: it gets a second name.
                    target.hardlink_to(made)
                else:
                    made.replace(target)
        return target

    def _show_plan(self, recipe: Recipe, plan: Plan) -> None:
        if recipe.is_direct and self._options.importance is not None:
            raise UsageError(f"{recipe.label} is converted and not quantised: --imatrix changes nothing there")
        parts = [f"{plan.download / 1e9:.1f} to download"] if plan.download else []
        parts += [f"{plan.converted / 1e9:.1f} as {recipe.converted.upper()}"]
        parts += [f"{plan.final / 1e9:.1f} as {recipe.label}"] if plan.final else []
        needed = max(0, plan.disk - self._stages.bytes_here())
        free = check_space(self._stages.folder, needed, "the build")
        self._say(
            f"disk: about {plan.disk / 1e9:.1f} GB at the most ({', '.join(parts)}); {free / 1e9:.1f} GB are free"
        )
        available = memory().available_bytes
        self._say(f"memory: about {plan.memory / 1e9:.1f} GB; {available / 1e9:.1f} GB are free")
        if plan.memory > available:
            self._say("warning: that is more than is free: close other programs, or the system may end the build")


def _converter_release() -> str:
    return f"{DISTRIBUTION} {VERSION}"


def _installed(name: str, wanted: ModelNotes) -> Path | None:
    """The installed file called `name`, if it was made in the way that is wanted. Raises UsageError if in another."""
    path = installed_models().get(name)
    if path is None:
        return None
    found = read_notes(path)
    assert wanted.build is not None
    if found.build is not None and found.base == wanted.base:
        same = found.build.model_copy(update={"agreement": None})
        if same == wanted.build:
            return path
    raise UsageError(
        f"{name} is installed already, and was not made from this", "choose --name, or remove it: fare models remove"
    )
