"""Verdict files, read back to be measured."""

from __future__ import annotations

from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from fare_cli.errors import InputError, RecordError
from fare_cli.run.lines import InputDigest, RawLine
from fare_cli.run.manifest import Manifest, read_manifest
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.evaluating.counting import Timing
from fare_cli.studies.evaluating.headline import HEADLINES
from fare_cli.studies.evaluating.running import verdict_file
from fare_cli.studies.evaluating.verdict_set import Protocol, VerdictSet, judge_facts
from fare_cli.studies.kept import NOT_KEPT, kept_verdicts
from fare_cli.verdicts import Verdict


def read_kept(path: Path, see: Callable[[Verdict, Case], None] | None = None) -> VerdictSet:
    """The verdicts in a file, plain or gzip, with what the manifest beside it says of judge and time.

    `see` is called with each verdict while it is in memory: a set keeps no texts. Raises InputError, with line and
    field, for a file that holds anything but verdicts of one task.
    """
    digests: list[InputDigest] = []
    cases = []
    for line, verdict in kept_verdicts(path, digests):
        cases.append(case_of(line, verdict))
        if see is not None:
            see(verdict, cases[-1])
    manifest = read_manifest(path)
    task = cases[0].task
    judge = cases[0].judge if manifest is None else str(manifest.judge.get("model", ""))
    return VerdictSet(
        name=_name(path, task, judge),
        task=task,
        cases=tuple(cases),
        protocol=Protocol(HEADLINES[task]),
        judge=judge,
        identity={} if manifest is None else manifest.judge,
        facts={**_facts(manifest), "verdicts": f"{path} {digests[0].sha256}"},
        timing=None if manifest is None else _timing(manifest),
        warnings=tuple(kept_warnings({case.judge for case in cases}, manifest, digests[0])),
    )


def case_of(line: RawLine, verdict: Verdict) -> Case:
    """What is measured of a kept verdict. Raises InputError, with line and field, for one that fare does not write."""
    try:
        return Case.of(verdict)
    except RecordError as error:
        field = f"`{error.field}`: " if error.field and f"`{error.field}`" not in error.message else ""
        raise InputError(f"{line.file}, line {line.number}: {field}{error.message}", NOT_KEPT) from None


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


def kept_warnings(fingerprints: Set[str], manifest: Manifest | None, digest: InputDigest) -> list[str]:
    """What has to be known of a file of verdicts, by the judges in it, the manifest beside it, and its own digest."""
    said = []
    judges = fingerprints - {""}
    if len(judges) > 1:
        said.append(f"the verdicts are of {len(judges)} judges (by their fingerprints), measured as if they were one")
    if manifest is None:
        return said
    if manifest.reason == "gate":
        said.append(
            "the run was ended by its gate as soon as that was sure: intervals of a single look, as here, are too "
            "narrow for it; fare gate has the right one"
        )
    elif not manifest.complete:
        said.append(f"the verdicts are not those of all records: the run was ended by {manifest.reason}")
    if manifest.output.sha256 not in (digest.sha256, None):
        said.append("the file was changed after the run that wrote it")
    return said
