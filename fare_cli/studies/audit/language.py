"""Language: other names for the labels, labels in another language, records in another language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fare_cli.errors import RecordError
from fare_cli.records import Record, parse
from fare_cli.studies.audit.labels import RenamedLabels
from fare_cli.studies.audit.perturbation import ALL_TASKS, Perturbation, Spot
from fare_cli.tasks import Task

MOST_LANGUAGES = 3
_ANSWERS = {"pairwise": ("answer_a", "answer_b"), "step": ("steps",), "verify": ("answer",), "score": ("answer",)}

_OTHER_NAMES = {
    "pairwise": ({"A": "1", "B": "2"}, {"A": "X", "B": "Y"}),
    "verify": ({"yes": "true", "no": "false"}, {"yes": "correct", "no": "incorrect"}),
}
_OTHER_LANGUAGES = {
    "pairwise": ({"A": "Erste", "B": "Zweite"}, {"A": "Première", "B": "Seconde"}),
    "verify": ({"yes": "ja", "no": "nein"}, {"yes": "oui", "no": "non"}),
}


def translated(record: Record, spot: Spot) -> Record | None:
    """The record in one of the languages of its field `translations`, which is `{language: {field: text}}`.

    A translation must hold the question and every answer (or all steps); other fields that it leaves out stay as they
    are. Raises RecordError for translations of another form.
    """
    translations = record.extra.get("translations")
    if translations is None:
        return None
    if not isinstance(translations, Mapping):
        raise RecordError("bad_type", "`translations` is not an object from language to fields", "translations")
    languages = sorted(translations)
    return _in_language(record, languages[spot.copy], translations) if spot.copy < len(languages) else None


def _in_language(record: Record, language: str, translations: Mapping[str, Any]) -> Record:
    path, fields = f"translations.{language}", translations[language]
    if not isinstance(fields, Mapping):
        raise RecordError("bad_type", f"`{path}` is not an object from field to text", path)
    for field in ("question", *_ANSWERS[record.task]):
        if field not in fields:
            raise RecordError("missing_field", f"`{path}.{field}` is missing: a record is translated whole", path)
    unknown = fields.keys() - set(type(record).judged)
    if unknown:
        field = min(unknown)
        raise RecordError("unknown_field", f"`{path}.{field}` is no field that the judge is shown", f"{path}.{field}")
    values = record.to_json()
    if record.task == "step" and len(fields["steps"]) != len(values["steps"]):
        raise RecordError("bad_value", f"`{path}.steps` has another number of steps than the record", f"{path}.steps")
    try:
        return parse(record.task, {**values, **fields})
    except RecordError as error:
        raise RecordError(error.kind, f"{path}: {error.message}", path) from error


def _renaming(choices: Mapping[str, tuple[dict[str, str], ...]]) -> Callable[[Task, int], Task | None]:
    def asks(task: Task, copy: int) -> Task:
        return RenamedLabels(task, choices[task.name][copy])

    return asks


_NO_NAMES = (
    " Scores and steps have numbers for labels, which have no other names, so this is for pairwise and verify. It "
    "needs prompts that name the labels as fare's own do; with others it is left out."
)

LANGUAGE = (
    Perturbation(
        "label_names",
        "language",
        ("pairwise", "verify"),
        "everywhere",
        "The labels have other names, in the prompt and in the verdict that is read: 1 and 2, or X and Y, for A and B; "
        "true and false, or correct and incorrect, for yes and no. The record is the same." + _NO_NAMES,
        asks=_renaming(_OTHER_NAMES),
        copies=2,
    ),
    Perturbation(
        "label_language",
        "language",
        ("pairwise", "verify"),
        "everywhere",
        "The labels are words of another language, in the prompt and in the verdict that is read: Erste and Zweite, or "
        "Première and Seconde, for A and B; ja and nein, or oui and non, for yes and no." + _NO_NAMES,
        asks=_renaming(_OTHER_LANGUAGES),
        copies=2,
    ),
    Perturbation(
        "translation",
        "language",
        ALL_TASKS,
        "everywhere",
        "The whole record in another language, for records that bring translations: a field "
        '`translations: {"de": {"question": "...", "answer": "..."}}` with question and answers (or steps) of each '
        f"language, at most {MOST_LANGUAGES} of them. The prompt stays as it is.",
        translated,
        copies=MOST_LANGUAGES,
    ),
)
