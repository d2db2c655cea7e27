"""The scale and the rubric of a score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fare_cli.records import ScoreRecord
from fare_cli.studies.audit.perturbation import Perturbation, Spot

Rubric = str | dict[str, str]


def reversed_scale(record: ScoreRecord, _spot: Spot) -> ScoreRecord | None:
    """The record on a scale whose lowest score is the best, gold and annotations turned round; the same again undoes
    it. None where there is a reference, which prompts call an answer of the highest score."""
    if record.reference is not None:
        return None
    low, high = record.scale
    turned: dict[str, Any] = {}
    if record.gold is not None:
        turned["gold"] = low + high - record.gold
    if record.annotations:
        turned["annotations"] = {
            name: None if label is None else low + high - label for name, label in record.annotations.items()
        }
    return _with_rubrics(record, lambda rubric: _reversed_rubric(rubric, low, high), turned)


def _reversed_rubric(rubric: Rubric, low: int, high: int) -> Rubric:
    if isinstance(rubric, dict):
        turned = {low + high - int(score): description for score, description in rubric.items()}
        return {str(score): turned[score] for score in sorted(turned)}
    note = f" (The scale is turned round here: {low} is the best score, {high} the worst.)"
    return rubric.removesuffix(note) if rubric.endswith(note) else rubric + note


def reworded_rubric(record: ScoreRecord, spot: Spot) -> ScoreRecord:
    """The same rubric in another form: one of two wordings around the descriptions of its scores, or around its
    text."""
    return _with_rubrics(record, lambda rubric: _reworded(rubric, spot.copy), {})


def _reworded(rubric: Rubric, copy: int) -> str:
    if isinstance(rubric, dict):
        if copy == 0:
            best_first = reversed(rubric.items())
            return "\n".join(f"An answer gets the score {score} if this fits it: {text}" for score, text in best_first)
        return "\n".join(f"Score {score} stands for: {text}" for score, text in rubric.items())
    if copy == 0:
        return f"Score the answer by this, and by nothing else: {rubric}"
    return f"{rubric}\n\nThe better the answer does by this rubric, the higher is its score."


def _with_rubrics(record: ScoreRecord, write: Callable[[Rubric], Rubric], update: dict[str, Any]) -> ScoreRecord:
    if record.criteria is not None:
        update["criteria"] = {name: write(rubric) for name, rubric in record.criteria.items()}
    elif record.rubric is not None:
        update["rubric"] = write(record.rubric)
    return record.model_copy(update=update)


SCALE: tuple[Perturbation, ...] = (
    Perturbation(
        "reversed_scale",
        "scale",
        ("score",),
        "everywhere",
        "The scale is turned round: the description of the highest score now stands at the lowest, and a rubric in "
        "plain text says that the lowest score is the best. The right score is low + high - score. Records with a "
        "reference are left alone, since prompts call it an answer of the highest score.",
        reversed_scale,
        effect="reverse",
    ),
    Perturbation(
        "reworded_rubric",
        "scale",
        ("score",),
        "everywhere",
        "The rubric says the same in another form. One that describes its scores: the best score first, or with other "
        "words between score and description. One in plain text: a sentence before or behind it that only says what a "
        "rubric is for.",
        reworded_rubric,
        copies=2,
    ),
)
