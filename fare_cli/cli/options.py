"""The options of `fare judge`, each declared once, and the command functions built from them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import typer
from typer.core import TyperCommand

Format = Literal["auto", "text", "jsonl"]
Split = Literal["lines", "paragraphs"]

_INPUT = "Input"
_OUTPUT = "Output"
_JUDGING = "How to judge"
_MODEL = "Model and machine"
_SERVER = "A server in place of this machine"
_RUN = "The run"
_CLUSTER = "On a cluster"
_LOOK = "Look before running"


def _option(panel: str, *names: str, help: str, metavar: str | None = None, default: str | None = None) -> Any:
    """An option that is None (or empty, or False) when not given; `default` says in words what then holds."""
    text = f"{help}  [default: {default}]" if default else help
    return typer.Option(*names, help=text, metavar=metavar, show_default=False, rich_help_panel=panel)


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What the command line gave. None means not given: a variable, a project file or the default decides then."""

    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="JSONL files, plain or gzip, or Parquet; - is stdin.", show_default=False),
    ]
    map: Annotated[
        list[str],
        _option(
            _INPUT,
            "--map",
            metavar="FIELD=PATH",
            help="Take a field from elsewhere: answer_a=chosen, or a dotted path; repeatable.",
        ),
    ]
    split: Annotated[
        Split | None,
        _option(
            _INPUT, "--split", metavar="lines|paragraphs", help="Cut a plain answer into steps where a record has none."
        ),
    ]
    limit: Annotated[int | None, _option(_INPUT, "--limit", metavar="N", help="Judge only the first N records.")]
    shuffle_seed: Annotated[
        int | None,
        _option(
            _INPUT, "--shuffle-seed", metavar="N", help="Take the records in a random order, the same for the same N."
        ),
    ]
    question: Annotated[
        Path | None,
        _option(_INPUT, "--question", metavar="FILE", help="Judge one record made of text files: its question."),
    ]
    a: Annotated[Path | None, _option(_INPUT, "--a", metavar="FILE", help="The text file with answer A.")]
    b: Annotated[Path | None, _option(_INPUT, "--b", metavar="FILE", help="The text file with answer B.")]
    answer: Annotated[Path | None, _option(_INPUT, "--answer", metavar="FILE", help="The text file with the answer.")]
    reference: Annotated[
        Path | None,
        _option(_INPUT, "--reference", metavar="FILE", help="A text file with a right answer to compare with."),
    ]
    rubric: Annotated[
        Path | None, _option(_INPUT, "--rubric", metavar="FILE", help="The text file that says what the scores mean.")
    ]

    output: Annotated[
        Path | None,
        _option(
            _OUTPUT, "--output", "-o", metavar="FILE", default="stdout", help="Write the verdicts there; - is stdout."
        ),
    ]
    format: Annotated[
        Format,
        _option(
            _OUTPUT,
            "--format",
            metavar="auto|text|jsonl",
            default="auto: text on a terminal, else jsonl",
            help="What verdicts on stdout look like.",
        ),
    ]
    no_record: Annotated[bool, _option(_OUTPUT, "--no-record", help="Leave the input record out of each verdict.")]
    quiet: Annotated[bool, _option(_OUTPUT, "--quiet", "-q", help="Say nothing on stderr but errors.")]
    verbose: Annotated[
        bool, _option(_OUTPUT, "--verbose", "-v", help="Say more on stderr: settings, engine, every invalid record.")
    ]

    mode: Annotated[
        Literal["critique", "direct", "auto"] | None,
        _option(
            _JUDGING,
            "--mode",
            metavar="critique|direct|auto",
            default="critique",
            help="Write a critique first, or give the label at once (many times faster); auto: at once, then a "
            "critique and votes only where that is not certain.",
        ),
    ]
    order: Annotated[
        Literal["both", "ab", "ba"] | None,
        _option(
            _JUDGING, "--order", metavar="both|ab|ba", default="both", help="Which orders of the two answers to ask."
        ),
    ]
    combine: Annotated[
        Literal["agree", "mean"] | None,
        _option(
            _JUDGING,
            "--combine",
            metavar="agree|mean",
            default="agree",
            help="How two orders become one verdict: both must agree, or their log-odds are averaged.",
        ),
    ]
    tie: Annotated[
        bool | None, _option(_JUDGING, "--tie/--no-tie", help="Call it a tie where the two orders disagree.")
    ]
    votes: Annotated[
        str | None,
        _option(
            _JUDGING,
            "--votes",
            metavar="K|auto",
            default="1",
            help="Sample K critiques for each ask and average; auto, which --mode auto goes by: until their majority "
            "is settled, at most 9.",
        ),
    ]
    temperature: Annotated[
        float | None,
        _option(
            _JUDGING,
            "--temperature",
            metavar="T",
            default="0, or 0.7 with several votes",
            help="How freely critiques are sampled; 0 is greedy.",
        ),
    ]
    seed: Annotated[int | None, _option(_JUDGING, "--seed", metavar="N", default="0", help="Seed of the sampling.")]
    max_tokens: Annotated[
        int | None, _option(_JUDGING, "--max-tokens", metavar="N", default="1024", help="Longest critique in tokens.")
    ]
    reasoning: Annotated[
        Literal["off", "low", "medium", "high"] | None,
        _option(
            _JUDGING,
            "--reasoning",
            metavar="off|low|medium|high",
            default="off",
            help="Let a model that can think do so before it answers: at most 512, 2048 or 8192 tokens.",
        ),
    ]
    reasoning_tokens: Annotated[
        int | None,
        _option(
            _JUDGING,
            "--reasoning-tokens",
            metavar="N",
            default="by --reasoning",
            help="End the thinking after N tokens.",
        ),
    ]
    prompts: Annotated[
        Path | None,
        _option(_JUDGING, "--prompts", metavar="DIR", default="fare's own", help="Judge with the prompts in DIR."),
    ]
    calibration: Annotated[
        Path | None,
        _option(
            _JUDGING,
            "--calibration",
            metavar="FILE",
            help="Give calibrated probabilities, by a file that fare eval --calibrate wrote for this judge.",
        ),
    ]
    panel: Annotated[
        str | None,
        _option(
            _JUDGING,
            "--panel",
            metavar="MODEL,MODEL",
            help="Judge with several models, one after the other, and make one verdict of theirs; needs -o.",
        ),
    ]
    panel_rule: Annotated[
        Literal["majority", "mean"] | None,
        _option(
            _JUDGING,
            "--panel-rule",
            metavar="majority|mean",
            default="majority",
            help="How the members' verdicts become one: the label of most, or the greatest mean probability.",
        ),
    ]
    thresholds: Annotated[
        Path | None,
        _option(
            _JUDGING,
            "--thresholds",
            metavar="FILE",
            help="Certainties from which on the stages of --mode auto decide, by a file that fare eval "
            "--learn-thresholds wrote for this judge.",
        ),
    ]

    model: Annotated[
        str | None,
        _option(
            _MODEL,
            "--model",
            "-m",
            metavar="NAME|FILE",
            default="the only one installed",
            help="An installed model, or a GGUF file.",
        ),
    ]
    lora: Annotated[
        Path | None, _option(_MODEL, "--lora", metavar="FILE", help="A LoRA adapter (GGUF) on top of the model.")
    ]
    ctx: Annotated[
        int | None,
        _option(
            _MODEL,
            "--ctx",
            metavar="N",
            default="4096 and room for --max-tokens and --reasoning",
            help="Longest prompt plus thinking and critique in tokens.",
        ),
    ]
    slots: Annotated[
        int | None, _option(_MODEL, "--slots", metavar="N", default="automatic", help="How many asks run side by side.")
    ]
    threads: Annotated[
        int | None, _option(_MODEL, "--threads", metavar="N", default="the physical cores", help="CPU threads.")
    ]
    gpu_layers: Annotated[
        int | None,
        _option(_MODEL, "--gpu-layers", metavar="N", default="automatic", help="Layers on the GPU; -1 is all, 0 none."),
    ]
    gpu_split: Annotated[
        Literal["none", "layer", "row"] | None,
        _option(
            _MODEL,
            "--gpu-split",
            metavar="none|layer|row",
            default="layer",
            help="How several GPUs share a model: by layers, by rows, or one GPU alone.",
        ),
    ]
    kv_type: Annotated[
        Literal["f16", "q8_0"] | None,
        _option(
            _MODEL,
            "--kv-type",
            metavar="f16|q8_0",
            default="f16",
            help="What the cache is kept in; q8_0 takes half the memory and is slower on a CPU.",
        ),
    ]
    deterministic: Annotated[
        bool | None,
        _option(_MODEL, "--deterministic/--no-deterministic", help="Give the same bytes whatever --slots is; slower."),
    ]

    backend: Annotated[
        Literal["local", "http"] | None,
        _option(
            _SERVER,
            "--backend",
            metavar="local|http",
            default="local",
            help="Who judges: a model file here, or the server at --url. Its key is read from FARE_API_KEY.",
        ),
    ]
    url: Annotated[
        str | None,
        _option(
            _SERVER,
            "--url",
            metavar="URL",
            help="A server with OpenAI's protocol. --model then names a GGUF file of its model, for exact prompts; "
            "without one it is asked by chat.",
        ),
    ]
    served_model: Annotated[
        str | None,
        _option(
            _SERVER,
            "--served-model",
            metavar="NAME",
            default="the only one it has",
            help="The server's name for the model.",
        ),
    ]
    concurrency: Annotated[
        int | None,
        _option(
            _SERVER,
            "--concurrency",
            metavar="N",
            default="32",
            help="Requests under way at once, at most; fewer where the server does not bear them.",
        ),
    ]
    timeout: Annotated[
        int | None,
        _option(_SERVER, "--timeout", metavar="S", default="600", help="Seconds after which a request has failed."),
    ]

    journal: Annotated[
        Path | None,
        _option(
            _RUN,
            "--journal",
            metavar="FILE",
            default="beside the output",
            help="Keep the model's replies there, to resume from.",
        ),
    ]
    resume: Annotated[
        bool,
        _option(
            _RUN,
            "--resume/--no-resume",
            default="resume",
            help="Take up replies that an earlier run left, or ask everything again.",
        ),
    ]
    force: Annotated[bool, _option(_RUN, "--force", help="Overwrite the output or the journal of another judge.")]
    strict: Annotated[
        bool | None, _option(_RUN, "--strict/--no-strict", help="Stop at the first record that cannot be judged.")
    ]
    max_invalid: Annotated[
        str | None,
        _option(
            _RUN,
            "--max-invalid",
            metavar="SHARE",
            default="1%",
            help="Exit with code 3 if more records than this cannot be judged.",
        ),
    ]
    max_seconds: Annotated[
        float | None,
        _option(_RUN, "--max-seconds", metavar="S", help="Stop after S seconds; the same command goes on later."),
    ]
    gate: Annotated[
        list[str],
        _option(
            _RUN,
            "--gate",
            metavar="LIMIT",
            help="Stop as soon as it is sure that a limit such as min-win-rate=50% is kept (exit code 0) or broken "
            "(1), with the records in random order; repeatable. See fare gate.",
        ),
    ]
    confidence: Annotated[
        str | None,
        _option(_RUN, "--confidence", metavar="SHARE", default="95%", help="How sure --gate has to be."),
    ]
    isolated: Annotated[bool, _option(_RUN, "--isolated", help="Ignore fare.toml and pyproject.toml.")]

    cluster: Annotated[
        Literal["ray"] | None,
        _option(
            _CLUSTER,
            "--cluster",
            metavar="ray",
            default="this process",
            help="Judge every file as a partition, in workers of a Ray cluster: that of RAY_ADDRESS, else one on this "
            "machine. INPUT may be a folder, and so may -o. Needs pip install 'fare-cli[ray]'.",
        ),
    ]
    workers: Annotated[
        int | None,
        _option(_CLUSTER, "--workers", metavar="N", default="as many as fit", help="Partitions judged side by side."),
    ]
    worker_cpus: Annotated[
        int | None,
        _option(_CLUSTER, "--worker-cpus", metavar="N", default="a fair share", help="CPUs of each worker."),
    ]
    worker_gpus: Annotated[
        float | None, _option(_CLUSTER, "--worker-gpus", metavar="N", default="0", help="GPUs of each worker.")
    ]

    dry_run: Annotated[
        bool, _option(_LOOK, "--dry-run", help="Count records and tokens, estimate time and memory, judge nothing.")
    ]
    explain: Annotated[
        int | None,
        _option(_LOOK, "--explain", metavar="N", help="Show the exact prompt of record N (from 1) and the reply."),
    ]
    profile: Annotated[
        Path | None, _option(_LOOK, "--profile", metavar="FILE", help="Write where the time went, as JSON.")
    ]


# Options that mean something for some tasks only; all others are there for every task.
_ONLY: dict[str, tuple[str, ...]] = {
    "order": ("pairwise",),
    "combine": ("pairwise",),
    "tie": ("pairwise",),
    "a": ("pairwise",),
    "b": ("pairwise",),
    "split": ("step",),
    "answer": ("step", "verify", "score"),
    "rubric": ("score",),
}

# Flags that are settings: the same names in fare_cli.settings.Settings, in FARE_* and in fare.toml.
SETTING_NAMES = (
    "mode", "order", "combine", "tie", "votes", "temperature", "seed", "max_tokens", "reasoning", "reasoning_tokens",
    "prompts", "model", "lora", "ctx", "slots", "threads", "gpu_layers", "gpu_split", "kv_type", "deterministic",
    "backend", "url", "served_model", "concurrency", "timeout", "strict", "max_invalid",
)  # fmt: skip


@cache
def _hints() -> dict[str, Any]:
    """The types of all options; found once, as every command is built at every start."""
    return get_type_hints(JudgeOptions, include_extras=True)


def for_task(task: str, run: Callable[[str, JudgeOptions], int], summary: str) -> Callable[..., int]:
    """A function that typer can turn into the command of `task`: it takes the options that the task knows.

    The others stay as if not given.
    """
    hints = _hints()
    empty: dict[str, Any] = {field.name: _EMPTY.get(field.name) for field in fields(JudgeOptions)}
    names = [name for name in empty if task in _ONLY.get(name, (task,))]

    return as_command(
        {name: (hints[name], empty[name]) for name in names},
        lambda values: run(task, JudgeOptions(**{**empty, **values})),
        summary,
    )


def as_command(
    parameters: Mapping[str, tuple[Any, Any]], run: Callable[[dict[str, Any]], int], summary: str
) -> Callable[..., int]:
    """A function that typer can turn into a command with these parameters (type hint, default): `run` gets their
    values by name."""

    def command(**values: Any) -> int:
        return run(values)

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
            for name, (hint, default) in parameters.items()
        ],
        return_annotation=int,
    )
    command.__annotations__ = {name: hint for name, (hint, _) in parameters.items()}
    command.__doc__ = summary
    return command


# Options of `fare judge` that the help of other commands lists, too; the rest is taken there and not listed, so that a
# help stays one page.
_LISTED_EVERYWHERE = frozenset(
    {"inputs", "map", "limit", "quiet", "mode", "combine", "prompts", "model", "max_invalid", "isolated"}
)


def judge_parameters(names: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """Options of `fare judge` for another command that judges: type hint and default by name."""
    hints = _hints()
    return {
        name: (hints[name] if name in _LISTED_EVERYWHERE else _unlisted(hints[name]), _EMPTY.get(name))
        for name in names
    }


def _unlisted(hint: Any) -> Any:
    type_hint, option = get_args(hint)
    quiet = copy.copy(option)
    quiet.hidden = True
    return Annotated[type_hint, quiet]


def judge_options(values: Mapping[str, Any]) -> JudgeOptions:
    """The options of `fare judge` with these values, the others as if not given."""
    return JudgeOptions(**{**{field.name: _EMPTY.get(field.name) for field in fields(JudgeOptions)}, **values})


_EMPTY: dict[str, Any] = {
    "map": [],
    "gate": [],
    "format": "auto",
    "resume": True,
    **dict.fromkeys(("no_record", "quiet", "verbose", "force", "isolated", "dry_run"), False),
}


_MORE_OPTIONS = (
    "More options of fare judge are taken here, such as --order, --seed, --ctx and --threads: "
    "fare judge pairwise --help explains them."
)


class SectionedCommand(TyperCommand):
    """A command whose help lists its options under their headings (`rich_help_panel`), as plain text.

    Plain, because it reads the same in a pipe, in docs/cli.md and on a screen, and because rich takes 45 ms to import.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if param.param_type_name == "argument":
                shown = f"[{param.metavar}]..." if param.nargs == -1 else str(param.metavar)
                sections["Arguments"] = [(shown, getattr(param, "help", None) or "")]
            elif record := param.get_help_record(ctx):
                heading = getattr(param, "rich_help_panel", None) or "Options"
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=34)
        if any(getattr(param, "hidden", False) for param in self.get_params(ctx)):
            formatter.write_paragraph()
            formatter.write_text(_MORE_OPTIONS)
