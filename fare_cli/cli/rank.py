"""`fare rank`: which of many systems is the best, or which of many answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, as_command, judge_options, judge_parameters
from fare_cli.cli.study import (
    STUDY_OPTIONS,
    Again,
    AsJson,
    ReportFile,
    check_report_file,
    show_report,
    talking,
    write_report,
)
from fare_cli.errors import ExitCode, InputError, InvalidRecordsError, UsageError

if TYPE_CHECKING:
    from fare_cli.cli.console import Console
    from fare_cli.judge import Judge
    from fare_cli.rank.answers import Material
    from fare_cli.rank.best import By, Chosen
    from fare_cli.rank.pairing import RoundsSoFar
    from fare_cli.report.model import Report
    from fare_cli.settings import Settings
    from fare_cli.studies.ranking.asking import Asking
    from fare_cli.verdicts import Verdict

_RANKING = "Ranking"
_SHARED = ("inputs", *(name for name in STUDY_OPTIONS if name != "split"))


def _ranking(*names: str, help: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, rich_help_panel=_RANKING)


@dataclass(frozen=True, slots=True)
class RankOptions:
    """What the command line gave, apart from the options that it shares with `fare judge`."""

    by: Annotated[
        Literal["pairwise", "verify", "score"] | None,
        _ranking(
            "--by",
            metavar="pairwise|verify|score",
            help="Compare two answers at a time, or judge each by itself.  [default: pairwise; with --best verify]",
        ),
    ]
    best: Annotated[bool, _ranking("--best", help="Pick the best answer to each question instead of ranking systems.")]
    output: Annotated[
        Path | None,
        _ranking("--output", "-o", metavar="FILE", help="Write the chosen answers there.  [default: stdout]"),
    ]
    max_pairs: Annotated[
        int | None,
        _ranking(
            "--max-pairs",
            metavar="N",
            help="Compare at most N pairs.  [default: until the systems are told apart, or cannot be]",
        ),
    ]
    verdicts: Annotated[
        Path | None,
        _ranking("--verdicts", metavar="FILE", help="Rank by verdicts that fare judge wrote; needs no model."),
    ]
    report: ReportFile
    as_json: AsJson
    again: Again


_DEFAULTS: dict[str, Any] = {"best": False, "as_json": False, "again": False}


def rank_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(RankOptions, include_extras=True)
    own = {field.name: (hints[field.name], _DEFAULTS.get(field.name)) for field in fields(RankOptions)}

    def run(values: dict[str, Any]) -> int:
        options = RankOptions(**{name: values[name] for name in own})
        return _rank(options, judge_options({name: values[name] for name in _SHARED}))

    shared = judge_parameters(_SHARED)
    return as_command({"inputs": shared.pop("inputs"), **own, **shared}, run, _SUMMARY)


_SUMMARY = """Rank systems by their answers, or pick the best of n answers.

A line of the input is an answer (`question`, `answer`, `system`), a question with all its `answers`, or a pair of two
systems' answers. Pairs are asked in rounds, those first that tell most; the same --seed asks the same."""


def _rank(options: RankOptions, judging: JudgeOptions) -> int:
    from fare_cli.cli.console import Console
    from fare_cli.settings import load_settings

    _check(options, judging)
    console = Console(quiet=judging.quiet)
    settings = load_settings({name: getattr(judging, name) for name in SETTING_NAMES}, isolated=judging.isolated)
    if options.verdicts is not None:
        return _rank_kept(options, options.verdicts, settings, console)
    by = options.by or ("verify" if options.best else "pairwise")
    return _rank_judged(options, by, judging, settings, console)


def _check(options: RankOptions, judging: JudgeOptions) -> None:
    if (options.verdicts is None) == (not judging.inputs):
        raise UsageError("give either an input or --verdicts", "for example fare rank answers.jsonl")
    if options.output is not None and not options.best:
        raise UsageError("-o is for the answers that --best chooses", "--report FILE keeps a report")
    if options.best and options.as_json and not _to_file(options):
        raise UsageError("--json and the chosen answers would both go to stdout", "name a file for one: -o FILE")
    if options.max_pairs is not None and options.max_pairs < 1:
        raise UsageError(f"--max-pairs {options.max_pairs}: must be 1 or more")
    if options.max_pairs is not None and (options.best or options.by in ("verify", "score")):
        raise UsageError("--max-pairs is for systems ranked by pairs")
    if options.verdicts is not None and (options.by or options.again):
        raise UsageError("--verdicts says by itself how was judged", "leave --by and --again away")
    if judging.limit is not None and judging.limit < 1:
        raise UsageError(f"--limit {judging.limit}: must be 1 or more")
    check_report_file(options.report)
    if options.output is not None and not options.output.absolute().parent.is_dir():
        raise InputError(f"the folder of -o {options.output} does not exist")


def _to_file(options: RankOptions) -> bool:
    return options.output is not None and str(options.output) != "-"


def _rank_judged(options: RankOptions, by: By, judging: JudgeOptions, settings: Settings, console: Console) -> int:
    from fare_cli.cli.judge import open_judge, with_own_decoding
    from fare_cli.studies.ranking.asking import Asking
    from fare_cli.studies.ranking.parts import Facts
    from fare_cli.tasks import check_options

    settings = with_own_decoding(settings, settings.model)
    check_options(by, settings.judging_options())
    material = _material(options, by, judging)
    if material.shape == "pairs" and (by != "pairwise" or options.best):
        raise UsageError("the input holds pairs, which rank systems --by pairwise only", "give answers, one a line")
    with open_judge(settings) as judge, talking(console) as talk:
        asking = Asking(judge, options.again, talk)
        facts = Facts(judge.name, _judge_facts(judge, by, material, judging))
        report, chosen = _study(options, by, material, asking, _say_round(console), facts)
    replies = f"{asking.asked} asked, {asking.reused} kept from earlier"
    report = replace(report, facts={**report.facts, "replies": replies, "engine": asking.engine})
    return _finish(options, report, chosen, by, asking.verdicts, material.invalid, settings.max_invalid, console)


def _judge_facts(judge: Judge, by: By, material: Material, judging: JudgeOptions) -> dict[str, Any]:
    identity = judge.identity(by)
    return {
        "judge": {"model": identity.model, "fingerprint": identity.fingerprint, "prompts": identity.prompts_origin},
        "by": by,
        "mode": identity.options.mode,
        "input": ", ".join(judging.inputs or ()),
        "lines": f"{material.lines}, of which {len(material.invalid)} cannot be used",
    }


def _say_round(console: Console) -> Callable[[RoundsSoFar], None]:
    def say(so_far: RoundsSoFar) -> None:
        if so_far.round:
            console.say(
                f"round {so_far.round}: {so_far.asked} of {so_far.pairs} pairs asked, "
                f"{so_far.undecided} of {so_far.neighbours} neighbours are not told apart yet"
            )

    return say


def _material(options: RankOptions, by: By, judging: JudgeOptions) -> Material:
    from fare_cli.cli.source import input_plan
    from fare_cli.rank.answers import read_material
    from fare_cli.studies.ranking.asking import check_usable

    pairs = any(pair.partition("=")[0] in ("answer_a", "answer_b") for pair in judging.map)
    # A record of score has all fields that an answer can have.
    plan = input_plan("pairwise" if pairs else "score", judging)
    material = read_material(plan, by, limit=judging.limit, systems=not options.best)
    if not material.lines:
        raise InvalidRecordsError("the input holds no records", "every record is a line with one JSON object")
    check_usable(material.answers or material.given, material.invalid)
    return material


def _study(
    options: RankOptions,
    by: By,
    material: Material,
    asking: Asking,
    say: Callable[[RoundsSoFar], None],
    facts: Any,
) -> tuple[Report, list[Chosen]]:
    from fare_cli.studies.ranking.asking import compare, pick, value
    from fare_cli.studies.ranking.best_report import best_report
    from fare_cli.studies.ranking.pairs_report import pairs_report
    from fare_cli.studies.ranking.values_report import values_report

    seed = asking.judge.options.seed
    if options.best:
        chosen, standings = pick(asking, material, by, seed=seed)
        return best_report(chosen, standings, by, asking.verdicts, facts), chosen
    if by == "pairwise":
        compared = compare(asking, material, max_pairs=options.max_pairs, seed=seed, say=say)
        return pairs_report(compared, facts), []
    return values_report(value(asking, material, by), by, facts), []


def _rank_kept(options: RankOptions, file: Path, settings: Settings, console: Console) -> int:
    from fare_cli.rank.best import choose
    from fare_cli.studies.ranking.asking import check_usable, standings_of
    from fare_cli.studies.ranking.best_report import best_report
    from fare_cli.studies.ranking.kept import kept_comparisons, kept_values, read_kept
    from fare_cli.studies.ranking.pairs_report import pairs_report
    from fare_cli.studies.ranking.parts import Facts
    from fare_cli.studies.ranking.values_report import values_report

    kept = read_kept(file)
    by: Any = kept[0].verdict.task
    judges = sorted({one.verdict.judge for one in kept})
    facts = Facts("kept verdicts", {"verdicts": str(file), "judges": judges, "by": by})
    chosen: list[Chosen] = []
    if by == "pairwise":
        if options.best:
            raise UsageError("--best needs verdicts on single answers", "or give the answers themselves: --by pairwise")
        compared, invalid = kept_comparisons(kept)
        verdicts = compared.asked.verdicts
        check_usable(verdicts, invalid)
        report = pairs_report(compared, facts)
    else:
        valued, invalid = kept_values(kept, systems=not options.best)
        verdicts = [verdict for _, verdict in valued.all()]
        check_usable(verdicts, invalid)
        if options.best:
            standings = standings_of(valued)
            chosen = [choose(*one) for one in zip(valued.questions, standings, strict=True)]
            report = best_report(chosen, standings, by, verdicts, facts)
        else:
            report = values_report(valued, by, facts)
    return _finish(options, report, chosen, by, verdicts, invalid, settings.max_invalid, console)


def _finish(
    options: RankOptions,
    report: Report,
    chosen: Sequence[Chosen],
    by: By,
    verdicts: Sequence[Verdict],
    invalid: Sequence[str],
    max_invalid: float,
    console: Console,
) -> int:
    """Writes what was found, then raises InvalidRecordsError where too much of the input could not be used."""
    from fare_cli.report.text import text_lines
    from fare_cli.run.files import write_whole
    from fare_cli.studies.ranking.asking import invalid_problem

    lines = "".join(json.dumps(one.to_json(by), ensure_ascii=False) + "\n" for one in chosen)
    if options.best and not _to_file(options):
        write_report(report, options.report)
        for line in text_lines(report):
            console.say(line)
        sys.stdout.write(lines)
    else:
        if options.best:
            assert options.output is not None
            write_whole(options.output, lines, "output")
        show_report(report, as_json=options.as_json, file=options.report)
    problem = invalid_problem(verdicts, invalid, max_invalid)
    if problem is not None:
        raise problem
    return ExitCode.OK
