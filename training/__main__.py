"""`python -m training VERB`: the tree of verbs."""

from __future__ import annotations

import sys

import typer

from fare_cli.errors import FareError
from training import curate, inject


def run(arguments: list[str] | None = None) -> int:
    """The exit code of a verb; errors are said on stderr."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
    app.callback()(_root)
    app.command("curate")(curate.command)
    app.command("inject")(inject.command)
    try:
        return int(app(arguments, standalone_mode=False) or 0)
    except FareError as error:
        typer.echo(f"error: {error.message}", err=True)
        if error.hint:
            typer.echo(f"hint: {error.hint}", err=True)
        return int(error.exit_code)


def _root() -> None:
    """Train a judge: data to checkpoint to GGUF."""


if __name__ == "__main__":
    sys.exit(run())
