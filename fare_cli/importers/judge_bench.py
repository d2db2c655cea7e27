"""Importers of JUDGE-BENCH's container: any data set of people's judgments, with its metrics and their prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from math import isnan
from typing import Any, NamedTuple

from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.naming import question_name
from fare_cli.importers.row import Row
from fare_cli.record_fields import MAX_SCORES

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_WHOLE = "instance"

_NO_GRADES = "a metric without whole-number grades"
_NO_LABELS = "a metric without labels to choose from"
_INCOMPLETE = "an instance of which a part is null"
_NOT_JUDGED = "an instance that nobody has judged by the metric"
_OFF_SCALE = "a mean outside the metric's own scale"


class _Judged(NamedTuple):
    """One instance under one metric."""

    data_set: str
    metric: Row
    instance: Row
    people: Row
    """`annotations` of the instance for the metric."""
    texts: Mapping[str, str]
    """The instance by placeholder; a plain text stands for `instance`."""

    @property
    def name(self) -> str:
        return self.metric.text("metric")

    def shared(self) -> dict[str, Any]:
        return {"group": question_name("\n".join(self.texts.values())), "category": self.name}


def _graded(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for judged in _judged(rows):
        if isinstance(judged, Skipped):
            yield judged
            continue
        metric = judged.metric
        if metric.text("category") != "graded":
            yield Skipped(judged.instance, _NO_GRADES)
            continue
        worst, best = metric.whole("worst"), metric.whole("best")
        low, high = min(worst, best), max(worst, best)
        gold = _number(judged.people, "mean_human")
        if gold is None or not low <= gold <= high or not 0 < high - low < MAX_SCORES:
            yield Skipped(judged.instance, _NOT_JUDGED if gold is None else _OFF_SCALE)
            continue
        scores = judged.people.items("individual_human_scores")
        record = {
            "id": f"{judged.data_set}-{judged.instance.value('id')}-{judged.name}",
            **judged.shared(),
            "question": f"The answer is material of the data set {judged.data_set}. Judge its {judged.name}.",
            "answer": _written_out(judged.texts),
            "rubric": f"{_without_instance(metric.text('prompt'))}\n{worst} is the worst score, {best} the best.",
            "scale": [low, high],
            "gold": gold,
            "annotations": [_number(judged.people, f"individual_human_scores.{at}") for at in range(len(scores))],
        }
        yield Made(judged.instance, record)


def _labelled(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for judged in _judged(rows):
        if isinstance(judged, Skipped):
            yield judged
            continue
        if judged.metric.text("category") != "categorical":
            yield Skipped(judged.instance, _NO_LABELS)
            continue
        labels = judged.metric.texts("labels_list")
        if judged.people.value("majority_human") is None:
            yield Skipped(judged.instance, _NOT_JUDGED)
            continue
        means = {label: label for label in labels}
        majority = judged.people.choice("majority_human", means)
        answers = len(judged.people.items("individual_human_scores"))
        people = [judged.people.choice(f"individual_human_scores.{at}", means) for at in range(answers)]
        question = f"{_filled(judged)}\n\nThe answer is one of: {', '.join(labels)}."
        # Of two labels the second is right where the first is wrong: it would count every judgment twice.
        for label in labels if len(labels) > 2 else labels[:1]:
            record = {
                "id": f"{judged.data_set}-{judged.instance.value('id')}-{judged.name}-{label}",
                **judged.shared(),
                "question": question,
                "answer": label,
                "gold": "yes" if label == majority else "no",
                "annotations": ["yes" if said == label else "no" for said in people],
            }
            yield Made(judged.instance, record)


def _judged(rows: Iterable[Row]) -> Iterator[_Judged | Skipped]:
    for row in rows:
        data_set = row.text("dataset").partition(" (")[0]
        metrics = [row.part(f"annotations.{index}") for index in range(len(row.items("annotations")))]
        for index in range(len(row.items("instances"))):
            instance = row.part(f"instances.{index}")
            texts = _texts(instance)
            if texts is None:
                yield Skipped(instance, _INCOMPLETE)
                continue
            for metric in metrics:
                people = instance.part("annotations").part(metric.text("metric"))
                yield _Judged(data_set, metric, instance, people, texts)


def _texts(instance: Row) -> dict[str, str] | None:
    if isinstance(instance.value(_WHOLE), str):
        return {_WHOLE: instance.text(_WHOLE)}
    fields = instance.part(_WHOLE)
    if None in fields.values.values():
        return None
    return {name: fields.text(name) for name in fields.values}


def _written_out(texts: Mapping[str, str]) -> str:
    return texts.get(_WHOLE) or "\n\n".join(f"{name}: {text}" for name, text in texts.items())


def _filled(judged: _Judged) -> str:
    def text(found: re.Match[str]) -> str:
        if found[1] not in judged.texts:
            judged.metric.refuse("prompt", f"has a place for {found[1]}, which an instance lacks")
        return judged.texts[found[1]]

    return _PLACEHOLDER.sub(text, judged.metric.text("prompt"))


def _without_instance(prompt: str) -> str:
    """The prompt as a rubric: the parts of an instance by name, where a whole one stood nothing."""
    return _PLACEHOLDER.sub(lambda found: "" if found[1] == _WHOLE else f"[{found[1]}]", prompt).strip()


def _number(row: Row, path: str) -> float | None:
    """A number, None for null and for the NaN that the published files hold where nobody answered."""
    if row.value(path) is None:
        return None
    number = row.number(path)
    return None if isnan(number) else number


_SOURCE = "dmg-illc/JUDGE-BENCH (Bavaresco et al. 2024)"
_LICENCE = "that of each data set; none for the whole repository"
_ANNOTATORS = "`individual_human_scores` are `annotations` by their place, which is not always the same person"

SCORE_IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="judge-bench",
        task="score",
        source=_SOURCE,
        licence=_LICENCE,
        files="a container under data, such as roscoe-gsm8k-overall.json: its graded metrics, one record each",
        gold=f"`mean_human` between `worst` and `best`; {_ANNOTATORS}",
        nulls="null and NaN are no annotation, and without a mean the record is skipped; categorical and continuous "
        "metrics are skipped",
        records=_graded,
    ),
)
VERIFY_IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="judge-bench-labels",
        task="verify",
        source=_SOURCE,
        licence=_LICENCE,
        files="a container under data, such as roscoe-gsm8k-stepwise.json: its categorical metrics. "
        "Is this label the right answer to the metric's prompt? One record a label, of two labels the first",
        gold=f"yes if the label is `majority_human`; {_ANNOTATORS}",
        ties="as `majority_human` decides them",
        nulls="without `majority_human` the record is skipped, as are metrics of other kinds",
        records=_labelled,
    ),
)
