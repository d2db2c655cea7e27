"""`fare judge --panel`: several models judge, one after the other, and their verdicts become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from fare_cli.cli.console import Console, printable, summary_lines
from fare_cli.cli.options import JudgeOptions
from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from fare_cli.judge import Judge
    from fare_cli.run.reader import InputPlan
    from fare_cli.run.runner import RunPlan
    from fare_cli.studies.panel import Agreement, PanelRun

# What is about one judge or its run.
_OF_ONE_JUDGE = (
    "model", "lora", "calibration", "thresholds", "journal", "gate", "max_seconds", "dry_run", "explain", "profile",
)  # fmt: skip


def panel_models(options: JudgeOptions) -> list[str]:
    """The models that --panel names; none without it. Raises UsageError for options that a panel does not have."""
    if options.panel is None:
        if options.panel_rule is not None:
            raise UsageError("--panel-rule is for --panel", "add --panel MODEL,MODEL")
        return []
    for name in _OF_ONE_JUDGE:
        if getattr(options, name):
            raise UsageError(
                f"--{name.replace('_', '-')} is about one judge, and --panel names several",
                "judge with each of them by itself for that",
            )
    if options.output is None or str(options.output) == "-":
        raise UsageError("--panel keeps the verdicts of each member beside its own", "name a file with -o")
    return [name.strip() for name in options.panel.split(",") if name.strip()]


def judge_panel(
    models: list[str],
    source: InputPlan,
    options: JudgeOptions,
    open_member: Callable[[str], Judge],
    run_member: Callable[[Judge, JudgeOptions], RunPlan],
    console: Console,
) -> int:
    """Has every member judge, then combines their verdicts; the exit code is that of the panel's.

    `run_member` judges with one of them, by options that name its file, and gives the plan of its run. Raises what
    judging raises; what was judged by then is kept, and the same command goes on from there.
    """
    from fare_cli.studies.judging import check_rereadable
    from fare_cli.studies.panel import combine_members, members_of

    assert options.output is not None
    if not source.records:
        check_rereadable(source)
    judges = [open_member(model) for model in models]
    members = members_of([(judge.name, judge.identity(source.task)) for judge in judges], options.output)
    plans = []
    for number, (judge, member) in enumerate(zip(judges, members, strict=True), start=1):
        console.say(f"member {number} of {len(members)}: {printable(member.name)}")
        with judge:
            plans.append(run_member(judge, replace(options, output=member.output)))
    found = combine_members(members, replace(plans[0], output=options.output), options.panel_rule or "majority")
    for line in _lines(found):
        console.say(line)
    if found.outcome.problem is not None:
        raise found.outcome.problem
    return found.outcome.exit_code


def _lines(found: PanelRun) -> Iterator[str]:
    yield "panel:"
    yield from summary_lines(found.outcome.summary)
    for one in found.agreements:
        yield _agreement(one)
    yield f"written: {found.outcome.output}, with its manifest beside it and a file for each member"


def _agreement(one: Agreement) -> str:
    names = printable(" and ".join(one.members))
    kappa = "" if one.kappa is None else f", kappa {one.kappa:.3f}"
    share = f" ({one.same / one.records:.1%})" if one.records else ""
    return f"agreement: {names} say the same in {one.same} of {one.records}{share}{kappa}"
