"""The questions of an input with all their answers, or its pairs, each line with the place where it stands."""

from __future__ import annotations

import functools
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fare_cli import records
from fare_cli.errors import RecordError
from fare_cli.rank.contests import Pair, same_answers
from fare_cli.rank.davidson import Comparison
from fare_cli.records import PairwiseRecord, Record, ScoreRecord, VerifyRecord
from fare_cli.run.reader import InputPlan, Place, read_values

Shape = Literal["answers", "pairs"]

# What all answers to a question are judged against, so that two of them can be compared.
_SHARED = ("question", "context")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to be judged: a verify or score record, and where it was read."""

    record: VerifyRecord | ScoreRecord
    place: Place

    @property
    def system(self) -> str | None:
        return self.record.system

    @property
    def text(self) -> str:
        return self.record.answer


@dataclass(slots=True)
class Question:
    """All answers to a question, in the order in which they were read. `key` is the group, else the question itself."""

    key: str
    answers: list[Answer] = field(default_factory=list)

    def texts(self) -> dict[str, list[Answer]]:
        """The different texts, each with all answers that are this text."""
        found: dict[str, list[Answer]] = {}
        for answer in self.answers:
            found.setdefault(answer.text, []).append(answer)
        return found


@dataclass(slots=True)
class Material:
    """What an input holds: questions with answers, or pairs that are there already; and the lines that are neither.

    `invalid` says of each line that cannot be used where it stands and why.
    """

    shape: Shape = "answers"
    lines: int = 0
    questions: dict[str, Question] = field(default_factory=dict)
    given: list[PairwiseRecord] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)

    @property
    def answers(self) -> list[Answer]:
        """All answers, question by question."""
        return [answer for question in self.questions.values() for answer in question.answers]

    def add(self, answer: Answer) -> None:
        """Puts an answer to its question."""
        key = cluster_of(answer.record)
        self.questions.setdefault(key, Question(key)).answers.append(answer)

    def check(self, answer: Answer, systems: bool) -> None:
        """Raises RecordError for an answer that names no system (if `systems`), or that is to another question than
        the others of its group."""
        if systems and answer.system is None:
            raise RecordError("missing_field", "`system` is missing: who gave the answer (see --map)", "system")
        question = self.questions.get(cluster_of(answer.record))
        if question is None:
            return
        first = question.answers[0]
        for name in _SHARED:
            if getattr(first.record, name) != getattr(answer.record, name):
                where = f"line {first.place.line} of {first.place.file}"
                raise RecordError("bad_value", f"`{name}` is not that of the same group in {where}", name)


def read_material(plan: InputPlan, by: str, *, limit: int | None = None, systems: bool = True) -> Material:
    """The questions and answers, or the pairs, of an input: up to `limit` lines of it.

    A line is a record of `by` (of verify or score, where that is pairwise) with `answer`, and with `system` if
    `systems`; or has `answers`: a list of texts or of
    objects with `answer`, or an object from system to text; or it is a pair (`answer_a`, `answer_b`, `system_a`,
    `system_b`). The first line says which of the two. Raises InputError where the input cannot be read.
    """
    reading = _Reading(plan, by, systems)
    for place, values in itertools.islice(read_values(plan), limit):
        reading.material.lines += 1
        try:
            reading.take(values, place)
        except RecordError as error:
            reading.material.invalid.append(f"{place.file}, line {place.line}: {error.message} ({error.kind})")
    return reading.material


def check_pair(record: PairwiseRecord) -> None:
    """Raises RecordError for a pair that does not say which two systems it compares."""
    for name in ("system_a", "system_b"):
        if getattr(record, name) is None:
            raise RecordError("missing_field", f"`{name}` is missing: who gave the answer", name)
    if record.system_a == record.system_b:
        raise RecordError("bad_value", f"both answers are of system {record.system_a!r}", "system_b")


def cluster_of(record: Record) -> str:
    """What the records of one question share, as people read it: its group, else its text."""
    return record.group if record.group is not None else record.question


class _Reading:
    def __init__(self, plan: InputPlan, by: str, systems: bool) -> None:
        self.material = Material()
        self._plan = plan
        self._by = by
        self._systems = systems
        self._ids: dict[str, Place] = {}
        self._shape: Shape | None = None

    def take(self, values: Any, place: Place) -> None:
        if isinstance(values, RecordError):
            raise values
        if not isinstance(values, Mapping):
            raise RecordError("bad_type", "a record is a JSON object")
        shape: Shape = "pairs" if "answer_a" in self._named(values) else "answers"
        if self._shape is None:
            self._shape = self.material.shape = shape
        if shape != self._shape:
            raise RecordError("bad_value", f"this line holds {shape}, the first line holds {self._shape}")
        if shape == "pairs":
            self._take_pair(values, place)
            return
        # All of a line or nothing: a question must not be ranked on half of its answers.
        answers = [self._answer(inner, place) for inner in _split(values)]
        for answer in answers:
            self.material.check(answer, self._systems)
        for answer in answers:
            self.material.add(answer)

    def _named(self, values: Mapping[str, Any]) -> set[str]:
        return {*values, *self._plan.field_map}

    def _take_pair(self, values: Mapping[str, Any], place: Place) -> None:
        record = records.parse("pairwise", values, field_map=self._plan.field_map)
        assert isinstance(record, PairwiseRecord)
        check_pair(record)
        self._claim(record.id, place)
        self.material.given.append(record)

    def _answer(self, values: Mapping[str, Any], place: Place) -> Answer:
        named = self._named(values)
        task = self._by
        if task == "pairwise":
            task = "score" if {"rubric", "criteria"} & named else "verify"
        record = records.parse(task, values, field_map=self._plan.field_map)
        assert isinstance(record, VerifyRecord | ScoreRecord)
        self._claim(record.id, place)
        return Answer(record, place)

    def _claim(self, id: str, place: Place) -> None:
        if id and id in self._ids:
            first = self._ids[id]
            raise RecordError("duplicate_id", f"id {id!r} is taken by line {first.line} of {first.file}", "id")
        if id:
            self._ids[id] = place


def _split(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """One line's answers as records of their own."""
    if "answers" not in values or "answer" in values:
        yield values
        return
    shared = {name: value for name, value in values.items() if name != "answers"}
    answers = values["answers"]
    if isinstance(answers, Mapping):
        answers = [{"system": system, "answer": text} for system, text in answers.items()]
    if not isinstance(answers, list) or not answers:
        raise RecordError(
            "bad_type", "`answers` is a list of texts or objects, or an object from system to text", "answers"
        )
    id = shared.pop("id", None)
    if id is not None and shared.get("group") is None:
        shared["group"] = id
    for number, answer in enumerate(answers, start=1):
        own = dict(answer) if isinstance(answer, Mapping) else {"answer": answer}
        if id is not None and own.get("id") is None:
            own["id"] = f"{id}/{number}"
        yield {**shared, **own}


def pairs_of(material: Material, *, seed: int = 0) -> list[Pair]:
    """All pairs that can be judged and decide something between two systems: those given, or of a question's different
    texts. Pairs of one text are left out."""
    if material.shape == "pairs":
        return given_pairs([record for record in material.given if record.answer_a != record.answer_b])
    found = []
    for question in material.questions.values():
        for one, other in itertools.combinations(question.texts().values(), 2):
            a, b = (one, other) if shown_first(one[0], other[0], seed) else (other, one)
            contests = sorted({(str(x.system), str(y.system)) for x in a for y in b if x.system != y.system})
            if contests:
                record = functools.partial(pair_record, question.key, a[0], b[0])
                found.append(Pair(question.key, tuple(contests), record))
    return found


def shown_first(one: Answer, other: Answer, seed: int) -> bool:
    """Whether the first of two is to be answer A: drawn, so that a preference for a position meets all alike."""
    return random.Random(f"{seed}/{one.text}/{other.text}").random() < 0.5


def given_pairs(given: Sequence[PairwiseRecord]) -> list[Pair]:
    """Pairs as they were given, in order. Where the same two texts of a question come several times they share the
    weight of one comparison."""
    keys = [(cluster_of(record), frozenset((record.answer_a, record.answer_b))) for record in given]
    count = Counter(keys)
    return [
        Pair(
            key[0], ((str(record.system_a), str(record.system_b)),), functools.partial(_itself, record), 1 / count[key]
        )
        for key, record in zip(keys, given, strict=True)
    ]


def _itself(record: PairwiseRecord) -> PairwiseRecord:
    return record


def known_without_asking(material: Material) -> list[Comparison]:
    """What needs no judge: systems that gave the same text to a question."""
    found = [
        one
        for question in material.questions.values()
        for one in same_answers(
            question.key,
            [[str(answer.system) for answer in same] for same in question.texts().values()],
        )
    ]
    return found + [same_pair(record) for record in material.given if record.answer_a == record.answer_b]


def same_pair(record: PairwiseRecord) -> Comparison:
    """The comparison that a pair of one text is."""
    return Comparison(str(record.system_a), str(record.system_b), "same", cluster_of(record))


def pair_record(key: str, a: Answer, b: Answer) -> PairwiseRecord:
    """Two answers to a question as a pair; gold is the right one of a right and a wrong one, or the higher score."""
    of_a, of_b = a.record, b.record
    values = {
        "question": of_a.question,
        "context": of_a.context,
        "protocol": of_a.protocol,
        "reference": of_a.reference or of_b.reference,
        "category": of_a.category,
        "group": key,
        "answer_a": of_a.answer,
        "answer_b": of_b.answer,
        "system_a": a.system,
        "system_b": b.system,
        "gold": _better(of_a.gold, of_b.gold),
    }
    return PairwiseRecord.model_validate({name: value for name, value in values.items() if value is not None})


def _better(of_a: str | float | None, of_b: str | float | None) -> str | None:
    """Which of two gold labels of one kind is the better; None where neither, or one is not known."""
    if of_a is None or of_b is None or of_a == of_b:
        return None
    # Of the labels "yes" and "no" the better is the greater, too.
    return "A" if of_a > of_b else "B"  # type: ignore[operator]


def system_names(material: Material) -> list[str]:
    """All systems, in the order in which they first come."""
    if material.shape == "pairs":
        named = [str(name) for record in material.given for name in (record.system_a, record.system_b)]
    else:
        named = [answer.system for answer in material.answers if answer.system is not None]
    return list(dict.fromkeys(named))
