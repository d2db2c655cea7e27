"""`fare models build`: a model that judges, made here from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from fare_cli.gguf.building import Importance


def build_model(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A name that `fare models list` shows with `build`, a folder with a checkpoint (config.json, "
            "tokenizer, safetensors), or hf:OWNER/REPOSITORY[@REVISION].",
            show_default=False,
        ),
    ],
    type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Q4_K_M, Q8_0, MXFP4, BF16, F32 or another type that `fare models quantize` makes.  "
            "[default: Q4_K_M, or MXFP4 for gpt-oss]",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="NAME", help="Install it under this name.  [default: SOURCE-TYPE]", show_default=False
        ),
    ] = None,
    lora: Annotated[
        Path | None,
        typer.Option(
            "--lora", metavar="DIR", help="Put the LoRA adapter in this folder (PEFT) on top; that is the model then."
        ),
    ] = None,
    imatrix: Annotated[
        Path | None,
        typer.Option("--imatrix", metavar="FILE", help="Keep best what matters most on the prompts of these records."),
    ] = None,
    task: Annotated[
        Literal["pairwise", "step", "verify", "score"] | None,
        typer.Option("--task", metavar="pairwise|step|verify|score", help="What the records of --imatrix are."),
    ] = None,
    compare: Annotated[
        bool | None,
        typer.Option(
            "--compare/--no-compare",
            help="Compare the result with the checkpoint, run by transformers.  [default: where it fits the memory]",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the download and the converted file, to make other types of them.")
    ] = False,
    converter: Annotated[
        Path | None,
        typer.Option(
            "--converter", metavar="FILE", help="Take the converter from this source package of llama-cpp-python."
        ),
    ] = None,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Accept a licence that restricts what the model may be used for.")
    ] = False,
) -> None:
    """Make a model out of safetensors: download, convert, quantise, try, compare, install.

    Needs the packages of `pip install 'fare-cli[convert]'`. An interrupted build goes on where it was.
    """
    import sys

    from fare_cli.cli.downloading import DownloadDisplay
    from fare_cli.gguf.building import BuildOptions, build

    options = BuildOptions(type=type, name=name, lora=lora, converter=converter, compare=compare, keep=keep)
    if (imatrix is None) != (task is None):
        raise UsageError("--imatrix and --task go together", "--task says what the records are")
    is_asked = sys.stdin.isatty() and sys.stderr.isatty()
    with DownloadDisplay(live=sys.stderr.isatty()) as display:
        if imatrix is not None and task is not None:
            options = replace(options, importance=_importance(imatrix, task, display.say))
        model = build(
            source,
            options=options,
            accept_licence=accept_license or (display.ask if is_asked else False),
            say=display.say,
            show=display.show,
        )
    typer.echo(f"{model.name}\t{model.path}")


def _importance(records: Path, task: str, say: Callable[[str], None]) -> Importance:
    """What matters on these records, measured on the converted model with the prompts that it would be asked with."""
    from fare_cli.gguf.building import Importance
    from fare_cli.gguf.store import file_sha256
    from fare_cli.run.lines import check_inputs
    from fare_cli.run.reader import InputPlan

    check_inputs([str(records)])

    def measure(converted: Path) -> Path:
        from fare_cli.judge import Judge
        from fare_cli.studies.importance import importance_file

        return importance_file(Judge.open(converted), InputPlan(task, (str(records),)), say=say)

    return Importance(file_sha256(records), measure)
