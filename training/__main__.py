"""`python -m training VERB`: the tree of verbs. Errors end it as they end `fare`.

A verb's command stands in its own file, except where that file imports the engine or torch: asking for help loads
neither, so `rollout`, `sft`, `export` and `loop` are described here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fare_cli.cli.main import CommandGroup, main, run_app
from fare_cli.cli.options import SectionedCommand
from training import baselines, curate, evaluate, generate, inject
from training.servers import Concurrency, Timeout, server

if TYPE_CHECKING:
    from training.manifest import TrainingManifest

PROGRAM = "python -m training"

_Records = Annotated[Path, typer.Argument(metavar="RECORDS", help="Records with gold labels (JSON Lines).")]
_Output = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write what is made.")]
_Seed = Annotated[int, typer.Option("--seed", help="Decides everything that is left to chance.")]
_Prompts = Annotated[
    Path | None, typer.Option("--prompts", metavar="DIR", help="Prompts in place of the model's own or fare's.")
]
_Tries = Annotated[int, typer.Option("--tries", help="How often each record is judged (the paper: 4).")]
_Temperature = Annotated[float, typer.Option("--temperature", help="Of the sampling (the paper: 0.9).")]
_MaxTokens = Annotated[int, typer.Option("--max-tokens", help="A turn that is longer is cut, and wrong.")]
_DirectShare = Annotated[
    float, typer.Option("--direct-share", help="Share of kept records that become direct judgments.")
]
_Curriculum = Annotated[
    bool, typer.Option("--curriculum/--no-curriculum", help="Order samples from easy to hard, or by chance.")
]
_Force = Annotated[bool, typer.Option("--force", help="Replace what something else has made there.")]


def say(line: str) -> None:
    """Talk goes to stderr."""
    from fare_cli.errors import visible

    typer.echo(visible(line), err=True)


def _tell(manifest: TrainingManifest) -> None:
    """What was made and how much of everything: the paths on stdout, the counts on stderr."""
    for name, count in manifest.counts.items():
        say(f"{name}: {count}")
    for output in manifest.outputs:
        typer.echo(output.file)


def rollout(
    records: _Records,
    output: _Output,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME|FILE.gguf", help="The current policy.", show_default=False)
    ] = None,
    lora: Annotated[
        Path | None, typer.Option("--lora", metavar="FILE.gguf", help="An adapter on top of the policy's model.")
    ] = None,
    prompts: _Prompts = None,
    tries: _Tries = 4,
    temperature: _Temperature = 0.9,
    max_tokens: _MaxTokens = 1024,
    direct_share: _DirectShare = 0.5,
    curriculum: _Curriculum = True,
    from_critiques: Annotated[
        bool,
        typer.Option("--from-critiques", help="Sample nothing: learn the `critique` that records carry (cold start)."),
    ] = False,
    slots: Annotated[int | None, typer.Option("--slots", help="Turns that are written at the same time.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="CPU threads.")] = None,
    ctx: Annotated[int | None, typer.Option("--ctx", help="Tokens that one ask may take, prompt and turn.")] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="A server that serves the policy, such as vLLM (docs/http.md); --model names its file here.",
        ),
    ] = None,
    served_model: Annotated[
        str | None,
        typer.Option("--served-model", metavar="NAME", help="The server's name for the policy, if it has several."),
    ] = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    seed: _Seed = 0,
    force: _Force = False,
) -> None:
    """Sample the policy on records, keep what is right, and write the samples to train on, easy to hard."""
    from training import rollout as rollouts
    from training.policy import LocalPolicy

    options = rollouts.RolloutOptions(
        tries=tries,
        temperature=temperature,
        max_tokens=max_tokens,
        direct_share=direct_share,
        curriculum=curriculum,
        seed=seed,
    )
    behind = server(url, served_model, concurrency, timeout)
    policy = LocalPolicy(
        model, options, prompts_dir=prompts, lora=lora, slots=slots, threads=threads, ctx=ctx, server=behind
    )
    try:
        make = rollouts.from_critiques if from_critiques else rollouts.rollout
        _tell(make(records, output, policy, policy.gguf, options, say=say, force=force))
    finally:
        policy.close()


def sft(
    samples: Annotated[Path, typer.Argument(metavar="SAMPLES", help="Samples to train on, in their order.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write the checkpoint.")],
    model: Annotated[
        str,
        typer.Option("--model", metavar="DIR|NAME|FILE.gguf", help="The current weights: a checkpoint, or a model."),
    ],
    config: Annotated[Path, typer.Option("--config", metavar="FILE.toml", help="How to train; see training/configs.")],
    held_out: Annotated[
        Path | None, typer.Option("--held-out", metavar="FILE", help="Samples whose loss is watched, not trained on.")
    ] = None,
    seed: _Seed = 0,
    force: _Force = False,
) -> None:
    """Train on samples; the loss is of what the judge writes alone. An interrupted training goes on where it was."""
    from training.config import read_config
    from training.packages import hush, need_training_packages

    described = read_config(config)
    need_training_packages()
    hush()
    from training import sft as training

    manifest = training.sft(samples, output, model, described, held_out=held_out, seed=seed, say=say, force=force)
    if manifest is not None:
        _tell(manifest)


def export(
    checkpoint: Annotated[Path, typer.Argument(metavar="DIR", help="A checkpoint, or a LoRA adapter.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.gguf", help="Where to write the model.")],
    type: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="Q8_0, Q4_K_M or another of `fare models quantize`.")
    ] = "Q8_0",
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="DIR", help="The prompts it was trained with, if not fare's own."),
    ] = None,
    decoding: Annotated[
        list[str] | None,
        typer.Option("--decoding", metavar="OPTION=VALUE", help="A judging option to be its default; repeatable."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="RECORDS", help="Compare the labels of these records with the checkpoint's."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Share of labels that the quantised file may give otherwise.")
    ] = 0.1,
    keep_unquantised: Annotated[
        bool, typer.Option("--keep-unquantised", help="Write the unquantised file, too.")
    ] = False,
    base: Annotated[
        str | None, typer.Option("--base", metavar="NAME|FILE.gguf", help="The model that an adapter stands on.")
    ] = None,
    base_checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--base-checkpoint",
            metavar="DIR",
            help="The checkpoint it was trained on.  [default: --base, turned back into one]",
            show_default=False,
        ),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(
            "--rank",
            metavar="N",
            min=1,
            help="Make an adapter of rank N on --base out of a checkpoint trained in full.",
        ),
    ] = None,
    force: _Force = False,
) -> None:
    """Make a GGUF file that judges out of a checkpoint, with its prompts inside."""
    from fare_cli.cli.embed import decoding_options
    from fare_cli.errors import UsageError
    from training import export as exports
    from training.packages import hush, need_training_packages

    need_training_packages()
    hush()

    if base is None:
        for name, given in (("--base-checkpoint", base_checkpoint), ("--rank", rank)):
            if given is not None:
                raise UsageError(f"{name} is about an adapter, and nothing is named that it stands on", "add --base")
    options = exports.ExportOptions(
        type=type,
        prompts_dir=prompts,
        decoding=decoding_options(decoding or []),
        keep_unquantised=keep_unquantised,
        tolerance=tolerance,
    )
    below = None if base is None else exports.Base(base, base_checkpoint, rank)
    _tell(exports.export(checkpoint, output, options, base=below, check=check, say=say, force=force))


def loop(
    records: _Records,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for all that is made.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME|FILE.gguf", help="The model to start from.")],
    config: Annotated[Path, typer.Option("--config", metavar="FILE.toml", help="How to train each iteration.")],
    iterations: Annotated[
        int, typer.Option("--iterations", help="Disjoint batches that the records are cut into.")
    ] = 2,
    cold_start: Annotated[
        Path | None, typer.Option("--cold-start", metavar="RECORDS", help="Records with critiques to learn first.")
    ] = None,
    prompts: _Prompts = None,
    tries: _Tries = 4,
    temperature: _Temperature = 0.9,
    max_tokens: _MaxTokens = 1024,
    direct_share: _DirectShare = 0.5,
    curriculum: _Curriculum = True,
    restart: Annotated[
        bool, typer.Option("--restart", help="Train each iteration from the start again, to compare with.")
    ] = False,
    type: Annotated[str, typer.Option("--type", metavar="TYPE", help="The type of the judge's GGUF file.")] = "Q8_0",
    held_out: Annotated[
        list[Path] | None,
        typer.Option("--held-out", metavar="FILE", help="Records to measure each iteration on (evaluate); repeatable."),
    ] = None,
    mode: Annotated[
        Literal["critique", "direct"], typer.Option("--mode", help="How held-out records are judged.")
    ] = "critique",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and what it would take.")] = False,
    seed: _Seed = 0,
    force: _Force = False,
) -> None:
    """Sample, keep what is right, train, and again, on disjoint batches; at the end stands a judge."""
    from training.config import read_config
    from training.packages import hush, need_training_packages

    described = read_config(config)
    need_training_packages()
    hush()
    from training import loop as loops
    from training.rollout import RolloutOptions

    sampling = RolloutOptions(
        tries=tries,
        temperature=temperature,
        max_tokens=max_tokens,
        direct_share=direct_share,
        curriculum=curriculum,
        seed=seed,
    )
    options = loops.LoopOptions(
        iterations=iterations, rollout=sampling, restart=restart, type=type, prompts_dir=prompts
    )
    if dry_run:
        from training.foreseen import foreseen

        for line in foreseen(records, output, model, described, options, cold_start=cold_start, say=say):
            typer.echo(line)
        return
    flags = {"mode": mode, "max_tokens": max_tokens, "prompts": prompts}
    measure = evaluate.measuring(held_out or [], output, flags, say, force=force)
    made = loops.loop(
        records, output, model, described, options, cold_start=cold_start, measure=measure, say=say, force=force
    )
    _tell(made)


_VERBS: dict[str, Callable[..., int | None]] = {
    "curate": curate.command,
    "inject": inject.command,
    "generate": generate.command,
    "rollout": rollout,
    "sft": sft,
    "export": export,
    "loop": loop,
    "baselines": baselines.command,
}


def build_app() -> Any:
    """All verbs as one click command."""
    about = "The recipe of FARE, end to end: data to checkpoint to a judge that fare runs (docs/training.md)."
    app = typer.Typer(cls=CommandGroup, add_completion=False, rich_markup_mode=None, help=about)
    app.callback()(lambda: None)
    for name, verb in _VERBS.items():
        app.command(name)(verb)
    app.command("evaluate", cls=SectionedCommand)(evaluate.command())
    return typer.main.get_command(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a verb (default: that of the process's arguments). Everything is already said on stderr."""
    return run_app(build_app, PROGRAM, arguments)


if __name__ == "__main__":
    main(run)
