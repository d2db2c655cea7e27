"""What lies where in a bundle, and what bundle.json says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from fare_cli.gguf.model_prompts import find_prompt, own_prompt_texts
from fare_cli.gguf.notes import ModelNotes
from fare_cli.gguf.split import part_file_names
from fare_cli.prompting import TASK_NAMES, PromptTexts, read_prompt_texts

MANIFEST, SUMS, SETTINGS, CARD = "bundle.json", "SHA256SUMS", "fare.toml", "card.md"
WEIGHTS, PROMPTS = "weights", "prompts"

MOST_FILES = 10_000

PromptPlace = Literal["beside", "inside", "fare"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BundledModel(_Part):
    """A model whose files are `weights/NAME.gguf`, or its `parts` under llama.cpp's names."""

    name: str
    parts: int = Field(ge=1, lt=MOST_FILES)
    sha256: str
    notes: ModelNotes

    @property
    def files(self) -> list[str]:
        """The paths of its files in the bundle, in order."""
        return [f"{WEIGHTS}/{name}" for name in part_file_names(self.name, self.parts)]


class Manifest(_Part):
    """What bundle.json says. `base` is there where `model` is an adapter.

    `prompts` says of each task whose prompt the judge has: its own, kept `beside` the weights or `inside` them, or the
    one that came with `fare`. Those inside the weights are not in the folder, all others are.
    """

    bundle: Literal[1] = 1
    fare: str
    llama_cpp_python: str
    model: BundledModel
    base: BundledModel | None = None
    prompts: dict[str, PromptPlace]


class JudgePrompts(NamedTuple):
    """The prompts of a judge as it is now: their texts but for those inside the weights, and whose they are."""

    texts: PromptTexts
    places: Mapping[str, PromptPlace]


def judge_prompts(model_path: Path) -> JudgePrompts:
    """What the model in a file is judged with when nobody says otherwise. Raises UsageError, ModelError."""
    own, packaged = own_prompt_texts(model_path), read_prompt_texts()
    texts: dict[str, Mapping[str, str]] = {}
    places: dict[str, PromptPlace] = {}
    for task in TASK_NAMES:
        place = find_prompt(task, model_path).place
        assert place != "named"
        places[task] = place
        if place != "inside":
            texts[task] = own[task] if place == "beside" else packaged[task]
    return JudgePrompts(texts, places)


def without_place(notes: ModelNotes) -> ModelNotes:
    """What of a model's notes is true on every machine, apart from what the bundle says elsewhere."""
    return notes.model_copy(update={"base": None, "decoding": {}, "sha256": None, "parts": []})
