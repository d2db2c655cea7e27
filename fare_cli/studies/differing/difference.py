"""Two sets of verdicts on the same records, and everything that a report says of how they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import InputError
from fare_cli.run.manifest import read_manifest
from fare_cli.studies.differing.judges import JudgePart, KnownJudge, judge_parts
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.evaluating.kept import read_kept
from fare_cli.studies.judging import label_of
from fare_cli.studies.same_records import Comparison, Joined, Pair, compare, join
from fare_cli.verdicts import Verdict

_SNIPPET = 60
_MOST_NAMED = 3


class Side(NamedTuple):
    """Verdicts of one side: `name` for people, in order. `questions` are the beginnings of the questions by id."""

    name: str
    task: str
    cases: tuple[Case, ...]
    judge: KnownJudge
    questions: Mapping[str, str]
    warnings: tuple[str, ...] = ()


class Repeat(NamedTuple):
    """How far a judge said the same twice of one record.

    `margin` (nats) is the least distance between a label that was said then and the next; `moved` (nats) is the
    greatest change of the log-probability of such a label; None where they cannot be told. `exact` says that every
    probability is what it was, to the last digit of the file; `same_text` that every critique and thought is, None
    where nothing was written. `other_stage` is true where another stage of a cascade has decided.
    """

    margin: float | None
    moved: float | None
    exact: bool
    same_text: bool | None
    other_stage: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """How two sides differ. `repeats` are there where one judge was asked again, by id of the record; `not_asked`
    counts what could not be."""

    before: Side
    after: Side
    joined: Joined
    parts: tuple[JudgePart, ...]
    comparison: Comparison
    repeats: Mapping[str, Repeat] = field(default_factory=dict)
    not_asked: int = 0

    @property
    def flipped(self) -> list[Pair]:
        """Other verdicts, those first that both sides were the surest of."""
        found = [pair for pair in self.joined.judged if label_of(pair[0]) != label_of(pair[1])]
        return sorted(found, key=lambda pair: -min(sure_of(one) or 0.0 for one in pair))

    @property
    def lost(self) -> list[Pair]:
        """Records that only the first could judge."""
        return [pair for pair in self.joined.pairs if pair[0].invalid is None and pair[1].invalid is not None]

    @property
    def mended(self) -> list[Pair]:
        """Records that only the second could judge."""
        return [pair for pair in self.joined.pairs if pair[0].invalid is not None and pair[1].invalid is None]


def read_side(name: str) -> Side:
    """The verdicts in a file (`-` is stdin) with what its manifest says of the judge. Raises InputError, with line and
    field, for a file that holds anything but verdicts of one task."""
    questions: dict[str, str] = {}

    def see(verdict: Verdict, _case: Case) -> None:
        questions.setdefault(verdict.id, snippet(verdict))

    path = Path(name)
    found = read_kept(path, see)
    judge = KnownJudge.of(fingerprints_of(found.cases), read_manifest(path))
    return Side(name, found.task, found.cases, judge, questions, found.warnings)


def difference(before: Side, after: Side) -> Difference:
    """How the second side differs from the first. Raises InputError for sides of two tasks, and where they have no
    record in common."""
    if before.task != after.task:
        raise InputError(
            f"{before.name} holds verdicts of {before.task}, and {after.name} of {after.task}",
            "only verdicts of one task can be compared",
        )
    joined = join(before.cases, after.cases)
    if not joined.pairs:
        raise InputError(
            f"{before.name} and {after.name} have no record in common{_nothing_in_common(joined)}",
            "records are the same where `id` and all that the judge was shown are",
        )
    return Difference(before, after, joined, tuple(judge_parts(before.judge, after.judge)), compare(joined.pairs))


def fingerprints_of(cases: Iterable[Case]) -> list[str]:
    """The judges of the cases, each once."""
    return list(dict.fromkeys(case.judge for case in cases))


def snippet(verdict: Verdict) -> str:
    """The beginning of the question, on one line; nothing where the verdict came without its record."""
    question = str((verdict.record or {}).get("question", ""))
    text = " ".join(question[: 4 * _SNIPPET].split())
    return text if len(text) <= _SNIPPET else text[: _SNIPPET - 3] + "..."


def sure_of(case: Case) -> float | None:
    """The probability that a case gives to what it says, the mean over criteria if there are several; None where it
    says nothing."""
    if case.criteria is not None:
        sure = [one.probabilities.get(str(one.score), 0.0) for one in case.criteria.values()]
        return sum(sure) / len(sure) if sure else None
    return case.confidence


def _nothing_in_common(joined: Joined) -> str:
    if not joined.changed:
        return ""
    named = ", ".join(joined.changed[:_MOST_NAMED])
    return f": under the same ids the judge was shown other things ({named})"
