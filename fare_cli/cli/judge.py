"""`fare judge`: records in, verdicts out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from fare_cli.cli.cluster import check_cluster, judge_on_cluster
from fare_cli.cli.console import (
    Console,
    ProgressDisplay,
    may_colour,
    printable,
    summary_lines,
    verdict_line,
)
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, SectionedCommand, for_task
from fare_cli.cli.panel import judge_panel, panel_models
from fare_cli.cli.source import input_plan
from fare_cli.cli.stopping import StopSignals
from fare_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.asks import Backend
    from fare_cli.gate.watching import RunGate
    from fare_cli.judge import Judge
    from fare_cli.run.reader import InputPlan
    from fare_cli.run.runner import Outcome, RunPlan
    from fare_cli.settings import Settings
    from fare_cli.verdicts import Verdict

_SUMMARIES = {
    "pairwise": "Say which of two answers is better.",
    "step": "Find the first wrong step of a solution.",
    "verify": "Say whether an answer is right.",
    "score": "Rate an answer by a rubric.",
}

judge_app = typer.Typer(help="Judge records: the main job.")


def _judge(task: str, options: JudgeOptions) -> int:
    from fare_cli.settings import load_settings
    from fare_cli.tasks import check_options

    _check(options)
    check_cluster(options)
    settings = load_settings({name: getattr(options, name) for name in SETTING_NAMES}, isolated=options.isolated)
    check_options(task, settings.judging_options())
    source = input_plan(task, options)
    gate = _gate(task, options, settings)
    console = Console(quiet=options.quiet, verbose=options.verbose)
    if options.dry_run and settings.backend == "http":
        raise UsageError("--dry-run measures this machine, and --backend http judges elsewhere")
    if settings.gpu_layers != 0 and settings.backend == "local":
        say_idle_gpu(console)
    if models := panel_models(options):
        if settings.backend == "http":
            raise UsageError("--panel names models on this machine, and --backend http asks a server")
        return _panel(models, source, options, settings, console)
    settings = with_own_decoding(settings, settings.model)
    with open_judge(settings, calibration=options.calibration, thresholds=options.thresholds) as judge:
        if options.explain is not None:
            from fare_cli.cli.explain import explain

            return explain(judge, source, options.explain, console)
        if options.dry_run:
            from fare_cli.cli.estimate import estimate

            return estimate(judge, source, options.limit, console)
        if options.cluster is not None:
            return judge_on_cluster(_plan(judge, source, settings, options), settings, options, console)
        if gate is not None:
            source = _in_random_order(source)
        return _run(judge, _plan(judge, source, settings, options), options, console, gate)


for _task, _summary in _SUMMARIES.items():
    judge_app.command(_task, cls=SectionedCommand)(for_task(_task, _judge, _summary))


def _check(options: JudgeOptions) -> None:
    """Raises UsageError for options that do not go together."""
    to_file = options.output is not None and str(options.output) != "-"
    if to_file and options.format != "auto":
        raise UsageError("--format is for verdicts on stdout", "a file given with -o always gets JSONL")
    if options.explain is not None and options.dry_run:
        raise UsageError("--explain and --dry-run are two commands", "leave one of them out")
    if options.explain is not None and options.explain < 1:
        raise UsageError(f"--explain {options.explain}: records are counted from 1")
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit {options.limit}: must be 1 or more")
    if options.max_seconds is not None and not 0 < options.max_seconds < float("inf"):
        raise UsageError(f"--max-seconds {options.max_seconds}: must be a number above 0")
    if options.profile is not None and not options.profile.absolute().parent.is_dir():
        raise InputError(f"the folder of --profile {options.profile} does not exist")
    if options.confidence is not None and not options.gate:
        raise UsageError("--confidence says how sure --gate has to be", "add --gate LIMIT")
    if options.gate and options.no_record:
        raise UsageError(
            "--gate and --no-record cannot go together", "its intervals go by questions, which stand in the records"
        )
    if options.quiet and options.verbose:
        raise UsageError("--quiet and --verbose contradict each other")


def _panel(models: list[str], source: InputPlan, options: JudgeOptions, settings: Settings, console: Console) -> int:
    """Every model judges with the settings, and with what it brings along where they leave something open."""

    def opened(model: str) -> Judge:
        return open_judge(with_own_decoding(settings, model), model)

    def judged(judge: Judge, own: JudgeOptions) -> RunPlan:
        plan = _plan(judge, source, settings, own)
        _run(judge, plan, own, console, None)
        return plan

    return judge_panel(models, source, options, opened, judged, console)


def _gate(task: str, options: JudgeOptions, settings: Settings) -> RunGate | None:
    """The gate that may stop the run; None without --gate. Raises UsageError for limits that cannot be."""
    if not options.gate:
        return None
    from fare_cli.gate.measures import check_task, parse_limit, read_confidence
    from fare_cli.gate.watching import RunGate

    limits = []
    for text in options.gate:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise UsageError(f"--gate {text!r} is not LIMIT=VALUE", "for example --gate min-win-rate=50%")
        limits.append(parse_limit(name, value))
    check_task(limits, task)
    return RunGate(limits, confidence=read_confidence(options.confidence), max_invalid=settings.max_invalid)


def _in_random_order(source: InputPlan) -> InputPlan:
    """The input as a gate needs it: questions in a random order, which is fixed before anything is judged."""
    if source.records:
        raise UsageError("--gate is about many records", "name JSONL files")
    return replace(source, by_cluster=True, shuffle_seed=source.shuffle_seed or 0)


def with_own_decoding(settings: Settings, model: str | Path | None) -> Settings:
    """The settings with the options that a model brings, where nothing else was said; a server brings none. Raises
    UsageError for settings that do not go together."""
    from fare_cli.cli.served import server_of

    server_of(settings)
    if model is None and settings.backend == "http":
        return settings
    from fare_cli.gguf.model_prompts import own_decoding
    from fare_cli.gguf.store import resolve_model
    from fare_cli.settings import with_model_defaults

    return with_model_defaults(settings, *own_decoding(resolve_model(model).installed_file))


def say_idle_gpu(console: Console, root: Path = Path("/")) -> None:
    """Says that there is a GPU which the engine's build cannot use, and how to mend it. `root` is where the machine's
    files are."""
    from fare_cli.engine.devices import gpu_backends, idle_gpu
    from fare_cli.machine import gpus

    idle = idle_gpu(gpus(root), gpu_backends())
    if idle is not None:
        console.say(f"warning: {idle.message}")
        console.say(f"hint: {idle.install}")


def open_judge(
    settings: Settings,
    model: str | Path | None = None,
    *,
    calibration: Path | None = None,
    thresholds: Path | None = None,
) -> Judge:
    """The judge of these settings, or another model judging with them; its weights are not loaded yet."""
    from fare_cli.cli.served import server_of
    from fare_cli.judge import Judge

    return Judge.open(
        model or settings.model,
        options=settings.judging_options(),
        prompts_dir=settings.prompts,
        lora=settings.lora,
        ctx=settings.ctx,
        slots=settings.slots,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
        gpu_split=settings.gpu_split,
        kv_type=settings.kv_type,
        deterministic=settings.deterministic,
        calibration=calibration,
        server=server_of(settings),
        thresholds=thresholds,
    )


def _plan(judge: Judge, source: InputPlan, settings: Settings, options: JudgeOptions) -> RunPlan:
    from fare_cli.run.runner import RunPlan

    return RunPlan(
        source=source,
        task=judge.task(source.task),
        identity=judge.identity(source.task),
        output=None if options.output is None or str(options.output) == "-" else options.output,
        journal=options.journal,
        resume=options.resume,
        force=options.force,
        strict=settings.strict,
        max_invalid=settings.max_invalid,
        limit=options.limit,
        max_seconds=options.max_seconds,
        include_record=not options.no_record,
    )


def _run(judge: Judge, plan: RunPlan, options: JudgeOptions, console: Console, gate: RunGate | None) -> int:
    from fare_cli.run.runner import run

    signals = StopSignals()
    form = _format(plan, options)
    shown = ProgressDisplay(console, live=sys.stderr.isatty() and not (form == "jsonl" and sys.stdout.isatty()))
    _say_what_runs(judge, plan, console)

    def open_backend() -> Backend:
        console.say(f"loading {printable(judge.name)}" if judge.server is None else f"asking {judge.server.root}")
        signals.backend = backend = judge.backend()
        # A signal that came while llama.cpp was loading was lost in one of its callbacks.
        signals.check()
        tuned = str(backend.info.engine.get("tuned")).split(", ")
        for name, value in backend.info.engine.items():
            console.detail(f"engine: {name} {value}{' (tuned)' if name in tuned else ''}")
        if backend.info.engine.get("injection_guard") is False:
            console.say(
                "warning: the server takes no token ids: special strings in records are broken up, not ruled out"
            )
        return backend

    print_verdict = _verdict_printer(form, plan.include_record)

    def emit(verdict: Verdict) -> None:
        signals.check()
        if verdict.status == "invalid":
            console.detail(printable(verdict_line(verdict, colour=False)))
        print_verdict(verdict)

    try:
        with signals.handled():
            outcome = run(plan, open_backend, emit=emit, progress=shown.show, stop=gate)
    except KeyboardInterrupt:
        shown.close()
        print(f"interrupted: {_how_to_go_on(plan)}", file=sys.stderr)
        raise
    finally:
        shown.close()
    if options.profile is not None:
        _write_profile(options.profile, outcome, judge, signals.backend is not None)
    _say_how_it_went(judge, plan, outcome, console)
    if gate is not None:
        _say_ruling(gate, outcome, console)
    if outcome.problem is not None:
        raise outcome.problem
    return outcome.exit_code


def _format(plan: RunPlan, options: JudgeOptions) -> Literal["none", "text", "jsonl"]:
    """What verdicts on stdout look like."""
    if plan.output is not None:
        return "none"
    if options.format != "auto":
        return options.format
    return "text" if sys.stdout.isatty() else "jsonl"


def _verdict_printer(form: Literal["none", "text", "jsonl"], include_record: bool) -> Callable[[Verdict], None]:
    """Prints each verdict at once, so that what reads our output sees it."""
    if form == "none":
        return lambda _verdict: None
    if form == "text":
        colour = may_colour(sys.stdout)
        return lambda verdict: print(verdict_line(verdict, colour=colour), flush=True)
    return lambda verdict: print(verdict.to_line(include_record), flush=True)


def _say_what_runs(judge: Judge, plan: RunPlan, console: Console) -> None:
    console.detail(f"model: {judge.name}")
    console.detail(f"weights: {judge.weights}")
    console.detail(f"judge: {plan.identity.fingerprint}")
    for name, value in asdict(judge.options).items():
        console.detail(f"option: {name} {value}")
    console.detail(f"prompts: {judge.prompt(plan.source.task).source}; {plan.identity.prompts_origin}")


def _say_how_it_went(judge: Judge, plan: RunPlan, outcome: Outcome, console: Console) -> None:
    for line in summary_lines(outcome.summary):
        console.say(line)
    console.say(f"prompts: {judge.prompt(plan.source.task).source}")
    if outcome.reason is not None:
        rest = f"; {_how_to_go_on(plan)}" if outcome.reason == "max_seconds" else ""
        console.say(f"incomplete: stopped by --{outcome.reason.replace('_', '-')}{rest}")
    if outcome.output is not None:
        console.say(f"written: {outcome.output}, with its manifest beside it")


def _say_ruling(gate: RunGate, outcome: Outcome, console: Console) -> None:
    """What the gate found, and how many records it did not need."""
    from fare_cli.gate.check import OUTCOMES

    for check in gate.checks:
        console.say(f"gate: {check.name}: {check.decided}, {check.words}")
    judged = outcome.summary.counts.total
    saved = f"; {gate.records - outcome.begun:,} were never asked" if outcome.reason == "gate" else ""
    console.say(f"gate: {OUTCOMES[gate.exit_code]} after {judged:,} of {gate.records:,} records{saved}")


def _how_to_go_on(plan: RunPlan) -> str:
    if plan.output is None and plan.journal is None:
        return "nothing was kept; with -o FILE or --journal FILE a run can be taken up again"
    return "what was answered is in the journal; the same command goes on from there"


def _write_profile(path: Path, outcome: Outcome, judge: Judge, asked: bool) -> None:
    from fare_cli.run.files import write_whole

    summary = outcome.summary
    values: dict[str, Any] = {
        "seconds": summary.seconds,
        "judged_s": summary.judged_s,
        "records": summary.counts.total,
        "records_per_minute": summary.records_per_minute,
        "asking": asdict(summary.asking),
        "engine": judge.backend().profile() if asked else None,
    }
    write_whole(path, json.dumps(values, indent=2) + "\n", "profile")
