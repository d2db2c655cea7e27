"""`fare models tune`: which settings are fastest on this machine, found by measuring."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from fare_cli.engine.options import Work
    from fare_cli.engine.tuning import Tuned
    from fare_cli.studies.faster_types import TypeSpeed
    from fare_cli.studies.search import Contest, Entry
    from fare_cli.studies.tune import TuneReport, WorkReport

_WORKS: tuple[Work, ...] = ("critique", "direct", "votes")


def tune_model(
    model: Annotated[str, typer.Argument(help="The name of an installed model, or the path of a GGUF file.")],
    work: Annotated[
        Literal["direct", "critique", "votes", "all"] | None,
        typer.Option(
            "--work", metavar="direct|critique|votes|all", help="The kind of judging to tune for.  [default: all]"
        ),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(
            "--max-seconds",
            metavar="S",
            help="Take about S seconds in all.  [default: 90 for each kind of work, more for a slow model]",
        ),
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Forget what was found about this model.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure which settings are fastest here, and keep them: `fare judge` uses them where you give none.

    They change how fast verdicts come and not what makes a judge this judge. Leave the machine alone meanwhile.
    """
    from fare_cli.engine.tuning import forget_tuning
    from fare_cli.gguf.store import resolve_model

    if forget and (work is not None or max_seconds is not None):
        raise UsageError("--forget goes alone", "it forgets what was found about the model for all kinds of work")
    if max_seconds is not None and not 0 < max_seconds < math.inf:
        raise UsageError(f"--max-seconds {max_seconds}: must be a number above 0")
    found = resolve_model(model)
    if forget:
        count = forget_tuning(found.sha256)
        typer.echo(f"{found.name}: {'forgotten' if count else 'there was nothing to forget'}", err=True)
        return
    from fare_cli.studies.tune import tune

    works: tuple[Work, ...] = _WORKS if work is None or work == "all" else (work,)
    report = tune(found, works, max_seconds=max_seconds, say=lambda line: typer.echo(line, err=True))
    if as_json:
        typer.echo(json.dumps(report_json(report), indent=2))
        return
    for one in report.works:
        for line in work_lines(one):
            typer.echo(line)
        typer.echo()
    for line in type_lines(report.types):
        typer.echo(line)


def work_lines(report: WorkReport) -> list[str]:
    """What was tried for one kind of work as a table, and what was chosen."""
    own = report.default
    lines = [
        f"{report.work}: {own.effective.label()} is fare's own choice",
        f"  prompts {own.prompt_rate:.0f} tokens/s" + (f", writing {own.write_rate:.0f}" if own.write_rate else ""),
        f"  {'tried':<34} {'ask, s':>8} {'faster':>8} {'spread':>7} {'rounds':>6}",
    ]
    for held in report.contests:
        entries = [_entry_line(entry, held) for entry in held.entries if entry.seconds or entry.reason]
        lines += [f"  {held.coordinate}", *entries] if entries else []
    if report.untried:
        lines.append(
            f"  not tried to the end: {', '.join(report.untried)}; --max-seconds {report.whole_search_s:.0f} "
            "is enough for this kind of work as a rule"
        )
    if not report.tried_anything:
        lines.append("  there was no time to compare anything")
    elif report.setting.given():
        lines.append(f"  chosen: {report.setting.label()}, {report.speedup:.2f} times as fast as fare's own choice")
    else:
        lines.append("  nothing better than fare's own choice was found")
    return lines


def _entry_line(entry: Entry[Tuned], held: Contest[Tuned]) -> str:
    label = f"    {entry.setting.label() or 'own choice'}"
    if entry.reason is not None:
        return f"{label:<36} {entry.reason}"
    seconds = sorted(entry.seconds)[len(entry.seconds) // 2]
    if not entry.ratios:
        return f"{label:<36} {seconds:>8.3f} {'1.00':>8}"
    mark = " *" if entry.setting == held.winner else ""
    return f"{label:<36} {seconds:>8.3f} {1 / entry.ratio:>8.2f} {entry.spread:>7.0%} {len(entry.ratios):>6}{mark}"


def type_lines(types: list[TypeSpeed]) -> list[str]:
    """How fast other quantisation types of these weights are here."""
    if not types:
        return []
    part = f" (its first {types[0].layers} layers)" if types[0].layers else ""
    lines = [f"other quantisation types of these weights{part}, times as fast as this file:"]
    for one in types:
        if one.failed is not None:
            lines.append(f"  {one.type:<8} could not be measured: {one.failed}")
            continue
        size = one.bytes / one.own_bytes
        lines.append(f"  {one.type:<8} prompts {one.prompts:.2f}, writing {one.writing:.2f}, {size:.2f} times as large")
    much = [one for one in types if one.is_much_faster]
    if much:
        best = max(much, key=lambda one: one.prompts + one.writing)
        lines.append(
            f"{best.type} would be much faster here. Make it from the original weights, not from this file: "
            "quantising twice costs quality."
        )
    return lines


def report_json(report: TuneReport) -> dict[str, Any]:
    """The whole report as JSON values."""
    return {
        "model": report.model,
        "machine": report.machine,
        "works": [_work_json(one) for one in report.works],
        "types": [{name: _number(value) for name, value in one._asdict().items()} for one in report.types],
    }


def _work_json(report: WorkReport) -> dict[str, Any]:
    return {
        "work": report.work,
        "settings": report.setting.given(),
        "speedup": report.speedup,
        "own_choice": report.default.effective.given(),
        "prompt_tokens_per_s": report.default.prompt_rate,
        "written_tokens_per_s": report.default.write_rate,
        "tried": [
            {
                "what": held.coordinate,
                "settings": entry.setting.given(),
                "seconds": entry.seconds,
                "ratios": entry.ratios,
                "outcome": entry.outcome,
                "reason": entry.reason,
            }
            for held in report.contests
            for entry in held.entries
        ],
        "not_tried_to_the_end": report.untried,
        "seconds": report.seconds,
        "whole_search_seconds": report.whole_search_s,
    }


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
