"""Paraphrases: changes that mean nothing, whose flips are the noise that all others are measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fare_cli.errors import RecordError
from fare_cli.records import Record, parse
from fare_cli.studies.audit.perturbation import ALL_TASKS, Perturbation, Spot
from fare_cli.tasks import Task, make_task

MOST_PARAPHRASES = 3

# What the prompts say anyway, in words of our own. Each is a sentence of the record's extra instructions.
_RESTATED = {
    "pairwise": (
        "Say which of the two answers is the better one.",
        "Your task is to decide which answer serves the user better.",
        "Compare the two answers, and name the one that you find better.",
    ),
    "step": (
        "Say which step is the first one that is wrong, if any is.",
        "Your task is to find where the solution goes wrong for the first time, or that it does not.",
        "Go through the steps, and name the first one with a mistake, or none.",
    ),
    "verify": (
        "Say whether the answer is right.",
        "Your task is to decide whether this answer is right or wrong.",
        "Check the answer, and say if it is right.",
    ),
    "score": (
        "Say which score the answer deserves by the rubric.",
        "Your task is to find the score that fits the answer, as the rubric has it.",
        "Rate the answer by the rubric.",
    ),
}


def restated(record: Record, spot: Spot) -> Record:
    """The record with one more sentence in its instructions, which says what the prompt says anyway."""
    sentence = _RESTATED[record.task][spot.copy]
    protocol = sentence if record.protocol is None else f"{record.protocol}\n{sentence}"
    return record.model_copy(update={"protocol": protocol})


def given(record: Record, spot: Spot) -> Record | None:
    """The record with a wording of its own field `paraphrases`: a list of questions, or `{field: [texts]}`.

    Raises RecordError for paraphrases of another form.
    """
    paraphrases = record.extra.get("paraphrases")
    if paraphrases is None:
        return None
    by_field = {"question": paraphrases} if _is_list(paraphrases) else paraphrases
    if not isinstance(by_field, Mapping) or not all(map(_is_list, by_field.values())):
        raise RecordError("bad_type", "`paraphrases` is neither a list nor an object from field to list", "paraphrases")
    if unknown := by_field.keys() - set(type(record).judged):
        path = f"paraphrases.{min(unknown)}"
        raise RecordError("unknown_field", f"`{path}` is no field that the judge is shown", path)
    wordings = [(field, text) for field in sorted(by_field) for text in by_field[field]]
    if spot.copy >= len(wordings):
        return None
    field, text = wordings[spot.copy]
    try:
        return parse(record.task, {**record.to_json(), field: text})
    except RecordError as error:
        raise RecordError(error.kind, f"paraphrases.{field}: {error.message}", f"paraphrases.{field}") from error


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def with_another_seed(task: Task, copy: int) -> Task | None:
    """The same asks sampled anew; None where nothing is sampled, so that the reply could only be the same."""
    options = task.options
    if not options.generates or options.temperature == 0:
        return None
    return make_task(task.prompt, replace(options, seed=options.seed + 1 + copy))


PARAPHRASE = (
    Perturbation(
        "restated_instruction",
        "paraphrase",
        ALL_TASKS,
        "everywhere",
        "The extra instructions (`protocol`) get a sentence that says what the prompt says anyway, in three wordings "
        "of fare's own. Whatever moves the verdict here is noise.",
        restated,
        copies=3,
    ),
    Perturbation(
        "given_paraphrase",
        "paraphrase",
        ALL_TASKS,
        "everywhere",
        "Another wording that the data brings: a field `paraphrases` with a list of questions that ask the same, or "
        '`{"answer": ["..."], "reference": ["..."]}` with other wordings of any field that the judge is shown, at most '
        f"{MOST_PARAPHRASES} in all. Made by people, not by program.",
        given,
        copies=MOST_PARAPHRASES,
    ),
    Perturbation(
        "resampling",
        "paraphrase",
        ALL_TASKS,
        "everywhere",
        "The same question with another seed. It is for judges that write before they judge, at a temperature above 0. "
        "In direct mode, and at temperature 0, nothing is sampled, and the paraphrases alone are the noise floor.",
        asks=with_another_seed,
    ),
)
