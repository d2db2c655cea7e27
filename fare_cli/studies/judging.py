"""The judging that studies are made of: all records judged by one judge, with the replies it gave earlier."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fare_cli.asks import Backend
from fare_cli.errors import InputError
from fare_cli.folders import cache_folder
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.judge import Judge
from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import kappa_estimate
from fare_cli.meta.clusters import Clusters, clustered_proportion, of_those
from fare_cli.report.words import estimate_in_words, interval_in_words
from fare_cli.run.lines import check_inputs, is_pipe
from fare_cli.run.progress import ProgressSnapshot
from fare_cli.run.reader import InputPlan
from fare_cli.run.runner import Outcome, RunPlan, run
from fare_cli.tasks import Task
from fare_cli.verdicts import Verdict


class StudiedJudge(Protocol):
    """What a study needs of a judge: `Judge` with a model, `BackendJudge` with any backend, simulated ones too."""

    @property
    def name(self) -> str: ...
    @property
    def options(self) -> JudgingOptions: ...
    def task(self, name: str) -> Task: ...
    def identity(self, task: str) -> JudgeIdentity: ...
    def backend(self) -> Backend: ...


class Talk(NamedTuple):
    """Whom a study tells what it does: the model whose turn it is, the backend that works, and how far it is."""

    turn: Callable[[str], None] = lambda _name: None
    backend: Callable[[Backend], None] = lambda _backend: None
    progress: Callable[[ProgressSnapshot], None] | None = None


SILENT = Talk()


class Judged(NamedTuple):
    """All verdicts of a judge, in the order of the records, and how its run went. `engine` is what the backend says of
    itself; empty where no reply had to be asked for."""

    verdicts: tuple[Verdict, ...]
    outcome: Outcome
    engine: dict[str, Any]


def check_rereadable(records: InputPlan) -> None:
    """Raises InputError for records that can be read only once, or not at all: every judge reads them."""
    for name in records.files:
        if is_pipe(name):
            raise InputError(f"{name} can be read only once, and every model reads the records", "name a file")
    check_inputs(records.files)


def replies_file(judge: StudiedJudge, task: str) -> Path | None:
    """Where the replies of a model are kept between studies; None for a judge of another kind."""
    if not isinstance(judge, Judge):
        return None
    # Replies of a deterministic run must not be mixed with others.
    kind = "-deterministic" if judge.engine_options.deterministic else ""
    if judge.server is not None:
        # Two servers may call different models by one name.
        kind = f"-{hashlib.sha256(judge.server.root.encode()).hexdigest()[:12]}"
    return cache_folder() / "checks" / f"{judge.identity(task).asking_fingerprint}{kind}.jsonl"


def judge_all(
    judge: StudiedJudge,
    records: InputPlan,
    *,
    limit: int | None = None,
    again: bool = False,
    max_invalid: float | None = None,
    whole: bool = False,
    asked: Callable[[Task], Task] = lambda task: task,
    talk: Talk = SILENT,
) -> Judged:
    """All records judged by one judge, which stays open. Replies that it gave earlier are not asked for again, unless
    `again`.

    Verdicts come without their record and their judgments, which would fill the memory, unless `whole`. `asked` makes
    the judge's task one that asks in another way; replies are kept by what was asked. Raises what `run` raises;
    too many invalid records are `outcome.problem`.
    """
    verdicts: list[Verdict] = []

    def keep(verdict: Verdict) -> None:
        verdicts.append(verdict if whole else verdict.model_copy(update={"record": None, "judgments": []}))

    plan = RunPlan(
        source=records,
        task=asked(judge.task(records.task)),
        identity=judge.identity(records.task),
        journal=kept_replies(judge, records.task),
        resume=not again,
        max_invalid=max_invalid,
        limit=limit,
    )
    outcome, engine = judge_each(judge, plan, keep, talk=talk)
    return Judged(tuple(verdicts), outcome, engine)


def judge_each(
    judge: StudiedJudge, plan: RunPlan, keep: Callable[[Verdict], None], *, talk: Talk = SILENT
) -> tuple[Outcome, dict[str, Any]]:
    """A run of one judge, which stays open: how it went, and what the backend says of itself. `keep` gets every verdict
    in order."""
    talk.turn(judge.name)
    engine: dict[str, Any] = {}

    def opened() -> Backend:
        backend = judge.backend()
        talk.backend(backend)
        engine.update(backend.info.engine)
        return backend

    return run(plan, opened, emit=keep, progress=talk.progress), engine


def kept_replies(judge: StudiedJudge, task: str) -> Path | None:
    """Where replies are kept, its folder made; None for a judge that is no model."""
    journal = replies_file(judge, task)
    if journal is not None:
        journal.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return journal


class Scored(Protocol):
    """What tells whether a verdict is more than chance: a `Verdict`, or what a study keeps of one."""

    @property
    def verdict(self) -> str | None: ...
    @property
    def gold(self) -> str | float | None: ...
    @property
    def correct(self) -> bool | None: ...
    @property
    def consistent(self) -> bool | None: ...


class _HasScore(Protocol):
    @property
    def score(self) -> int: ...


class Labelled(Protocol):
    """What a label is taken from: a `Verdict`, or what a study keeps of one."""

    @property
    def verdict(self) -> str | None: ...
    @property
    def criteria(self) -> Mapping[str, _HasScore] | None: ...


def label_of(verdict: Labelled) -> str:
    """What a verdict says, as one label: `undecided` where the orders differ, all scores where there are several."""
    if verdict.criteria is not None:
        return ", ".join(f"{name} {one.score}" for name, one in verdict.criteria.items())
    return "undecided" if verdict.verdict is None else verdict.verdict


def agreeing(verdicts: Sequence[Scored], clusters: Clusters = None) -> Proportion | None:
    """How many pairs asked in both orders got the same answer twice; None where none was."""
    asked = [index for index, one in enumerate(verdicts) if one.consistent is not None]
    if not asked:
        return None
    return clustered_proportion([bool(verdicts[index].consistent) for index in asked], of_those(asked, clusters))


def at_chance(verdicts: Sequence[Scored], clusters: Clusters = None) -> str | None:
    """Says why these verdicts show no more than chance would; None where they do, or where nothing can tell.

    With gold: of the decided verdicts, no larger share is right (by the interval's lower end) than the most frequent
    gold label makes by itself, and their kappa with gold is not above 0 either. Where 8 of 10 answers are right, a
    judge that finds most of the wrong ones may be right less often than one that always says yes; it is no coin.
    Without gold, for pairs asked in both orders: the orders agree no more often than two coins.
    """
    scored = [index for index, one in enumerate(verdicts) if one.correct is not None]
    if scored:
        return _gold_at_chance([verdicts[index] for index in scored], of_those(scored, clusters))
    agree = agreeing(verdicts, clusters)
    if agree is None or agree.interval.low > 0.5:
        return None
    return (
        f"the two orders agree in {agree.cases} of {agree.of} pairs ({interval_in_words(agree)}), "
        "where two coins would in 50%"
    )


def _gold_at_chance(scored: Sequence[Scored], clusters: Clusters) -> str | None:
    decided = [index for index, one in enumerate(scored) if one.verdict is not None]
    if not decided:
        return "the two orders never agree, so that nothing is decided"
    golds = [one.gold if isinstance(one.gold, str) else f"{one.gold:g}" for one in scored]
    most_frequent = Counter(golds).most_common(1)[0][1] / len(golds)
    those = of_those(decided, clusters)
    right = clustered_proportion([bool(scored[index].correct) for index in decided], those)
    if right.interval.low > most_frequent:
        return None
    said, known = [scored[index].verdict or "" for index in decided], [golds[index] for index in decided]
    kappa = kappa_estimate(said, known, those)
    if kappa is not None and kappa.interval is not None and kappa.interval.low > 0:
        return None
    return (
        f"{right.cases} of {right.of} decided verdicts are right ({interval_in_words(right)}), "
        f"where the most frequent gold label by itself would be right in {most_frequent:.0%}"
        + (f"; their kappa with gold is {estimate_in_words(kappa)}" if kappa is not None else "")
    )
