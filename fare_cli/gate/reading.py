"""Verdict files as a gate takes them: whole, of one judge, and not too many of them invalid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fare_cli.errors import InputError, InvalidRecordsError
from fare_cli.gate.sequential import Order
from fare_cli.run.lines import InputDigest, is_pipe
from fare_cli.run.manifest import Manifest, manifest_path, read_manifest
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.evaluating.kept import case_of
from fare_cli.studies.evaluating.verdict_set import judge_facts, too_many_invalid
from fare_cli.studies.kept import NoVerdicts, kept_verdicts


@dataclass(frozen=True, slots=True)
class GatedRun:
    """All verdicts of a run, in order. `identity` and `facts` say what is known of its judge.

    `order` is there where the run itself was watched by a gate; `stopped` where that gate ended it before its records
    were all judged.
    """

    name: str
    cases: tuple[Case, ...]
    fingerprint: str
    identity: Mapping[str, Any]
    facts: Mapping[str, Any]
    order: Order | None = None
    stopped: bool = False

    @property
    def task(self) -> str:
        return self.cases[0].task

    @property
    def invalid(self) -> list[Case]:
        return [case for case in self.cases if case.invalid is not None]


def read_run(name: str, *, records: int | None, max_invalid: float) -> GatedRun:
    """The verdicts in a file, or on stdin (`-`), once it is sure that none are missing.

    That takes a manifest that says so, or `records`, how many there must be. Raises InvalidRecordsError for a run that
    is not complete and for one with a larger share of invalid records than `max_invalid`; InputError for what is no
    file of verdicts of one judge.
    """
    path = Path(name)
    if is_pipe(name) and records is None:
        raise InvalidRecordsError(
            f"{name} is a pipe: whether all verdicts came through it cannot be told",
            "say how many there must be with --records N, or give the file that fare judge -o writes",
        )
    digests: list[InputDigest] = []
    try:
        cases = tuple(case_of(line, verdict) for line, verdict in kept_verdicts(path, digests))
    except NoVerdicts as error:
        raise InvalidRecordsError(error.message, "the judge has ended before its first verdict") from None
    manifest = None if is_pipe(name) else read_manifest(path)
    _check_whole(path, manifest, len(cases), records, digests[0])
    if (problem := too_many_invalid(name, cases, max_invalid)) is not None:
        raise problem
    identity: Mapping[str, Any] = {} if manifest is None else manifest.judge
    engine = manifest.engines[-1] if manifest is not None and manifest.engines else {}
    return GatedRun(
        name=name,
        cases=cases,
        fingerprint=_fingerprint(name, cases),
        identity=identity,
        facts={} if manifest is None else judge_facts(identity, engine, manifest.fare),
        order=_order(manifest),
        stopped=manifest is not None and manifest.reason == "gate",
    )


def _order(manifest: Manifest | None) -> Order | None:
    if manifest is None or manifest.gate is None:
        return None
    return Order(manifest.gate.largest_cluster, manifest.complete or manifest.reason == "gate")


def _check_whole(path: Path, manifest: Manifest | None, found: int, records: int | None, digest: InputDigest) -> None:
    if manifest is not None and manifest.output.sha256 != digest.sha256:
        raise InvalidRecordsError(
            f"{path} is not what its run wrote: its sha256 is not that of {manifest_path(path).name}",
            "run fare judge again",
        )
    if records is not None:
        if found != records:
            raise InvalidRecordsError(
                f"{path} holds {found} verdicts, and --records says {records}", "did the judge end before its input?"
            )
        return
    if manifest is None:
        raise InvalidRecordsError(
            f"{path} has no manifest ({manifest_path(path).name}): whether it is complete cannot be told",
            "keep it beside the verdicts, or say how many there must be with --records N",
        )
    if not manifest.complete and manifest.reason != "gate":
        how = {"limit": "--limit", "max_seconds": "--max-seconds"}[str(manifest.reason)]
        raise InvalidRecordsError(
            f"{path} is not complete: the run was ended by {how}",
            "run fare judge to its end, or say with --records N that these are all that there must be",
        )


def _fingerprint(name: str, cases: tuple[Case, ...]) -> str:
    found = list(dict.fromkeys(case.judge for case in cases))
    if len(found) > 1:
        raise InputError(
            f"{name} holds verdicts of {len(found)} judges ({', '.join(found[:3])})", "judge all records with one judge"
        )
    return found[0]
