"""`fare data`: what goes in and what comes out."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

data_app = typer.Typer(help="Data files: what goes in and what comes out.")

_Shape = Literal["verdict", "pairwise", "step", "verify", "score"]


@data_app.callback()
def _group() -> None:
    """Data files: what goes in and what comes out."""


@data_app.command()
def schema(
    shape: Annotated[
        _Shape,
        typer.Argument(
            metavar="verdict|pairwise|step|verify|score",
            help="A line of output, or a line of input of that task.",
            show_default=False,
        ),
    ],
) -> int:
    """Print the JSON Schema of one line of input or output."""
    import json

    from fare_cli.records import record_schema, verdict_schema

    document = verdict_schema() if shape == "verdict" else record_schema(shape)
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    return 0
