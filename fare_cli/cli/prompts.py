"""`fare prompts`: look at the prompts that judge, compare and check them, and bring your own."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from fare_cli.errors import ExitCode, UsageError, visible

if TYPE_CHECKING:
    from fare_cli.prompting import PromptTexts

prompts_app = typer.Typer(help="Prompts: look at those that judge, compare and check them, bring your own.")

_TaskName = Literal["pairwise", "step", "verify", "score"]


@prompts_app.command()
def show(
    task: Annotated[
        _TaskName,
        typer.Argument(metavar="TASK", help="pairwise, step, verify or score.", show_default=False),
    ],
    mode: Annotated[
        Literal["critique", "direct"],
        typer.Option("--mode", metavar="critique|direct", help="Which of the two to show."),
    ] = "critique",
    prompts: Annotated[
        Path | None, typer.Option("--prompts", metavar="DIR", help="Show the prompts in DIR, not fare's own.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|FILE", help="Show the prompts that this model is judged with."),
    ] = None,
) -> int:
    """Print the prompt of a task as the model gets it, with {names} where a record's texts go."""
    from fare_cli.gguf.model_prompts import find_prompt
    from fare_cli.gguf.store import resolve_model
    from fare_cli.identity import JudgingOptions
    from fare_cli.prompting import load_task_prompt
    from fare_cli.tasks.example import example_asks, example_record

    if model is None:
        prompt = load_task_prompt(task, prompts)
    else:
        found = find_prompt(task, resolve_model(model).installed_file, prompts)
        prompt = found.prompt
        _print(f"prompts: {found.source}")
    _print(f"origin: {prompt.origin}")
    _print(f"contract: {prompt.contract}")
    _print(f"fingerprint: {prompt.fingerprint}")
    # With a reference, verify has a prompt of its own.
    for reference in (False, True) if task == "verify" else (False,):
        title = ", with a reference" if reference else ""
        record = example_record(task, reference=reference)
        first = example_asks(prompt, JudgingOptions(mode=mode), record)[0]
        for message in first.messages:
            _print(f"\n--- {message.role}{title} ---\n{message.text}")
    return ExitCode.OK


@prompts_app.command()
def check(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder that holds pairwise/, step/, ...; some of them are enough."),
    ],
) -> int:
    """Check a folder of prompts: files, placeholders, contracts. Exits with 2 if fare cannot judge with it."""
    from fare_cli.prompting import load_task_prompt

    _check(directory)
    for task in get_args(_TaskName):
        if (directory / task).is_dir():
            prompt = load_task_prompt(task, directory)
            _print(f"{task}: fine; fingerprint {prompt.fingerprint}, contract {prompt.contract}")
    return ExitCode.OK


@prompts_app.command()
def diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A folder of prompts, a model (name or file), or fare.")],
    other: Annotated[str, typer.Argument(metavar="B", help="What to compare it with: the same choice.")],
) -> int:
    """Compare two sets of prompts file by file. Exits with 0 if they are equal, with 1 if they differ."""
    from fare_cli.cli.prompt_sets import prompt_set

    lines = list(_difference(prompt_set(one), prompt_set(other), one, other))
    for line in lines:
        _print(line)
    return ExitCode.GATE if lines else ExitCode.OK


@prompts_app.command("import")
def import_prompts(
    source: Annotated[
        Path, typer.Argument(metavar="CARD|DIR", help="A model card (README.md) or a folder of prompts.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME|FILE", help="Install them beside this model, as its own."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write them to this folder, which must be new.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace prompts that the model has already.")] = False,
) -> int:
    """Take prompts out of a model card, or a folder, and install them with a model; or just show what is found."""
    from fare_cli.gguf.model_prompts import install_prompts

    if model is not None and output is not None:
        raise UsageError("--model and -o are two places", "leave one of them out")
    target = _target(model, output, force=force)
    texts = _from_folder(source) if source.is_dir() else _from_card(source)
    if target is None:
        typer.echo("nothing was written: name a model with --model, or a new folder with -o", err=True)
        return ExitCode.OK
    install_prompts(texts, target)
    typer.echo(visible(f"prompts for {', '.join(texts)}: {target}"), err=True)
    return ExitCode.OK


def _target(model: str | None, output: Path | None, *, force: bool) -> Path | None:
    from fare_cli.gguf.notes import prompts_folder
    from fare_cli.gguf.store import resolve_model

    target = prompts_folder(resolve_model(model).installed_file) if model is not None else output
    if target is not None and target.exists() and (output is not None or not force):
        hint = "choose another folder" if output is not None else "replace it with --force"
        raise UsageError(f"{target} is there already", hint)
    return target


def _from_folder(folder: Path) -> PromptTexts:
    from fare_cli.prompting import read_prompt_texts

    _check(folder)
    return read_prompt_texts(folder)


def _from_card(path: Path) -> PromptTexts:
    from fare_cli.gguf.card import find_prompts
    from fare_cli.gguf.model_prompts import card_name, card_report, read_card

    card = read_card(path)
    found = find_prompts(card, card_name(path, card))
    for line in card_report(found):
        _print(line)
    if not found.prompts:
        raise UsageError(f"{path} holds no prompts that fare can use", "write them by hand (docs/prompts.md)")
    return found.prompts


def _check(directory: Path) -> None:
    """Prints everything that is wrong in a folder of prompts and raises UsageError, unless all is well."""
    from fare_cli.prompting import check_prompts

    findings = check_prompts(directory)
    for finding in findings:
        _print(f"{finding.file}: {finding.message}")
    if findings:
        raise UsageError(f"{directory}: {len(findings)} {'problem' if len(findings) == 1 else 'problems'} found")


def _difference(one: PromptTexts, other: PromptTexts, name: str, other_name: str) -> Iterator[str]:
    for task in get_args(_TaskName):
        left, right = one.get(task, {}), other.get(task, {})
        if bool(left) != bool(right):
            yield f"{task}: only in {name if left else other_name}"
            continue
        for file in sorted(left.keys() | right.keys()):
            yield from difflib.unified_diff(
                _lines(left.get(file)),
                _lines(right.get(file)),
                f"{name}: {task}/{file}",
                f"{other_name}: {task}/{file}",
                lineterm="",
            )


def _lines(text: str | None) -> list[str]:
    """The lines of a file as they count in a prompt's fingerprint; none where there is no file."""
    return [] if text is None else text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _print(text: str) -> None:
    """Words of prompts come from anywhere: what could steer the terminal is written out."""
    typer.echo(visible(text))
