"""`fare prompts`: look at the prompts that judge, and check your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from fare_cli.errors import ExitCode, UsageError

prompts_app = typer.Typer(help="Prompts: look at those that judge, and check your own.")

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
) -> int:
    """Print the prompt of a task as the model gets it, with {names} where a record's texts go."""
    from fare_cli.identity import JudgingOptions
    from fare_cli.prompting import load_task_prompt
    from fare_cli.tasks.example import example_asks, example_record

    prompt = load_task_prompt(task, prompts)
    typer.echo(f"origin: {prompt.origin}")
    typer.echo(f"contract: {prompt.contract}")
    typer.echo(f"fingerprint: {prompt.fingerprint}")
    # With a reference, verify has a prompt of its own.
    for reference in (False, True) if task == "verify" else (False,):
        title = ", with a reference" if reference else ""
        record = example_record(task, reference=reference)
        first = example_asks(prompt, JudgingOptions(mode=mode), record)[0]
        for message in first.messages:
            typer.echo(f"\n--- {message.role}{title} ---\n{message.text}")
    return ExitCode.OK


@prompts_app.command()
def check(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder that holds pairwise/, step/, ...; some of them are enough."),
    ],
) -> int:
    """Check a folder of prompts: files, placeholders, contracts. Exits with 2 if fare cannot judge with it."""
    from fare_cli.prompting import check_prompts, load_task_prompt

    findings = check_prompts(directory)
    for finding in findings:
        typer.echo(f"{finding.file}: {finding.message}")
    if findings:
        raise UsageError(f"{directory}: {len(findings)} {'problem' if len(findings) == 1 else 'problems'} found")
    for task in get_args(_TaskName):
        if (directory / task).is_dir():
            prompt = load_task_prompt(task, directory)
            typer.echo(f"{task}: fine; fingerprint {prompt.fingerprint}, contract {prompt.contract}")
    return ExitCode.OK
