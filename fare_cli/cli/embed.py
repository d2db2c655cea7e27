"""`fare models embed-prompts`: prompts and judging options into a GGUF file, or out of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fare_cli.errors import ExitCode, ModelError, UsageError, visible

if TYPE_CHECKING:
    from fare_cli.prompting import PromptTexts


def embed_prompts(
    model: Annotated[str, typer.Argument(help="The name of an installed model, or the path of a GGUF file.")],
    prompts: Annotated[
        str | None,
        typer.Option(
            "--prompts",
            metavar="DIR|MODEL|fare",
            help="The prompts to carry; without it, those that the model brings already.",
        ),
    ] = None,
    decoding: Annotated[
        list[str] | None,
        typer.Option(
            "--decoding",
            metavar="OPTION=VALUE",
            help="A judging option that is to be this judge's default: max_tokens=4096; repeatable.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take prompts and options out of the file instead.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.gguf", help="Write the new file there.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Install the new file as a model of this name.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there, even the model.")] = False,
) -> int:
    """Write a model anew with prompts and judging options inside, so that the file is a whole judge by itself."""
    from fare_cli.cli.prompt_sets import prompt_set
    from fare_cli.gguf.embedded import write_embedded
    from fare_cli.gguf.model_prompts import own_prompt_texts
    from fare_cli.gguf.notes import prompts_folder
    from fare_cli.gguf.store import resolve_model

    if remove and (prompts or decoding):
        raise UsageError("--remove takes everything out", "leave --prompts and --decoding away, or --remove")
    source = resolve_model(model).installed_file
    target = _target(source, output, name, force=force)
    texts: PromptTexts = {}
    options: dict[str, Any] = {}
    if not remove:
        texts = _checked(prompt_set(prompts) if prompts else own_prompt_texts(source))
        options = _joined_decoding(source, decoding_options(decoding or []))
        if not texts and not options:
            raise UsageError(
                f"{model} brings no prompts of its own", "name some with --prompts, or a --decoding option"
            )
    if name is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    write_embedded(source, target, texts, options)
    if name is not None:
        _keep_notes(source, target)
    _say(f"prompts carried: {', '.join(texts) or 'none'}")
    _say(f"decoding carried: {', '.join(f'{key}={value}' for key, value in options.items()) or 'none'}")
    if prompts_folder(target).exists():
        _say(f"note: {prompts_folder(target).name} lies beside the file and counts before what the file carries")
    typer.echo(f"{name}\t{target}" if name else str(target))
    return ExitCode.OK


def _say(line: str) -> None:
    typer.echo(visible(line), err=True)


def _target(source: Path, output: Path | None, name: str | None, *, force: bool) -> Path:
    from fare_cli.gguf.store import models_folder

    if (output is None) == (name is None):
        raise UsageError("where to?", "give a file with -o FILE.gguf, or --name NAME to install it as a model")
    if name is not None:
        if not re.fullmatch(r"\w[\w.+-]*", name):
            raise UsageError(f"--name {name!r} is no name for a model", "letters, digits, and . _ + - are")
        output = models_folder() / f"{name}.gguf"
    assert output is not None
    if output.is_dir():
        raise UsageError(f"{output} is a folder", "name a file in it")
    if output.suffix != ".gguf":
        raise UsageError(f"-o {output}: the name must end in .gguf", f"for example -o {output}.gguf")
    if output.exists() and not force:
        raise UsageError(f"{output} is there already", "choose another, or replace it with --force")
    return output


def _checked(texts: PromptTexts) -> PromptTexts:
    from fare_cli.prompting import prompt_from_texts

    for task, files in texts.items():
        prompt_from_texts(task, files)
    return texts


def decoding_options(pairs: list[str]) -> dict[str, Any]:
    """`max_tokens=4096` as JSON gives it; what is no JSON is text (`mode=direct`)."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise UsageError(f"--decoding {pair!r} is not OPTION=VALUE", "for example --decoding max_tokens=4096")
        try:
            options[key.replace("-", "_")] = json.loads(value)
        except ValueError:
            options[key.replace("-", "_")] = value
    return options


def _joined_decoding(source: Path, given: dict[str, Any]) -> dict[str, Any]:
    """What the model brings already, and over it what was given."""
    from fare_cli.gguf.model_prompts import own_decoding
    from fare_cli.settings import check_model_defaults

    own = own_decoding(source)
    check_model_defaults(*own)
    options = {**own.options, **given}
    try:
        check_model_defaults(options, {**own.origins, **dict.fromkeys(given, "--decoding")})
    except ModelError as error:
        raise UsageError(error.message, error.hint) from None
    return options


def _keep_notes(source: Path, target: Path) -> None:
    """What is known of an installed model (its licence above all) holds for the new one, too; not its checksum."""
    from fare_cli.gguf.notes import ModelNotes, read_notes, write_notes
    from fare_cli.gguf.store import model_sha256, models_folder

    notes = read_notes(source) if source.parent == models_folder() else ModelNotes()
    decoding = notes.decoding if source == target else {}
    write_notes(target, notes.model_copy(update={"decoding": decoding, "sha256": model_sha256(target)}))
