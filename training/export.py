"""A checkpoint as a GGUF file that judges: converted and quantised as `fare models build` does it, with the prompts it
was trained with and its judging options inside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from fare_cli.errors import UsageError
from fare_cli.gguf.building.adapter import adapter_sha256, make_adapter
from fare_cli.gguf.building.checkpoint import read_checkpoint
from fare_cli.gguf.building.converter import find_converter, need_packages
from fare_cli.gguf.building.making import Making, make_model
from fare_cli.gguf.building.plan import Recipe, choose_recipe, is_mxfp4, make_plan
from fare_cli.gguf.building.stages import one_at_a_time
from fare_cli.gguf.disk import Say, check_space
from fare_cli.gguf.embedded import write_embedded
from fare_cli.gguf.store import ModelFile, resolve_model
from fare_cli.prompting import PromptTexts, TaskPrompt, prompt_from_texts, read_prompt_texts
from fare_cli.settings import check_model_defaults
from training.labels import UNQUANTISED, agreement, checkpoint_readings, engine_readings, see_alike
from training.low_rank import write_low_rank
from training.manifest import FileFacts, TrainingManifest, model_facts, plan, read_manifest
from training.questions import Question, chosen_order, questions
from training.start import start_checkpoint

PACKAGES = ("torch", "transformers", "llama-cpp-python")

ADAPTER_CONFIG = "adapter_config.json"
_MOST_CHECKED = 200


class Base(NamedTuple):
    """What an adapter stands on: the model that it will be judged with, and the checkpoint that it was trained on; None
    where that is the model turned back. With `rank`, a checkpoint trained in full becomes an adapter of that rank."""

    model: str
    checkpoint: Path | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`type` is one of `fare models quantize`, `decoding` the judging options that become the file's defaults.

    `tolerance` is the share of checked records whose label the quantised file may give otherwise than the checkpoint.
    An unquantised file must give every label that the checkpoint is clear about. `compare` compares token ids and
    probabilities with the checkpoint's on a few texts, where both fit the memory.
    """

    type: str = "Q8_0"
    prompts_dir: Path | None = None
    decoding: Mapping[str, Any] = field(default_factory=dict)
    keep_unquantised: bool = False
    tolerance: float = 0.1
    compare: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance <= 1:
            raise UsageError(f"--tolerance {self.tolerance}: a share lies between 0 and 1")
        check_model_defaults(self.decoding, dict.fromkeys(self.decoding, "--decoding"))


class _Exported(NamedTuple):
    """Files that judge, by name; the last is what was asked for. `below` is the model under an adapter, `counts` what
    else is to be said."""

    files: dict[str, Path]
    below: ModelFile | None = None
    counts: Mapping[str, Any] = MappingProxyType({})


def export(
    checkpoint: Path,
    output: Path,
    options: ExportOptions,
    *,
    base: Base | None = None,
    check: Path | None = None,
    say: Say,
    force: bool = False,
) -> TrainingManifest:
    """Writes the checkpoint, or with `base` the LoRA adapter that it is or becomes, to the GGUF file `output`.

    With `check`, records with gold labels, the labels of the checkpoint (run by transformers), of the unquantised and
    of the quantised file are compared before anything is written. `keep_unquantised` writes the unquantised file
    beside `output`, `NAME-f16.gguf`. An interrupted export goes on after its last stage.

    Raises UsageError for what cannot be exported, ModelError where a file does not judge like its checkpoint.
    """
    begun = time.monotonic()
    need_packages()
    _see_kind(checkpoint, output, base)
    texts = read_prompt_texts(options.prompts_dir)
    work = plan("export", _inputs(checkpoint, base, check), _described(options, texts, base))
    if not work.begin(output, force=force):
        say(f"{output} is made already")
        manifest = read_manifest(output)
        assert manifest is not None
        return manifest
    # The converter runs in a folder of its own.
    with one_at_a_time(output.absolute().with_name(output.name + ".export"), say) as stages:
        making = Making(stages, find_converter(say=say), say, lambda _name, _here, _size: None)
        below = None
        if base is None:
            made = _model(checkpoint, options, making)
        else:
            below = base.checkpoint or start_checkpoint(base.model, stages.folder / "base", say)
            made = _adapter(checkpoint, base, below, making)
        counts = dict(made.counts)
        if check is not None:
            below = None if base is not None and base.rank is not None else below
            counts |= _checked(checkpoint, made, _questions(check, texts), below, options.tolerance, say)
        written = list(_write(made, output, options, texts))
        stages.remove()
    return work.write_manifest(written, counts, seconds=time.monotonic() - begun, packages=PACKAGES)


def _see_kind(checkpoint: Path, output: Path, base: Base | None) -> None:
    if output.suffix != ".gguf":
        raise UsageError(f"-o {output}: the name must end in .gguf", f"for example -o {output}.gguf")
    is_adapter = (checkpoint / ADAPTER_CONFIG).is_file()
    if is_adapter and base is None:
        raise UsageError(
            f"{checkpoint} is an adapter",
            "name what it stands on: --base MODEL, and --base-checkpoint DIR if it has one",
        )
    if base is not None and not is_adapter and base.rank is None:
        raise UsageError(
            f"{checkpoint} is no adapter: it has no {ADAPTER_CONFIG}",
            "leave --base away, or make it one with --rank N",
        )
    if base is not None and is_adapter and base.rank is not None:
        raise UsageError(f"{checkpoint} is an adapter, with a rank of its own", "leave --rank away")


def _inputs(checkpoint: Path, base: Base | None, check: Path | None) -> list[Path | FileFacts]:
    inputs: list[Path | FileFacts] = [checkpoint]
    if base is not None:
        inputs.append(model_facts(resolve_model(base.model)))
        inputs += [] if base.checkpoint is None else [base.checkpoint]
    return inputs if check is None else [*inputs, check]


def _described(options: ExportOptions, texts: PromptTexts, base: Base | None) -> dict[str, Any]:
    return {
        "type": options.type.upper(),
        "decoding": dict(options.decoding),
        "keep_unquantised": options.keep_unquantised,
        "tolerance": options.tolerance,
        "rank": base.rank if base is not None else None,
        "prompts": prompt_fingerprints(texts),
    }


def prompt_fingerprints(texts: PromptTexts) -> dict[str, str]:
    """The fingerprint of each task's prompt."""
    return {task: prompt_from_texts(task, files).fingerprint for task, files in texts.items()}


def _model(folder: Path, options: ExportOptions, making: Making) -> _Exported:
    """The unquantised file and the one of the type asked for; they are one where that type is unquantised."""
    checkpoint = read_checkpoint(folder)

    def recipe(type: str) -> Recipe:
        return choose_recipe(type, checkpoint.config, checkpoint.weights_type)

    recipes = [recipe(options.type)]
    if recipes[0].label not in UNQUANTISED and not is_mxfp4(checkpoint.config):
        recipes.insert(0, recipe(recipe("Q4_0").converted))
    plans = [make_plan(one, checkpoint.size, checkpoint.config, download=False) for one in recipes]
    needed = sum(one.disk for one in plans) + max(plans[-1].final, plans[-1].converted)
    check_space(making.stages.folder, needed, "the export", "make room, or choose another place with -o")
    files = {}
    for one, needs in zip(recipes, plans, strict=True):
        # Whether the conversion is right shows in one of them.
        compared = None if options.compare and one is recipes[-1] else False
        files[one.label] = make_model(checkpoint, one, needs, making, importance=None, compared=compared).path
    return _Exported(files)


def _adapter(folder: Path, base: Base, below: Path, making: Making) -> _Exported:
    """The adapter for the model of `base`, whose weights as a checkpoint lie in the folder `below`."""
    counts = {}
    if base.rank is not None:
        whole, folder = folder, making.stages.folder / f"rank-{base.rank}"
        share = write_low_rank(whole, below, folder, base.rank)
        making.say(f"an adapter of rank {base.rank} holds {share:.1%} of the change of the weights, in squares")
        counts["share_of_change"] = round(share, 4)
    adapter_sha256(folder)
    model = resolve_model(base.model)
    return _Exported({"LoRA": make_adapter(folder, model, below.absolute(), making)}, model, counts)


def _write(made: _Exported, output: Path, options: ExportOptions, texts: PromptTexts) -> Iterator[Path]:
    """Writes what was made under its names, the one that was asked for first."""
    names = list(made.files)
    yield _embedded(made.files[names[-1]], output, options, texts)
    if options.keep_unquantised and len(names) > 1:
        beside = output.with_name(f"{output.stem}-{names[0].lower()}.gguf")
        yield _embedded(made.files[names[0]], beside, options, texts)


def _embedded(source: Path, target: Path, options: ExportOptions, texts: PromptTexts) -> Path:
    write_embedded(source, target, texts, options.decoding)
    return target


def _checked(
    checkpoint: Path,
    made: _Exported,
    asked: list[Question],
    below: Path | None,
    tolerance: float,
    say: Say,
) -> dict[str, Any]:
    """How the labels of each file agree with the checkpoint's, which stands on the one `below` if it is an adapter.
    Raises ModelError where they do not enough."""
    *_, final = made.files.values()
    vocabulary = final if made.below is None else made.below.path
    say(f"comparing the labels of {len(asked)} records with the checkpoint's, which transformers runs")
    expected = checkpoint_readings(checkpoint, vocabulary, asked, below)
    found = {}
    for name, path in made.files.items():
        if made.below is None:
            readings = engine_readings(path, asked)
        else:
            readings = engine_readings(made.below.path, asked, adapter=path)
        labels = agreement(expected, readings)
        say(f"{name}: {labels}")
        found[name] = labels._asdict()
        see_alike(name, labels, tolerance)
    return {"labels": found}


def _questions(records: Path, texts: PromptTexts) -> list[Question]:
    @cache
    def prompt(task: str) -> TaskPrompt:
        return prompt_from_texts(task, texts[task])

    return list(islice(questions(records, prompt, {}, lambda one: chosen_order(one, 0)), _MOST_CHECKED))
