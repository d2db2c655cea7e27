"""A record on its way into a training set, and what is asked of its text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fare_cli.records import Record

TASKS = ("pairwise", "step", "verify-reference", "verify", "score")
"""The five tasks of FARE's mix: verify with a reference is another prompt than without."""

_WORD = re.compile(r"\w+")
_SIDE = re.compile(r"\b(Answer|answer|Assistant|assistant|Response|response) ([AB])\b|\[([AB])\]")
"""How a critique names an answer beyond doubt."""
_SIDE_PERHAPS = re.compile(
    r"(?<![^\W_])[AB](?![^\W_])|(?i:\b(?:former|latter|on the (?:left|right))\b"
    r"|\b(?:first|second|1st|2nd)\b(?! (?:mistake|error|step|line|sentence|time)\b)"
    r"|(?:answer|assistant|response|solution|option|model|candidate)s?[\s_#:]*(?:[ab12]|one|two)(?![^\W_]))"
)
"""What may name an answer too, or be an article, a grade, a thing of the question."""
_SWAP = {"A": "B", "B": "A"}


def task_of(record: Record) -> str:
    """Which of the five tasks a record is of."""
    return "verify-reference" if record.task == "verify" and record.reference else record.task


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with gold, and where it came from."""

    record: Record
    source: str
    licence: str
    place: str

    @property
    def task(self) -> str:
        return task_of(self.record)

    @property
    def label(self) -> str:
        return str(self.record.gold)

    @property
    def question(self) -> str:
        """The question as its words: records of one question share it, whatever its case, spaces and marks."""
        return plain(self.record.question)

    @property
    def answers(self) -> tuple[str, ...]:
        """What is judged, in an order that does not tell A from B."""
        fields = vars(self.record)
        if self.record.task == "pairwise":
            return tuple(sorted((fields["answer_a"], fields["answer_b"])))
        return tuple(fields["steps"]) if self.record.task == "step" else (fields["answer"],)

    @property
    def text(self) -> str:
        """Question, reference and answers as words."""
        return plain(" ".join((self.record.question, self.record.reference or "", *self.answers)))

    @property
    def characters(self) -> int:
        """How long what the judge is shown is, prompt and labels not counted."""
        fields = self.record.to_json()
        return sum(len(str(fields[name])) for name in self.record.judged if fields.get(name) is not None)

    def to_json(self) -> dict[str, Any]:
        return self.record.to_json() | {"source": self.source, "licence": self.licence}

    def swapped(self) -> Entry:
        """The pair with its answers, and all that is said of them, the other way round; without its critique where it
        is not certain which words of it name an answer."""
        values = self.record.to_json()
        values["answer_a"], values["answer_b"] = values["answer_b"], values["answer_a"]
        systems = values.pop("system_a", None), values.pop("system_b", None)
        values |= {name: one for name, one in zip(("system_b", "system_a"), systems, strict=True) if one is not None}
        values["gold"] = _SWAP.get(values["gold"], values["gold"])
        if "annotations" in values:
            values["annotations"] = {who: _SWAP.get(one, one) for who, one in values["annotations"].items()}
        if isinstance(values.get("critique"), str):
            critique = _critique_of_swapped(values["critique"], [str(values.get(name)) for name in self.record.judged])
            values.pop("critique")
            values |= {} if critique is None else {"critique": critique}
        return replace(self, record=type(self.record).model_validate(values))


def told_apart(entries: Sequence[Entry]) -> list[Entry]:
    """The records with an id for each: published sets, and files beside one another, use some ids twice. Those get the
    hash of their content behind them, whichever came first."""
    used = Counter(entry.record.id for entry in entries)
    return [
        entry
        if used[entry.record.id] == 1
        else replace(entry, record=entry.record.with_id(f"{entry.record.id}-{entry.record.content_id()[:8]}"))
        for entry in entries
    ]


def _critique_of_swapped(critique: str, shown: Sequence[str]) -> str | None:
    """The critique of a pair whose answers change places; None where a name of a side may be left, or where what looks
    like one may be a quotation, since the judged texts hold such names themselves."""
    if _SIDE_PERHAPS.search(unicodedata.normalize("NFKC", _SIDE.sub("", critique))) or any(map(_SIDE.search, shown)):
        return None
    return _SIDE.sub(_other_side, critique)


def _other_side(found: re.Match[str]) -> str:
    return f"{found[1]} {_SWAP[found[2]]}" if found[2] else f"[{_SWAP[found[3]]}]"


class Dropped(NamedTuple):
    """A record that is not trained on. `reason` is one of few, `detail` says which other record, n-gram or file."""

    entry: Entry
    reason: str
    detail: str = ""

    def to_json(self) -> Mapping[str, str]:
        return {
            "id": self.entry.record.id, "task": self.entry.task, "source": self.entry.source,
            "place": self.entry.place, "reason": self.reason, "detail": self.detail,
        }  # fmt: skip


class Unread(NamedTuple):
    """A row that is no record to train on: its importer skips it, or it has no label that a judge can give. `id` and
    `task` are None where there is no record."""

    source: str
    place: str
    reason: str
    id: str | None = None
    task: str | None = None

    def to_json(self) -> Mapping[str, str | None]:
        return {
            "id": self.id, "task": self.task, "source": self.source,
            "place": self.place, "reason": self.reason, "detail": "",
        }  # fmt: skip


def plain(text: str) -> str:
    """The words of a text in lower case with one space between: what counts as the same when texts are compared."""
    return " ".join(words(text))


def words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
