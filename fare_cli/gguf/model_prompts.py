"""The prompts and the decoding that a model brings along: which of them hold, and installing prompts with a model.

Prompts of a task are taken from the first of these that has them: a folder that the user names, the folder installed
beside the model (`NAME.prompts`), the GGUF file itself, for an installed adapter the same two of its base, fare's own.
What is there and broken is an error; it never makes way for the next.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fare_cli.errors import EnvironmentFault, ModelError, UsageError, visible
from fare_cli.gguf.card import CardPrompts, find_prompts
from fare_cli.gguf.embedded import DECODING_KEY, PROMPTS_KEY, embedded_decoding, embedded_prompts
from fare_cli.gguf.notes import card_file, notes_file, prompts_folder, read_notes
from fare_cli.gguf.store import base_of, models_folder
from fare_cli.prompting import (
    TASK_NAMES,
    PromptTexts,
    TaskPrompt,
    load_task_prompt,
    prompt_from_texts,
    read_prompt_texts,
)

Place = Literal["named", "beside", "inside", "fare"]

_LONGEST_CARD_BYTES = 2 << 20
_WAY_OUT = "judge with --prompts DIR, or take them out of the file: fare models embed-prompts MODEL --remove -o FILE"


class FoundPrompt(NamedTuple):
    """The prompt of a task that holds for a model; `source` says in one line, for people, whose it is."""

    prompt: TaskPrompt
    place: Place
    source: str


class Decoding(NamedTuple):
    """Judging options that are a model's own, and for each where it stands."""

    options: Mapping[str, Any]
    origins: Mapping[str, str]


def find_prompt(task: str, model_path: Path | None, prompts_dir: Path | None = None) -> FoundPrompt:
    """The prompt of `task` for a model: from `prompts_dir` if given, else the model's own, else fare's.

    `model_path` is the adapter's file where there is one (`ModelFile.installed_file`), None for a model of which there
    is no file here. Raises UsageError for a folder
    and ModelError for a GGUF file whose prompts cannot be used.
    """
    if prompts_dir is not None:
        return FoundPrompt(load_task_prompt(task, prompts_dir), "named", f"from {prompts_dir}")
    brought_tasks: set[str] = set()
    for file in () if model_path is None else _files(model_path):
        folder = prompts_folder(file)
        beside = _tasks_in(folder)
        if task in beside:
            prompt = load_task_prompt(task, folder)
            return FoundPrompt(prompt, "beside", f"installed with the model in {folder.name}")
        inside = embedded_prompts(file)
        if task in inside:
            try:
                prompt = prompt_from_texts(task, inside[task])
            except UsageError as error:
                raise ModelError(f"{file}: {PROMPTS_KEY}: {error.message}", _WAY_OUT) from None
            return FoundPrompt(prompt, "inside", f"carried in {file.name}")
        brought_tasks.update(beside, inside)
    others = [name for name in TASK_NAMES if name in brought_tasks]
    brought = f"; the model brings prompts for {', '.join(others)} only" if others else ""
    return FoundPrompt(load_task_prompt(task), "fare", f"fare's own; the weights were not trained with them{brought}")


def own_prompt_texts(model_path: Path) -> PromptTexts:
    """The files of the prompts that a model brings, task by task: those beside it, else those in it, {} if none."""
    texts: dict[str, Mapping[str, str]] = {}
    for file in reversed(_files(model_path)):
        folder = prompts_folder(file)
        texts |= embedded_prompts(file)
        texts |= read_prompt_texts(folder) if _tasks_in(folder) else {}
    return texts


def own_decoding(model_path: Path) -> Decoding:
    """The judging options that a model brings: those in its GGUF file, over them those in the notes beside it.

    Notes count for installed models only: elsewhere a file of that name may be anybody's. Raises ModelError.
    """
    options: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for file in reversed(_files(model_path)):
        inside = embedded_decoding(file)
        noted = read_notes(file).decoding if file.absolute().parent == models_folder() else {}
        options |= {**inside, **noted}
        origins |= dict.fromkeys(inside, f"{file}: {DECODING_KEY}")
        origins |= dict.fromkeys(noted, f"{notes_file(file)}: decoding")
    return Decoding(options, origins)


def read_card(path: Path) -> str:
    """The text of a model card. Raises UsageError for what is no text, or longer than any card."""
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_CARD_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})") from None
    if len(data) > _LONGEST_CARD_BYTES:
        raise UsageError(f"{path} is longer than {_LONGEST_CARD_BYTES:,} bytes: not a model card")
    return text


def take_card_prompts(model_path: Path, say: Callable[[str], None]) -> None:
    """Makes the prompts in the card beside a model, if there is one, those that it is asked with; a card that cannot be
    read changes nothing."""
    card = card_file(model_path)
    if not card.is_file():
        return
    try:
        install_card_prompts(card, model_path, say)
    except UsageError as error:
        say(f"prompts: none were taken from the card: {error.message}")


def install_card_prompts(card_path: Path, model_path: Path, say: Callable[[str], None]) -> list[str]:
    """Installs the prompts that a model's card holds beside the model; the tasks they are for, [] if there are none.

    `say` is told what was found and what was left out. Prompts that are there already are kept. Raises UsageError for
    a card that cannot be read, EnvironmentFault where the disk does not take the prompts.
    """
    folder = prompts_folder(model_path)
    if os.path.lexists(folder):
        say(f"prompts: {folder.name} is there already and is kept; fare prompts import replaces it with --force")
        return []
    card = read_card(card_path)
    found = find_prompts(card, card_name(card_path, card, read_notes(model_path).source))
    for line in card_report(found):
        say(line)
    if found.prompts:
        install_prompts(found.prompts, folder)
        say(f"prompts: those of the card are installed with the model, in {folder.name}; see fare prompts show")
    else:
        say("prompts: the card has none that fare can use")
    return list(found.prompts)


def card_name(card_path: Path, card: str, source: str | None = None) -> str:
    """How a card is named in the origin of its prompts: where it was brought from, if known, and its checksum."""
    checksum = hashlib.sha256(card.encode()).hexdigest()[:16]
    return f"{source or card_path.name} (sha256 of the card {checksum}...)"


def card_report(found: CardPrompts) -> list[str]:
    """What a card holds, as lines for people: each prompt's words, where they stand, and what was left out."""
    lines = [f"found: {line}" for line in found.taken]
    for task, files in found.prompts.items():
        for name in ("system.txt", "critique.txt", "user.txt"):
            lines += [f"{task}/{name}:", *(f"  | {line}" for line in files[name].splitlines())]
    return [visible(line) for line in (*lines, *(f"left out: {line}" for line in found.left_out))]


def install_prompts(texts: PromptTexts, folder: Path) -> None:
    """Puts prompts into `folder` in one step; what lay there before is replaced. Raises UsageError if they are wrong,
    EnvironmentFault where the disk does not take them."""
    for task, files in texts.items():
        prompt_from_texts(task, files)
    made = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        try:
            for task, files in texts.items():
                (made / task).mkdir(parents=True)
                for name, text in files.items():
                    (made / task / name).write_text(text, encoding="utf-8", newline="")
            _replace_folder(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be written: {error.strerror or error}") from None


def _replace_folder(made: Path, folder: Path) -> None:
    """A rename cannot replace a folder that holds anything: the old one steps aside first."""
    if not folder.exists():
        made.rename(folder)
        return
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    folder.rename(aside)
    try:
        made.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _files(model_path: Path) -> tuple[Path, ...]:
    """The files that may bring something, the nearest first: an installed adapter is followed by its base."""
    base = read_notes(model_path).base if model_path.absolute().parent == models_folder() else None
    return (model_path,) if base is None else (model_path, base_of(model_path, base))


def _tasks_in(folder: Path) -> list[str]:
    """The tasks for which prompts were installed. Raises UsageError for something of that name that holds none."""
    if not os.path.lexists(folder):
        return []
    tasks = [task for task in TASK_NAMES if (folder / task).is_dir()]
    if not tasks:
        raise UsageError(
            f"{folder} is meant to hold prompts, and has none of the folders {', '.join(TASK_NAMES)}",
            "mend or delete it",
        )
    return tasks
