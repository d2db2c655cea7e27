"""One verdict reduced to what is measured of it, so that a large file of them fits in memory."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from fare_cli import records
from fare_cli.errors import RecordError
from fare_cli.records import Record, TaskName
from fare_cli.verdicts import SMALLEST, Judgement, Source, Usage, Verdict

_DIGITS = 6
_LABELS = {"pairwise": frozenset({"A", "B", "tie"}), "verify": frozenset({"yes", "no"})}


class OrderSaid(NamedTuple):
    """What the judge meant in one order of a pair: "A" or "B" of the record, and the log-odds (nats) of A against B,
    None where it hides its probabilities."""

    label: str
    log_odds: float | None


class CriterionSaid(NamedTuple):
    """The score for one of several criteria, and the probability of every score."""

    score: int
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Case:
    """A verdict and what is known of its record, without the texts.

    `invalid` is the kind of error of one that is, `error` the same for people with the place of the record.
    `cluster` is that of the record; None where the verdict came without its record, as are `content` (the hash of all
    that the judge was shown), `category` and `annotations`. `answers` are hashes of question and
    answer: two of a pair, one for verify and score. `scale` is that of a score, `criteria` are those of
    one that has several. `source` is where the record was read.
    Probabilities are rounded as in a verdict file, so that a run and its kept verdicts are one.
    """

    id: str
    task: TaskName
    invalid: str | None
    error: str | None
    verdict: str | None
    gold: str | float | None
    correct: bool | None
    consistent: bool | None
    rule: str | None
    confidence: float | None
    expected_score: float | None
    probabilities: Mapping[str, float] | None
    scale: tuple[int, int] | None
    orders: Mapping[str, OrderSaid]
    usage: Usage
    judge: str
    forced: bool
    truncated: bool
    cluster: str | None = None
    content: str | None = None
    category: str | None = None
    annotations: Mapping[str, str | float] = field(default_factory=dict)
    answers: tuple[str, ...] = ()
    source: Source | None = None
    criteria: Mapping[str, CriterionSaid] | None = None

    @property
    def is_undecided(self) -> bool:
        """Whether the judge gave no verdict, though there is one verdict to give."""
        return self.invalid is None and self.verdict is None and self.rule != "mean_of_criteria"

    @property
    def place(self) -> str:
        """`pairs.jsonl:12`, where the record was read; nothing where that is not known."""
        return "" if self.source is None else f"{self.source.file}:{self.source.line}"

    @property
    def said(self) -> str | float | None:
        """What the judge said, as people's labels are given; with several criteria its expected score."""
        if self.verdict is None:
            return self.expected_score
        return self.verdict if self.task in ("pairwise", "verify") else int(self.verdict)

    @property
    def gold_label(self) -> str | None:
        """Gold as a verdict would name it; None where there is none, or no whole score."""
        if self.gold is None or isinstance(self.gold, str):
            return self.gold
        return str(int(self.gold)) if float(self.gold).is_integer() else None

    @classmethod
    def of(cls, verdict: Verdict) -> Case:
        """Raises RecordError for a verdict that fare does not write: a label that is none of its task, a probability
        outside of 0 to 1, a record that cannot be read."""
        _check_label(verdict, "verdict", verdict.verdict)
        _check_label(verdict, "gold", verdict.gold)
        scale = _scale(verdict)
        if scale is not None and isinstance(verdict.gold, int | float) and not scale[0] <= verdict.gold <= scale[1]:
            raise RecordError("bad_value", f"{verdict.gold} is not on the scale {list(scale)}", "gold")
        invalid = _error(verdict) if verdict.status == "invalid" else (None, None)
        return cls(
            id=verdict.id,
            task=verdict.task,
            invalid=invalid[0],
            error=invalid[1],
            verdict=verdict.verdict,
            gold=verdict.gold,
            correct=verdict.correct,
            consistent=verdict.consistent,
            rule=verdict.rule,
            confidence=None if verdict.confidence is None else _share(verdict.confidence, "confidence"),
            expected_score=_expected(verdict, scale),
            probabilities=None if verdict.probabilities is None else _shares(verdict.probabilities, "probabilities"),
            scale=scale,
            orders=_orders(verdict.judgments) if verdict.task == "pairwise" else {},
            usage=verdict.usage,
            judge=verdict.judge,
            forced=any(judgment.forced for judgment in verdict.judgments),
            truncated=any(judgment.truncated for judgment in verdict.judgments),
            source=verdict.source,
            criteria=_criteria(verdict),
            **_of_record(verdict.task, verdict.record),
        )


def clusters_of(cases: Sequence[Case]) -> list[Hashable]:
    """The cluster of each case; one that is not known is a cluster of its own."""
    return [case.cluster if case.cluster is not None else ("alone", number) for number, case in enumerate(cases)]


def judged(cases: Iterable[Case]) -> list[Case]:
    """The cases that are not invalid."""
    return [case for case in cases if case.invalid is None]


def answer_hash(question: str, answer: str) -> str:
    """Names an answer to a question by their texts."""
    text = json.dumps([question, answer], ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _of_record(task: TaskName, values: Mapping[str, Any] | None) -> dict[str, Any]:
    if values is None:
        return {}
    record = records.parse(task, values)
    annotations = record.annotations or {}
    return {
        "cluster": record.cluster(),
        "content": record.content_id(),
        "category": record.category,
        "annotations": {name: label for name, label in annotations.items() if label is not None},
        "answers": tuple(answer_hash(record.question, answer) for answer in _answers(record)),
    }


def _answers(record: Record) -> list[str]:
    names = {"pairwise": ("answer_a", "answer_b"), "step": ()}.get(record.task, ("answer",))
    return [getattr(record, name) for name in names]


def _error(verdict: Verdict) -> tuple[str, str]:
    error, source = verdict.error, verdict.source
    where = f"{source.file}, line {source.line}: " if source else ""
    return ("unknown", f"{where}no reason is given") if error is None else (error.kind, where + error.message)


def _check_label(verdict: Verdict, name: Literal["verdict", "gold"], label: str | float | None) -> None:
    if label is None:
        return
    known = _LABELS.get(verdict.task)
    if known is not None:
        fits = label in known
    elif isinstance(label, str):
        fits = label.removeprefix("-").isdecimal() and name == "verdict"
    else:
        fits = math.isfinite(label) and (verdict.task == "score" or float(label).is_integer())
    if not fits:
        raise RecordError("bad_value", f"{label!r} is no label of {verdict.task}", name)


def _share(value: float, name: str) -> float:
    if not 0 <= value <= 1 + 1e-6:
        raise RecordError("bad_value", f"{value} is no probability", name)
    return min(round(value, _DIGITS), 1.0)


def _shares(values: Mapping[str, float], name: str) -> dict[str, float]:
    return {label: _share(value, f"{name}.{label}") for label, value in values.items()}


def _criteria(verdict: Verdict) -> dict[str, CriterionSaid] | None:
    if verdict.criteria is None:
        return None
    return {
        name: CriterionSaid(one.score, _shares(one.probabilities or {}, f"criteria.{name}.probabilities"))
        for name, one in verdict.criteria.items()
    }


def _expected(verdict: Verdict, scale: tuple[int, int] | None) -> float | None:
    value = verdict.expected_score
    if value is None:
        return None
    if not math.isfinite(value):
        raise RecordError("bad_value", f"{value} is no score", "expected_score")
    value = round(value, _DIGITS)
    if scale is not None and not scale[0] <= value <= scale[1]:
        raise RecordError("bad_value", f"{value} is not on the scale {list(scale)}", "expected_score")
    return value


def _scale(verdict: Verdict) -> tuple[int, int] | None:
    """Of a score, from the labels that had a probability: they are all there."""
    if verdict.task != "score":
        return None
    held = (
        [verdict.probabilities]
        if verdict.probabilities
        else [one.probabilities or {} for one in (verdict.criteria or {}).values()]
    )
    labels = [label for one in held for label in one]
    if not labels:
        return None
    if not all(label.removeprefix("-").isdecimal() for label in labels):
        raise RecordError("bad_value", "the labels of a score are whole numbers", "probabilities")
    numbers = [int(label) for label in labels]
    return min(numbers), max(numbers)


def _orders(judgments: Sequence[Judgement]) -> dict[str, OrderSaid]:
    """By order; the votes of an order are averaged, probability by probability, as for the verdict."""
    found = {}
    for order, (shown_first, shown_second) in (("ab", ("A", "B")), ("ba", ("B", "A"))):
        votes = [one for one in judgments if one.order == order]
        if not votes:
            continue
        shares = [_shares(one.probabilities or {one.label: 1.0}, "judgments.probabilities") for one in votes]
        # What the model calls A is the answer shown first.
        first, second = (math.fsum(one.get(label, 0.0) for one in shares) / len(shares) for label in ("A", "B"))
        odds = math.log(max(first, SMALLEST)) - math.log(max(second, SMALLEST))
        label = votes[0].means if len(votes) == 1 else (shown_first if first >= second else shown_second)
        if label not in ("A", "B"):
            raise RecordError("bad_value", f"{label!r} is no answer of a pair", "judgments.means")
        is_known = all(one.probabilities is not None for one in votes)
        found[order] = OrderSaid(label, (odds if order == "ab" else -odds) if is_known else None)
    return found
