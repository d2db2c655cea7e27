"""Importers that a user writes: a map of fields, or a recipe in TOML with labels, index base, constants and skips."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fare_cli import records
from fare_cli.errors import InputError, UsageError
from fare_cli.importers.importer import Importer, IndexBase, Made, Skipped
from fare_cli.importers.row import Row
from fare_cli.importers.sides import AS_PUBLISHED, BY_HASH, keeps_order
from fare_cli.records import Split, TaskName
from fare_cli.unknown_fields import near_miss

_Plain = str | bool | int | float
_NEVER_LEFT_OUT = {"question", "answer", "answer_a", "answer_b"}


class Recipe(BaseModel):
    """How rows become records of `task`.

    `map` takes fields from elsewhere (field of the record -> dotted path of the row); all other fields of the row are
    kept. `labels` says what published labels mean: texts as they are, all else as JSON writes it (`1`, `true`, `null`);
    a label that is not in it is counted from `index_base` for steps, and is an error otherwise. `constants` are fields
    that every record gets. `skip` leaves out rows by value: dotted path -> the values. `balance_sides` is for sets that
    publish the better answer first: sides by a hash, see `sides`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: TaskName
    name: str | None = None
    map: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, _Plain] = Field(default_factory=dict)
    index_base: IndexBase = 0
    split: Split | None = None
    constants: dict[str, Any] = Field(default_factory=dict)
    skip: dict[str, _Plain | list[_Plain]] = Field(default_factory=dict)
    balance_sides: bool = False

    def importer(self) -> Importer:
        return Importer(
            name=self.name or self.task,
            task=self.task,
            source="the user's recipe",
            licence="the user's to know",
            files="any",
            gold=self.map.get("gold", "gold"),
            records=self._records,
            index_base=self.index_base if self.task == "step" else None,
            sides=(BY_HASH if self.balance_sides else AS_PUBLISHED) if self.task == "pairwise" else None,
        )

    def _records(self, rows: Iterable[Row]) -> Iterator[Made | Skipped]:
        for row in rows:
            reason = self._skipped(row)
            yield Skipped(row, reason) if reason else Made(row, self._record(row), self.split)

    def _skipped(self, row: Row) -> str | None:
        for path, values in self.skip.items():
            written = _written(row.value(path))
            if written in {_written(value) for value in (values if isinstance(values, list) else [values])}:
                return f"{path} is {written}"
        return None

    def _record(self, row: Row) -> dict[str, Any]:
        taken = {field: row.value(path) for field, path in self.map.items()}
        rest = {name: value for name, value in row.values.items() if name not in self.map.values()}
        record = {**rest, **taken}
        # A table has no null: where a field may be left out, an empty cell says that it is.
        for field in set(records.record_fields(self.task)) - _NEVER_LEFT_OUT:
            if record.get(field) == "":
                del record[field]
        for field in ("gold", "annotations"):
            if field in record:
                record[field] = self._labels_of(row, self.map.get(field, field), record[field])
        record |= self.constants
        return _balanced(record) if self.balance_sides else record

    def _labels_of(self, row: Row, path: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: self._label(row, f"{path}.{name}", one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._label(row, f"{path}.{index}", one) for index, one in enumerate(value)]
        return self._label(row, path, value)

    def _label(self, row: Row, path: str, value: Any) -> Any:
        written = _written(value)
        if written in self.labels:
            return self.labels[written]
        if value is None:
            return None
        if self.task == "step":
            index = row.whole(path)
            if index < self.index_base == 1:
                row.refuse(path, f"is {index}, and steps count from 1; [labels] can say what it means")
            return index - self.index_base
        if self.labels:
            row.refuse(path, f"is {written}, and [labels] has {', '.join(self.labels)}")
        return row.number(path) if self.task == "score" else value


def _written(value: Any) -> str:
    """A value as `[labels]` and `[skip]` name it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _balanced(record: dict[str, Any]) -> dict[str, Any]:
    if keeps_order(record.get("question"), record.get("answer_a"), record.get("answer_b")):
        return record
    swapped = dict(record)
    for one, other in (("answer_a", "answer_b"), ("system_a", "system_b")):
        swapped[one], swapped[other] = record.get(other), record.get(one)
    swapped["gold"] = _other_side(record.get("gold"))
    labels = record.get("annotations")
    if isinstance(labels, Mapping):
        swapped["annotations"] = {name: _other_side(label) for name, label in labels.items()}
    elif isinstance(labels, list):
        swapped["annotations"] = [_other_side(label) for label in labels]
    return swapped


def _other_side(label: Any) -> Any:
    return {"A": "B", "B": "A"}.get(label, label) if isinstance(label, str) else label


def mapped(task: TaskName, field_map: Mapping[str, str]) -> Recipe:
    """The recipe that only maps fields. Raises UsageError for a target that is no field of the task."""
    records.check_field_map(task, field_map)
    return Recipe(task=task, map=dict(field_map))


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises InputError where it cannot be read, UsageError for what is wrong in it."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    for key in values:
        if key not in Recipe.model_fields:
            raise _unknown(path, key, key, Recipe.model_fields)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise UsageError(f"{path}: `{field}` is missing", 'for example task = "pairwise"') from None
        raise UsageError(f"{path}: `{field}`: {first['msg']}") from None
    _check(path, recipe)
    return recipe if recipe.name else recipe.model_copy(update={"name": path.stem})


def _check(path: Path, recipe: Recipe) -> None:
    known = records.record_fields(recipe.task)
    for table, fields in (("map", recipe.map), ("constants", recipe.constants)):
        for field in fields:
            if field not in known:
                raise _unknown(path, f"{table}.{field}", field, known)
    twice = sorted(set(recipe.map) & set(recipe.constants))
    if twice:
        raise UsageError(f"{path}: `{twice[0]}` is in [map] and in [constants]")
    for name, task, is_given in (
        ("index_base", "step", "index_base" in recipe.model_fields_set),
        ("split", "step", recipe.split is not None),
        ("balance_sides", "pairwise", recipe.balance_sides),
    ):
        if is_given and recipe.task != task:
            raise UsageError(f"{path}: `{name}` is for {task} records, and these are {recipe.task}")


def _unknown(path: Path, place: str, name: str, known: Iterable[str]) -> UsageError:
    names = tuple(known)
    like = near_miss(name, names)
    return UsageError(
        f"{path}: `{place}` is not known", f"did you mean {like}?" if like else f"known: {', '.join(names)}"
    )
