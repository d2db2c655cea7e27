"""What a person may name as a set of prompts: a folder, a model, or fare's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from fare_cli.prompting import PromptTexts


def prompt_set(name: str) -> PromptTexts:
    """The prompts of a folder, the ones that a model is judged with, or, for `fare`, those of the package.

    A folder of the name `fare` can be given as `./fare`. Raises UsageError, ModelError.
    """
    from fare_cli.gguf.model_prompts import own_prompt_texts
    from fare_cli.gguf.store import resolve_model
    from fare_cli.prompting import TASK_NAMES, read_prompt_texts

    if name == "fare":
        return read_prompt_texts()
    if Path(name).is_dir():
        texts = read_prompt_texts(Path(name))
        if not texts:
            raise UsageError(f"{name} holds none of the folders {', '.join(TASK_NAMES)}")
        return texts
    return {**read_prompt_texts(), **own_prompt_texts(resolve_model(name).installed_file)}
