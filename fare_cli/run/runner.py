"""A run over files: input, journal, output and manifest around the stream of verdicts."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from fare_cli.asks import Backend
from fare_cli.errors import ExitCode, InputError, InvalidRecordsError
from fare_cli.identity import JudgeIdentity
from fare_cli.run import manifest as manifests
from fare_cli.run.ahead import ReadAhead
from fare_cli.run.entry import Steps
from fare_cli.run.files import OutputFile
from fare_cli.run.journal import Journal, peek_headers
from fare_cli.run.lines import InCluster, InputDigest, check_inputs, count_lines, is_pipe
from fare_cli.run.progress import Pace, ProgressSnapshot
from fare_cli.run.reader import InputPlan, Item, read_items
from fare_cli.run.stream import Judging
from fare_cli.run.summary import Counts, Summary
from fare_cli.verdicts import Verdict


class StopRule(Protocol):
    """Watches the verdicts of a run whose records come by clusters, and may end it before its input does."""

    def add(self, verdict: Verdict, cluster: InCluster) -> bool:
        """Takes the next verdict in the order of the records, whichever reply came first; whether the run may end."""

    @property
    def facts(self) -> manifests.GateFacts | None:
        """What the manifest says of it; None before the first verdict."""

    @property
    def exit_code(self) -> ExitCode:
        """What it says of the verdicts so far: OK, GATE or UNDECIDED."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """All that a run needs to know. Without `output` verdicts go to `emit`, and a journal is kept only if it is named.

    With `output` the journal lies beside it unless named. `resume` goes on with the journal that is there; `force`
    takes an output or journal of another judge. `strict` ends the run at the first invalid record, `max_invalid` is the
    share of invalid records that is still fine.
    """

    source: InputPlan
    task: Steps
    identity: JudgeIdentity
    output: Path | None = None
    journal: Path | None = None
    resume: bool = True
    force: bool = False
    strict: bool = False
    max_invalid: float | None = None
    limit: int | None = None
    max_seconds: float | None = None
    include_record: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `reason` says what stopped it before the end of its input; None if nothing did.

    `problem` is the error that the records are to blame for (too many invalid, or none judged), not raised since the
    output is there all the same. `first_invalid` says for people what the first invalid record lacks. `ruling` is that
    of the stop rule, None without one. `begun` counts the records that were taken up, those too whose verdict was not
    waited for.
    """

    summary: Summary
    reason: manifests.Reason | None = None
    output: Path | None = None
    first_invalid: str | None = None
    problem: InvalidRecordsError | None = None
    ruling: ExitCode | None = None
    begun: int = 0

    @property
    def complete(self) -> bool:
        return self.reason is None

    @property
    def exit_code(self) -> ExitCode:
        """0, or that of the problem or of the stop rule; 1 where the time limit left records unjudged.

        Under a stop rule 1 says that it failed, and nothing else: where time ran out first it is undecided.
        """
        if self.problem is not None:
            return self.problem.exit_code
        if self.ruling is not None:
            return self.ruling
        return ExitCode.GATE if self.reason == "max_seconds" else ExitCode.OK


def run(
    plan: RunPlan,
    open_backend: Callable[[], Backend],
    *,
    emit: Callable[[Verdict], None] | None = None,
    progress: Callable[[ProgressSnapshot], None] | None = None,
    stop: StopRule | None = None,
) -> Outcome:
    """Judges all records of the plan's input, and gives the counts.

    `open_backend` is called once, and only if an ask has no reply in the journal; the caller closes what it opened.
    `emit` gets every verdict in order. `stop`, for a source that is read `by_cluster`, may end the run earlier: the
    output is then complete for the records that come first in its order.

    Raises InputError (inputs, output or journal cannot be used), InvalidRecordsError (`strict`), EnvironmentFault
    (disk, model) and KeyboardInterrupt: in all these cases the replies so far are in the journal, nothing is put under
    the output's name, and the same plan goes on from there.
    """
    started = datetime.datetime.now(datetime.UTC)
    begun = time.monotonic()
    if not plan.source.records:
        check_inputs(plan.source.files)
    with contextlib.ExitStack() as stack:
        journal, output = _files(plan, stack)
        total = _count(plan.source) if progress is not None else None
        if total is not None and plan.limit is not None:
            total = min(total, plan.limit)
        work = _Work(plan, journal, output, Pace(progress, total) if progress is not None else None, stop)
        work.judge(open_backend, emit, begun)
        outcome = work.outcome(time.monotonic() - begun)
        if output is not None and journal is not None:
            journal.close()
            output.publish()
            manifests.write_manifest(output.path, work.manifest(outcome, started, journal, output))
    return outcome


@dataclass(slots=True)
class _Work:
    """The state of one run."""

    plan: RunPlan
    journal: Journal | None
    output: OutputFile | None
    pace: Pace | None
    stop: StopRule | None
    counts: Counts = field(default_factory=Counts)
    digests: list[InputDigest] = field(default_factory=list)
    first_invalid: str | None = None
    limit_reached: bool = False
    judged_from: float = 0.0
    judging: Judging | None = None
    clusters: deque[InCluster] = field(default_factory=deque)
    stopped: bool = False

    def judge(self, open_backend: Callable[[], Backend], emit: Callable[[Verdict], None] | None, begun: float) -> None:
        plan = self.plan

        def opened() -> Backend:
            backend = open_backend()
            self.judged_from = time.monotonic()
            return backend

        self.judged_from = begun
        deadline = begun + plan.max_seconds if plan.max_seconds is not None else None
        self.judging = Judging(
            plan.task, opened, plan.identity, journal=self.journal, deadline=deadline, each_pass=self._tick
        )
        items: Iterator[Item] = self._items()
        if plan.source.shuffle_seed is None and any(is_pipe(name) for name in plan.source.files):
            items = ReadAhead(items)
        with contextlib.closing(self.judging.verdicts(items)) as verdicts:
            for verdict in verdicts:
                self.counts.add(verdict)
                if self.output is not None:
                    self.output.write(verdict.to_line(plan.include_record))
                if emit is not None:
                    emit(verdict)
                if verdict.status == "invalid":
                    self._note_invalid(verdict)
                self._tick()
                if self.stop is not None and self._may_stop(self.stop, verdict):
                    break
        self._tick(last=True)

    def _may_stop(self, stop: StopRule, verdict: Verdict) -> bool:
        cluster = self.clusters.popleft()
        self.stopped = stop.add(verdict, cluster) and self.counts.total < cluster.of.records
        return self.stopped

    def _items(self) -> Iterator[Item]:
        limit = self.plan.limit
        items = read_items(self.plan.source, self.digests)
        for number, item in enumerate(items, start=1):
            if limit is not None and number > limit:
                self.limit_reached = True
                return
            if item.cluster is not None:
                self.clusters.append(item.cluster)
            yield item
            # A pipe may stay open for ever: whether more would have come is not waited for.
            if number == limit and any(is_pipe(name) for name in self.plan.source.files):
                self.limit_reached = True
                return

    def _note_invalid(self, verdict: Verdict) -> None:
        error = verdict.error
        where = f"{verdict.source.file}, line {verdict.source.line}: " if verdict.source else ""
        text = f"{where}{error.message} ({error.kind})" if error else where
        self.first_invalid = self.first_invalid or text
        if self.plan.strict:
            raise InvalidRecordsError(text, "without --strict an invalid record is counted and the run goes on")

    def _tick(self, under_way: int = 0, *, last: bool = False) -> None:
        if self.pace is not None and self.judging is not None:
            self.pace.tick(self.counts, self.judging.asking, under_way, last=last)

    def outcome(self, seconds: float) -> Outcome:
        assert self.judging is not None
        now = time.monotonic()
        reason: manifests.Reason | None = "limit" if self.limit_reached else None
        if self.judging.out_of_time:
            reason = "max_seconds"
        if self.stopped:
            reason = "gate"
        return Outcome(
            summary=Summary(self.counts, self.judging.asking, seconds, now - self.judged_from),
            reason=reason,
            output=self.output.path if self.output is not None else None,
            first_invalid=self.first_invalid,
            problem=problem_with(self.counts, self.first_invalid, self.plan.max_invalid, reason),
            ruling=None if self.stop is None else self.stop.exit_code,
            begun=self.judging.begun,
        )

    def manifest(
        self, outcome: Outcome, started: datetime.datetime, journal: Journal, output: OutputFile
    ) -> manifests.Manifest:
        plan, summary = self.plan, outcome.summary
        engines: list[dict[str, object]] = []
        for header in journal.headers:
            if header.weights == plan.identity.weights and header.engine not in engines:
                engines.append(dict(header.engine))
        return manifests.Manifest(
            fare=manifests.fare_version(),
            complete=outcome.complete,
            reason=outcome.reason,
            task=plan.identity.task,
            judge=plan.identity.to_json(),
            engines=engines,
            inputs=[manifests.InputFile(file=d.file, bytes=d.bytes, sha256=d.sha256) for d in self.digests],
            output=manifests.OutputFacts(
                file=output.path.name, verdicts=output.lines, bytes=output.bytes, sha256=output.sha256
            ),
            journal=manifests.JournalFacts(
                file=journal.path.name,
                replies=journal.replies,
                appended=journal.appended,
                skipped_lines=journal.skipped_lines,
            ),
            limit=plan.limit,
            max_seconds=plan.max_seconds,
            shuffle_seed=plan.source.shuffle_seed,
            gate=None if self.stop is None else self.stop.facts,
            field_map=dict(plan.source.field_map),
            split=plan.source.split,
            include_record=plan.include_record,
            counts=summary.counts.to_json(),
            asking=asdict(summary.asking),
            timing=manifests.Timing(
                started=started.isoformat(timespec="seconds"),
                seconds=round(summary.seconds, 3),
                judged_s=round(summary.judged_s, 3),
                records_per_minute=round(summary.records_per_minute, 3),
            ),
        )


def problem_with(
    counts: Counts, first_invalid: str | None, max_invalid: float | None, reason: manifests.Reason | None = None
) -> InvalidRecordsError | None:
    """The error that the records of a run are to blame for: too many invalid, or none judged. None if all is well."""
    if counts.total == 0:
        if reason == "max_seconds":
            return InvalidRecordsError("the time was over before the first verdict", "give more with --max-seconds")
        return InvalidRecordsError("the input holds no records", "every record is a line with one JSON object")
    if counts.ok == 0:
        return InvalidRecordsError(f"none of {counts.total} records could be judged", f"the first one: {first_invalid}")
    if max_invalid is not None and counts.invalid > max_invalid * counts.total:
        return InvalidRecordsError(
            f"{counts.invalid} of {counts.total} records are invalid, more than --max-invalid allows",
            f"the first one: {first_invalid}",
        )
    return None


def _count(source: InputPlan) -> int | None:
    return len(source.records) or count_lines(source.files)


def _files(plan: RunPlan, stack: contextlib.ExitStack) -> tuple[Journal | None, OutputFile | None]:
    """Opens and locks what the run writes, after all reasons to refuse it."""
    # A link is followed, since a rename over it would replace the link and leave its target as it was.
    output = None if plan.output is None else Path(plan.output).resolve()
    journal_file = plan.journal or (manifests.journal_path(output) if output is not None else None)
    written = {"output": output, "journal": journal_file}
    for what, path in written.items():
        for name in plan.source.files:
            if path is not None and name != "-" and path.exists() and path.samefile(name):
                raise InputError(f"{what} {path} is an input of the same run", "choose another name with -o")
    if output is not None:
        if journal_file is not None and output == journal_file.resolve():
            raise InputError(f"{output} cannot be output and journal at once")
        _check_owner(plan, output, journal_file)
    journal = None
    if journal_file is not None:
        journal = Journal.open(journal_file, plan.identity, resume=plan.resume, force=plan.force)
        stack.enter_context(journal)
    return journal, None if output is None else stack.enter_context(OutputFile(output))


def _check_owner(plan: RunPlan, output: Path, journal_file: Path | None) -> None:
    """Refuses an output that this judge did not write: its replies, or anything at all that is not fare's."""
    if output.is_dir():
        raise InputError(f"output {output} is a directory", "name a file in it")
    if output.exists() and not output.is_file():
        raise InputError(f"output {output} is not a regular file", "leave -o away and redirect stdout: > FILE")
    if plan.force or not output.exists() or output.stat().st_size == 0:
        return
    manifest = manifests.read_manifest(output)
    if manifest is None:
        if journal_file is None or not peek_headers(journal_file):
            raise InputError(
                f"output {output} exists and was not written by fare", "choose another name, or replace it with --force"
            )
    elif manifest.asking_fingerprint != plan.identity.asking_fingerprint:
        raise InputError(
            f"output {output} was written by another judge ({manifest.judge.get('model')}, task {manifest.task}, "
            f"judge {manifest.asking_fingerprint}; this one is {plan.identity.asking_fingerprint})",
            "choose another output with -o, or replace it with --force",
        )
