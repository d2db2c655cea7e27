"""`fare report`: verdicts as one page for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fare_cli.errors import ExitCode, InputError, UsageError


def report(
    verdicts: Annotated[
        list[Path],
        typer.Argument(
            metavar="VERDICTS...",
            help="JSONL files that fare judge -o or fare eval -o wrote; several become one page.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Write the page there (.html).", show_default=False),
    ],
    blind: Annotated[
        bool,
        typer.Option("--blind", help="Open the page for people's own verdicts, with the judge's hidden at first."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> int:
    """Make one page of verdicts, for people: figures, all records, and a place for their own verdicts and notes.

    The page is one file that works without a network and sends nothing anywhere. Blind verdicts and notes are saved as
    a file of their own (docs/review.md).
    """
    from fare_cli.cli.console import Console
    from fare_cli.viewer.page import write_page

    if output.suffix not in (".html", ".htm"):
        raise UsageError(f"-o {output}: the name must end in .html", f"for example -o {output}.html")
    if any(output.exists() and path.exists() and output.samefile(path) for path in verdicts):
        raise InputError(f"-o {output} is one of the inputs", "choose another name")
    console = Console(quiet=quiet)
    written = write_page(verdicts, output, blind=blind)
    for warning in written.warnings:
        console.say(f"warning: {warning}")
    console.say(f"{output}: {written.records:,} records, {written.bytes / 1e6:.1f} MB")
    return ExitCode.OK
