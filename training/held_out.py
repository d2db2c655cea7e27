"""Held-out records judged and measured by the code of `fare eval`, once, with a manifest beside the report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.cli.study import write_report
from fare_cli.errors import InputError, UsageError
from fare_cli.judge import Judge
from fare_cli.records import RECORDS
from fare_cli.run.files import write_whole
from fare_cli.studies.evaluate import report_on
from fare_cli.studies.evaluating.kept import read_kept
from fare_cli.studies.evaluating.running import Keeping, judge_source, verdict_file
from fare_cli.studies.evaluating.sources import Reading, Source, record_source
from fare_cli.studies.evaluating.verdict_set import VerdictSet
from fare_cli.studies.judging import SILENT, Talk
from training.manifest import FileFacts, Plan, file_facts, model_facts
from training.questions import read_records

PACKAGES = ("llama-cpp-python", "numpy", "scipy")
REPORT = "report.json"


class HeldOut(NamedTuple):
    """Files of records, and the same task by task: `fare eval` measures one task at a time."""

    files: tuple[FileFacts, ...]
    sources: tuple[Source, ...]


def by_task(files: Sequence[Path], folder: Path, limit: int | None = None) -> HeldOut:
    """The records of each file task by task, written to `folder`/TASK/; `limit` is the most records of each.

    Raises UsageError for two files of one name, InputError for one without records or gold, and what reading raises.
    """
    if len({_stem(file) for file in files}) < len(files):
        raise UsageError("two held-out files have one name", "their verdicts are kept by it: rename one")
    sources = []
    for file in files:
        records = list(read_records(file))
        if not records:
            raise InputError(f"{file} holds no records")
        for name in RECORDS:
            of_task = [record for record in records if record.task == name]
            if of_task:
                path = folder / name / f"{_stem(file)}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                lines = (json.dumps(record.to_json(), ensure_ascii=False) + "\n" for record in of_task)
                write_whole(path, "".join(lines), "records")
                sources.append(record_source(str(path), Reading(of_task[0].task, limit=limit)))
    return HeldOut(tuple(map(file_facts, files)), tuple(sources))


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".jsonl")


def judge_held_out(
    judge: Judge, held_out: HeldOut, folder: Path, *, talk: Talk = SILENT, force: bool = False
) -> list[VerdictSet]:
    """The verdicts of one judge on each source, kept in `folder` with the report of `fare eval` (page and JSON).

    What was judged before is read again and not judged; an interrupted evaluation goes on from its journals. The judge
    stays open. Raises what `fare eval` raises, and InputError where another judge's verdicts lie, unless `force`.
    """
    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / REPORT
    kept = [folder / verdict_file(source.name, source.plan.task, judge.name) for source in held_out.sources]
    work = Plan("evaluate", (*held_out.files, *_weights(judge)), _described(judge, held_out.sources))
    if not work.is_done(report):
        work.begin(report, force=force)
        keeping = Keeping(folder, force=force)
        sets = [judge_source(judge, source, keeping=keeping, talk=talk) for source in held_out.sources]
        outputs, measured = [report, report.with_suffix(".html")], report_on(sets)
        for path in outputs:
            write_report(measured, path)
        counts = {f"{one.name}, {one.task}": len(one.cases) for one in sets}
        work.write_manifest([*outputs, *kept], counts, seconds=time.monotonic() - begun, packages=PACKAGES)
    return [read_kept(path) for path in kept]


def _weights(judge: Judge) -> list[FileFacts]:
    """The model as an input of the work; its checksum is remembered from when it was first read. A server's model is
    known by the judges' fingerprints alone."""
    if judge.server is not None:
        return []
    files = [model_facts(judge.model)]
    lora = judge.engine_options.lora
    return files if lora is None else [*files, file_facts(lora)]


def _described(judge: Judge, sources: Sequence[Source]) -> dict[str, Any]:
    identities = {source.plan.task: judge.identity(source.plan.task) for source in sources}
    options = next(iter(identities.values())).to_json()["options"]
    return {
        "judges": {task: identity.fingerprint for task, identity in identities.items()},
        "options": options,
        "limit": sources[0].limit,
    }
