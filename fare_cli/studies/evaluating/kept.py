"""Verdict files, read back to be measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fare_cli.errors import InputError, RecordError
from fare_cli.run.lines import InputDigest, RawLine, check_inputs, read_lines
from fare_cli.run.manifest import Manifest, read_manifest
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.evaluating.counting import Timing
from fare_cli.studies.evaluating.headline import HEADLINES
from fare_cli.studies.evaluating.running import verdict_file
from fare_cli.studies.evaluating.verdict_set import Protocol, VerdictSet, judge_facts
from fare_cli.verdicts import Verdict

_HINT = "verdict files are what fare judge -o and fare eval -o write, one task in each"


def read_kept(path: Path) -> VerdictSet:
    """The verdicts in a file, plain or gzip, with what the manifest beside it says of judge and time.

    Raises InputError, with line and field, for a file that holds anything but verdicts of one task.
    """
    digests: list[InputDigest] = []
    check_inputs([str(path)])
    cases: list[Case] = []
    for line in read_lines([str(path)], digests):
        if line.data is None or line.data.strip():
            cases.append(_case(line))
            if cases[-1].task != cases[0].task:
                raise InputError(
                    f"{path}, line {line.number}: a verdict of task {cases[-1].task}, the first one is of "
                    f"{cases[0].task}",
                    _HINT,
                )
    if not cases:
        raise InputError(f"{path} holds no verdicts", _HINT)
    manifest = read_manifest(path)
    task = cases[0].task
    judge = cases[0].judge if manifest is None else str(manifest.judge.get("model", ""))
    return VerdictSet(
        name=_name(path, task, judge),
        task=task,
        cases=tuple(cases),
        protocol=Protocol(HEADLINES[task]),
        judge=judge,
        weights=None if manifest is None else str(manifest.judge.get("weights", "")),
        facts={**_facts(manifest), "verdicts": f"{path} {digests[0].sha256}"},
        timing=None if manifest is None else _timing(manifest),
        warnings=tuple(_warnings(cases, manifest, digests[0])),
    )


def _case(line: RawLine) -> Case:
    where = f"{line.file}, line {line.number}"
    if line.data is None:
        raise InputError(f"{where}: the line is too long for a verdict", _HINT)
    try:
        return Case.of(Verdict.from_line(line.data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: {f'`{field}`: ' if field else ''}{first['msg']}", _HINT) from None
    except RecordError as error:
        field = f"`{error.field}`: " if error.field and f"`{error.field}`" not in error.message else ""
        raise InputError(f"{where}: {field}{error.message}", _HINT) from None


def _name(path: Path, task: str, judge: str) -> str:
    """That of the records, where `fare eval` wrote the file."""
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return name.removesuffix(verdict_file("", task, judge).removesuffix(".jsonl")) or name


def _facts(manifest: Manifest | None) -> dict[str, Any]:
    if manifest is None:
        return {}
    engine = manifest.engines[-1] if manifest.engines else {}
    records = {one.file: one.sha256 for one in manifest.inputs}
    return {**judge_facts(manifest.judge, engine, manifest.fare), "records": records}


def _timing(manifest: Manifest) -> Timing:
    reused = int(manifest.asking.get("reused", 0))
    return Timing(manifest.timing.judged_s, int(manifest.asking.get("asked", 0)) + reused, reused)


def _warnings(cases: list[Case], manifest: Manifest | None, digest: InputDigest) -> list[str]:
    said = []
    judges = {case.judge for case in cases if case.judge}
    if len(judges) > 1:
        said.append(f"the verdicts are of {len(judges)} judges (by their fingerprints), measured as if they were one")
    if manifest is None:
        return said
    if not manifest.complete:
        said.append(f"the verdicts are not those of all records: the run was ended by {manifest.reason}")
    if manifest.output.sha256 not in (digest.sha256, None):
        said.append("the file was changed after the run that wrote it")
    return said
