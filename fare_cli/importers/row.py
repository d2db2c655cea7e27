"""One row of a data set's file, and typed access to its fields that says where a wrong one stands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from fare_cli.errors import InputError
from fare_cli.record_fields import shown, what

_Label = TypeVar("_Label")


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was published. `line` counts from 1: the physical line of JSONL, CSV and TSV; of a JSON array or
    object, and of Parquet, the number of the element.

    Fields are named by dotted paths (`175b_verification.solution`, `messages.0.content`); a name that contains a dot is
    found first. Everything here raises InputError with file, line and field for a field that is missing or is not what
    the data set publishes: then it is another file.
    """

    file: str
    line: int
    values: Mapping[str, Any]
    within: str = ""
    """Path of an object inside the row, with its last dot, where this is a `part`."""

    def has(self, path: str) -> bool:
        """Whether the field is there; null is."""
        try:
            self._find(path)
        except (LookupError, TypeError, ValueError):
            return False
        return True

    def value(self, path: str) -> Any:
        """Whatever is there, null too."""
        try:
            return self._find(path)
        except (LookupError, TypeError, ValueError):
            there = ", ".join(str(name) for name in list(self.values)[:12])
            self.refuse(path, f"is missing; the row has {there or 'no fields'}")

    def text(self, path: str) -> str:
        value = self.value(path)
        return value if isinstance(value, str) else self.refuse(path, f"is {what(value)}, not text")

    def texts(self, path: str) -> list[str]:
        value = self.items(path)
        for index, item in enumerate(value):
            if not isinstance(item, str):
                self.refuse(f"{path}.{index}", f"is {what(item)}, not text")
        return value

    def items(self, path: str) -> list[Any]:
        value = self.value(path)
        return value if isinstance(value, list) else self.refuse(path, f"is {what(value)}, not a list")

    def object(self, path: str) -> Mapping[str, Any]:
        value = self.value(path)
        return value if isinstance(value, Mapping) else self.refuse(path, f"is {what(value)}, not an object")

    def part(self, path: str) -> Row:
        """The object at `path` as a row of its own, whose fields are reported with their whole path."""
        return Row(self.file, self.line, self.object(path), f"{self.within}{path}.")

    def whole(self, path: str) -> int:
        """A whole number, also where the file writes it as text."""
        value = self.value(path)
        if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
            return int(value)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(path, f"is {shown(value)}, not a whole number")
        return value

    def number(self, path: str) -> float:
        """A number, also where the file writes it as text."""
        value = self.value(path)
        if isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                self.refuse(path, f"is {shown(value)}, not a number")
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(path, f"is {shown(value)}, not a number")
        return value

    def choice(self, path: str, meanings: Mapping[Any, _Label]) -> _Label:
        """What a value means, of those that the data set publishes; true is not 1 here."""
        value = self.value(path)
        for published, meaning in meanings.items():
            if type(published) is type(value) and published == value:
                return meaning
        known = ", ".join(json.dumps(one) for one in meanings)
        return self.refuse(path, f"is {shown(value)}, and {known} are known")

    def refuse(self, path: str, message: str) -> NoReturn:
        """Raises InputError for a field; `message` goes on where its name ends."""
        raise InputError(f"{self.file}, line {self.line}: `{self.within}{path}` {message}")

    def _find(self, path: str) -> Any:
        if path in self.values:
            return self.values[path]
        value: Any = self.values
        for name in path.split("."):
            value = value[int(name)] if isinstance(value, Sequence) and not isinstance(value, str) else value[name]
        return value
