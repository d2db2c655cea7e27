"""The records of a verdict file asked again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fare_cli.errors import InputError
from fare_cli.records import TaskName
from fare_cli.run.lines import InputDigest, is_pipe
from fare_cli.run.manifest import fare_version, read_manifest
from fare_cli.run.reader import InputPlan
from fare_cli.run.runner import RunPlan
from fare_cli.studies.differing.difference import Difference, Repeat, Side, snippet
from fare_cli.studies.differing.judges import KnownJudge, judge_parts
from fare_cli.studies.differing.repeats import repeat_of
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.evaluating.kept import case_of, kept_warnings
from fare_cli.studies.judging import SILENT, StudiedJudge, Talk, judge_each
from fare_cli.studies.kept import kept_verdicts
from fare_cli.studies.same_records import compare, join
from fare_cli.verdicts import Verdict

# Of what the engine says of itself, the settings that can be asked for again, and matter for what a model says.
_ENGINE_SETTINGS = ("ctx", "slots", "threads", "kv_type", "deterministic")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a verdict file says of how it was made.

    `settings` are those of `fare judge` that it names: all that matter where there is a manifest, else what can be seen
    in the verdicts. `verdicts` counts them, `records` those that hold their record.
    """

    path: Path
    task: TaskName
    judge: KnownJudge
    settings: Mapping[str, Any]
    verdicts: int
    records: int
    warnings: tuple[str, ...] = ()


def read_recorded(path: Path) -> Recorded:
    """What the file says of its run.

    Raises InputError, with line and field, for a file that holds anything but verdicts of one task, for one that can be
    read only once, and where no verdict holds its record.
    """
    if is_pipe(str(path)):
        raise InputError(f"{path} can be read only once, and is read twice", "name a file")
    seen = _Seen()
    fingerprints: dict[str, None] = {}
    verdicts = records = 0
    digests: list[InputDigest] = []
    for _, verdict in kept_verdicts(path, digests):
        if verdict.panel is not None:
            raise InputError(
                f"{path} holds the verdicts of a panel, which no one judge can repeat",
                "replay the files of its members, which lie beside it: fare diff --replay OUT.MEMBER.jsonl",
            )
        verdicts += 1
        records += verdict.record is not None
        fingerprints.setdefault(verdict.judge)
        seen.add(verdict)
    if not records:
        raise InputError(
            f"{path}: no verdict holds its record, so nothing can be asked again", "judge without --no-record"
        )
    manifest = read_manifest(path)
    judge = KnownJudge.of(list(fingerprints), manifest)
    settings = _settings_named(judge) if judge.identity else seen.settings()
    warnings = kept_warnings(fingerprints.keys(), manifest, digests[0])
    return Recorded(path, seen.task, judge, settings, verdicts, records, tuple(warnings))


def replay(
    recorded: Recorded,
    judge: StudiedJudge,
    *,
    limit: int | None = None,
    output: Path | None = None,
    talk: Talk = SILENT,
) -> Difference:
    """Asks the judge about every record of the file, whatever it may have said earlier, and compares.

    The new verdicts go to `output`, if there is one, with journal and manifest: then the same call goes on after an
    interruption. `limit` takes the first so many lines. Raises what `run` raises; InvalidRecordsError where no record
    could be judged.
    """
    task = recorded.task
    identity = judge.identity(task)
    plan = RunPlan(
        source=InputPlan(task, (str(recorded.path),), inside="record"),
        task=judge.task(task),
        identity=identity,
        output=output,
        limit=limit,
    )
    found = _Found()
    kept = kept_verdicts(recorded.path, [])

    def keep(verdict: Verdict) -> None:
        line, before = next(kept)
        found.add(before, case_of(line, before), verdict)

    outcome, engine = judge_each(judge, plan, keep, talk=talk)
    if outcome.problem is not None:
        raise outcome.problem
    now = KnownJudge((identity.fingerprint,), identity.to_json(), [engine] if engine else [], fare_version())
    before = Side(str(recorded.path), task, tuple(found.before), recorded.judge, found.questions, recorded.warnings)
    after = Side("now", task, tuple(found.after), now, found.questions)
    joined = join(found.before, found.after)
    return Difference(
        before,
        after,
        joined,
        tuple(judge_parts(recorded.judge, now)),
        compare(joined.pairs),
        found.repeats,
        found.not_asked,
    )


class _Found:
    """What came of the records so far; only what is measured is kept."""

    def __init__(self) -> None:
        self.before: list[Case] = []
        self.after: list[Case] = []
        self.repeats: dict[str, Repeat] = {}
        self.questions: dict[str, str] = {}
        self.not_asked = 0

    def add(self, before: Verdict, case: Case, after: Verdict) -> None:
        if before.record is None:
            self.not_asked += 1
            return
        self.before.append(case)
        self.after.append(Case.of(after))
        self.repeats.setdefault(before.id, repeat_of(before, after))
        self.questions.setdefault(before.id, snippet(before))


def _settings_named(judge: KnownJudge) -> dict[str, Any]:
    """The settings in a manifest: how was judged, and of the engine what can be asked for again on this machine."""
    options = dict(judge.identity.get("options") or {})
    engine = judge.engines[-1] if judge.engines else {}
    known = {name: engine[name] for name in _ENGINE_SETTINGS if engine.get(name) is not None}
    if known.get("threads", 0) > (os.cpu_count() or 1):
        del known["threads"]
    return {**options, **known}


class _Seen:
    """The settings that verdicts show by themselves."""

    def __init__(self) -> None:
        self.task: TaskName = "pairwise"
        self._orders: set[str] = set()
        self._rules: set[str] = set()
        self._votes = 1
        self._wrote = False
        self._in_stages = False

    def add(self, verdict: Verdict) -> None:
        self.task = verdict.task
        self._in_stages = self._in_stages or verdict.cascade is not None
        if verdict.rule is not None:
            self._rules.add(verdict.rule)
        for one in verdict.judgments:
            self._votes = max(self._votes, one.vote + 1)
            self._wrote = self._wrote or one.critique is not None
            if one.order is not None:
                self._orders.add(one.order)

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {"mode": "critique" if self._wrote else "direct", "votes": self._votes}
        if self._in_stages:
            found = {"mode": "auto"}
        if self._orders:
            found["order"] = "both" if len(self._orders) == 2 else self._only(self._orders)
        if self._rules & {"agree", "agree_or_tie", "mean"}:
            found |= {"combine": "mean" if "mean" in self._rules else "agree", "tie": "agree_or_tie" in self._rules}
        return found

    @staticmethod
    def _only(names: Iterable[str]) -> str:
        return next(iter(names))
