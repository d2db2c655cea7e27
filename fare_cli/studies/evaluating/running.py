"""Records judged to be measured: a run of its own for each set, whose verdicts may be kept."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import InputError
from fare_cli.run.manifest import fare_version
from fare_cli.run.runner import Outcome, RunPlan
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.evaluating.counting import Timing
from fare_cli.studies.evaluating.sources import Source
from fare_cli.studies.evaluating.verdict_set import VerdictSet, judge_facts
from fare_cli.studies.judging import SILENT, StudiedJudge, Talk, judge_each, kept_replies
from fare_cli.verdicts import Verdict


class Keeping(NamedTuple):
    """What of a run is kept, and what of an earlier one is taken.

    Verdict files go to `folder`, if there is one, with journal and manifest: the same run goes on from there. `force`
    replaces a file of another judge there, `again` asks everything anew.
    """

    folder: Path | None = None
    again: bool = False
    force: bool = False


NOT_KEPT = Keeping()


def judge_source(
    judge: StudiedJudge,
    source: Source,
    *,
    keeping: Keeping = NOT_KEPT,
    talk: Talk = SILENT,
) -> VerdictSet:
    """All records judged, and what is measured of the verdicts; the judge stays open.

    Invalid records are counted, however many they are. Raises InvalidRecordsError for no record at all, and what `run`
    raises.
    """
    task = source.plan.task
    identity = judge.identity(task)
    output = None if keeping.folder is None else keeping.folder / verdict_file(source.name, task, judge.name)
    plan = RunPlan(
        source=source.plan,
        task=judge.task(task),
        identity=identity,
        output=output,
        journal=kept_replies(judge, task) if output is None else None,
        resume=not keeping.again,
        force=keeping.force,
        limit=source.limit,
    )
    cases: list[Case] = []

    def keep(verdict: Verdict) -> None:
        cases.append(Case.of(verdict))

    outcome, engine = judge_each(judge, plan, keep, talk=talk)
    if not cases:
        raise outcome.problem or InputError(f"{source.name} holds no records")
    facts = {
        **judge_facts(identity.to_json(), engine, fare_version()),
        **source.facts,
        "verdicts": None if output is None else str(output),
    }
    return VerdictSet(
        name=source.name,
        task=cases[0].task,
        cases=tuple(cases),
        protocol=source.protocol,
        judge=judge.name,
        identity=identity.to_json(),
        facts=facts,
        timing=_timing(outcome),
        warnings=() if outcome.complete else (f"only the first {len(cases)} records were judged (--limit)",),
    )


def verdict_file(source: str, task: str, judge: str) -> str:
    """The name of a file of verdicts: `SET.TASK.JUDGE.jsonl`."""
    return f"{source}.{task}.{judge.replace('/', '-')}.jsonl"


def _timing(outcome: Outcome) -> Timing:
    asking = outcome.summary.asking
    return Timing(outcome.summary.judged_s, asking.asked + asking.reused, asking.reused)
