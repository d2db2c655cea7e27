"""`fare doctor`: whether this machine can judge, and which settings are in force."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fare_cli.errors import ExitCode, FareError, ModelError

if TYPE_CHECKING:
    from fare_cli.engine.sizing import Layout
    from fare_cli.gguf.store import ModelFile
    from fare_cli.settings import Settings

_ENGINE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Check:
    """What was found about one thing. Only a `problem` keeps fare from judging."""

    name: str
    status: Literal["ok", "note", "problem"]
    message: str
    hint: str | None = None
    values: dict[str, Any] = field(default_factory=dict)


def doctor(
    model: Annotated[str | None, typer.Option("--model", help="The model to try: a name or a GGUF file.")] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Show each setting and where it came from, and check nothing.")
    ] = False,
    isolated: Annotated[bool, typer.Option("--isolated", help="Ignore the settings of the project.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check Python, the engine, the GPU, memory and the model, show what judging with it takes, and decode ten tokens.

    Exits with 5 if fare cannot judge here.
    """
    from fare_cli.settings import load_settings

    in_force = load_settings({"model": model}, isolated=isolated)
    if settings:
        _print_settings(_with_model_defaults(in_force), as_json)
        return
    checks = examine(in_force.on_this_machine())
    ok = all(check.status != "problem" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": ok, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        for check in checks:
            typer.echo(f"{check.status:<8} {check.name:<9} {check.message}")
            if check.hint:
                typer.echo(f"{'':<18} hint: {check.hint}")
    if not ok:
        raise typer.Exit(ExitCode.ENVIRONMENT)


def _with_model_defaults(settings: Settings) -> Settings:
    """The settings as judging would have them; without those of the model where there is no such model."""
    from fare_cli.gguf.model_prompts import own_decoding
    from fare_cli.gguf.store import resolve_model
    from fare_cli.settings import with_model_defaults

    try:
        model = resolve_model(settings.model)
    except ModelError as error:
        typer.echo(f"note: without the model's own settings: {error.message}", err=True)
        return settings
    return with_model_defaults(settings, *own_decoding(model.installed_file))


def _print_settings(settings: Settings, as_json: bool) -> None:
    values = settings.model_dump(mode="json")
    rows = {name: {"value": value, "origin": settings.origin(name)} for name, value in values.items()}
    rows |= {name: {"value": value, "origin": "tuned"} for name, value in _tuned(settings).items()}
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for name, row in rows.items():
        shown = "-" if row["value"] is None else json.dumps(row["value"], ensure_ascii=False)
        typer.echo(f"{name:<14} {shown:<14} {row['origin']}")


def _tuned(settings: Settings) -> dict[str, Any]:
    """What `fare models tune` found for the model and kind of work that these settings mean; nothing without a
    model."""
    from fare_cli.cli.judge import open_judge

    try:
        with open_judge(settings) as judge:
            return judge.tuned().given()
    except FareError:
        return {}


def examine(settings: Settings) -> list[Check]:
    """All checks, in the order in which one needs the other. Whatever may crash runs in child processes."""
    checks = [_python(), _platform(), *_engine(), _memory()]
    engine_works = all(check.status != "problem" for check in checks if check.name == "engine")
    found: list[ModelFile] = []
    checks.append(_guarded("model", lambda: _model(settings, found)))
    layouts: list[Layout] = []
    if found:
        checks.append(_guarded("plan", lambda: _plan(settings, layouts)))
    if layouts and engine_works:
        checks.append(_guarded("decode", lambda: _decode(found[0], layouts[0])))
    if found:
        checks.append(_tuning(found[0], settings.model or found[0].name))
    return checks


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except FareError as error:
        return Check(name, "problem", error.message, error.hint)


def _python() -> Check:
    return Check(
        "python", "ok", f"{platform.python_version()} ({sys.executable})", values={"executable": sys.executable}
    )


def _platform() -> Check:
    values = {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count()}
    message = f"{platform.platform()}, {values['cpus']} CPUs"
    if values["system"] == "Windows":
        return Check("platform", "problem", message, "Windows is not supported; use WSL", values)
    return Check("platform", "ok", message, values=values)


def _engine() -> list[Check]:
    """The engine's build, asked in a child process: a build for another CPU can die while it is being loaded."""
    program = "import json, fare_cli.engine.native as n; print(json.dumps(n.build_info()))"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ENGINE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [Check("engine", "problem", f"loading llama.cpp did not end within {_ENGINE_SECONDS} s")]
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        reason = f"killed by {_signal_name(-done.returncode)}" if done.returncode < 0 else (said or ["no reason"])[-1]
        hint = "install llama-cpp-python again, built on this machine (docs/install.md)"
        return [Check("engine", "problem", f"llama.cpp cannot be loaded: {reason}", hint)]
    build = json.loads(done.stdout.strip().splitlines()[-1])
    checks = [
        Check("engine", "ok", f"llama-cpp-python {build['llama_cpp_python']}; {_features(build)}", values=build),
        _guarded("gpu", _gpu),
    ]
    if _cpu_has_amx():
        checks.append(_amx(str(build["system_info"])))
    return checks


def _gpu() -> Check:
    """The GPUs that will be used, and one that the build cannot use."""
    from fare_cli.engine.devices import find_devices, gpu_backends, idle_gpu
    from fare_cli.machine import gpus

    backends = gpu_backends()
    idle = idle_gpu(gpus(), backends)
    if idle is not None:
        return Check("gpu", "note", idle.message, idle.install, idle._asdict())
    devices = find_devices()
    if devices:
        each = (f"{one.name} ({one.description}), {one.free_bytes / 1e9:.1f} GB free" for one in devices)
        return Check("gpu", "ok", "; ".join(each), values={"devices": [one._asdict() for one in devices]})
    reason = f"no device for {', '.join(sorted(backends))}" if backends else "not compiled in, and no GPU found"
    return Check("gpu", "note", f"GPU offload {reason}: everything runs on the CPU")


def _features(build: dict[str, Any]) -> str:
    """What the build makes use of: `CPU : AVX2 = 1 | F16C = 1 |` becomes `AVX2, F16C`."""
    return ", ".join(re.findall(r"(\w+) = [1-9]", str(build["system_info"])))


def _amx(system_info: str) -> Check:
    if "AMX_INT8 = 1" not in system_info:
        return Check("amx", "ok", "the CPU has AMX and the engine is built without it")
    message = "the engine is built with AMX, which crashes when it was compiled by gcc 12; the decode below tells"
    return Check("amx", "note", message)


def _cpu_has_amx() -> bool:
    try:
        return " amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _memory() -> Check:
    from fare_cli.machine import memory

    found = memory()
    message = f"{found.total_bytes / 1e9:.1f} GB, {found.available_bytes / 1e9:.1f} GB available"
    return Check("memory", "ok", message, values=found._asdict())


def _model(settings: Settings, found: list[ModelFile]) -> Check:
    from fare_cli.gguf.header import read_header
    from fare_cli.gguf.store import resolve_model

    model = resolve_model(settings.model)
    header = read_header(model.path)
    found.append(model)
    values = {"name": model.name, "path": str(model.path), "sha256": model.sha256}
    context = f"{header.context_length} tokens of context" if header.context_length else "context length unknown"
    message = f"{model.name}: {header.architecture}, {header.quantisation}, {context} ({model.path})"
    return Check("model", "ok", message, values=values)


def _plan(settings: Settings, layouts: list[Layout]) -> Check:
    """What judging with these settings takes. A model that does not fit is a problem, with what would."""
    from fare_cli.cli.judge import open_judge
    from fare_cli.engine.sizing import layout_for

    with open_judge(settings) as judge:
        layout = layout_for(judge.model.path, judge.engine_options, judge.tuned()).layout
    layouts.append(layout)
    context = layout.context
    where = {0: "", -1: ", all layers on the GPU"}.get(layout.gpu_layers, f", {layout.gpu_layers} layers on the GPU")
    shape = f"{layout.slots} slots, {layout.ctx} tokens an ask, cache of {context.cells} tokens in {context.kv_type}"
    values = {
        **layout.plan._asdict(),
        "total_bytes": layout.plan.total_bytes,
        "ctx": layout.ctx,
        "slots": layout.slots,
        "cells": context.cells,
        "kv_type": context.kv_type,
        "kv_layout": "unified" if context.unified else "streams",
        "flash_attention": context.flash,
        "gpu_layers": layout.gpu_layers,
    }
    return Check("plan", "ok", f"{layout.plan.describe()} ({shape}{where})", values=values)


def _decode(model: ModelFile, layout: Layout) -> Check:
    from fare_cli.engine.probe import probe_model

    result = probe_model(model.path, gpu_layers=layout.gpu_layers)
    message = f"{result.tokens} tokens in {result.seconds:.2f} s, in a process of their own"
    if not result.safe_kernels:
        return Check("decode", "ok", message, values=result._asdict())
    slow = f"{message}; only without the fast CPU kernels, which crash here, so fare leaves them out"
    hint = "build llama-cpp-python without AMX (docs/install.md) to judge faster"
    return Check("decode", "note", slow, hint, result._asdict())


def _tuning(model: ModelFile, called: str) -> Check:
    from fare_cli.engine.tuning import read_tuning

    tuning = read_tuning(model.sha256)
    if tuning is None:
        hint = f"fare models tune {called} measures which settings are fastest here"
        return Check("tuning", "note", "this model was not tuned for this machine and build", hint)
    found = [
        f"{work}: {one.settings.label()}, {one.speedup:.2f} times as fast as fare's own choice ({one.measured})"
        if one.settings.given()
        else f"{work}: nothing faster than fare's own choice ({one.measured})"
        for work, one in tuning.works.items()
    ]
    values: dict[str, Any] = {work: one.settings.given() for work, one in tuning.works.items()}
    return Check("tuning", "ok", "; ".join(found), values=values)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
