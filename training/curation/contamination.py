"""Records that share text with an evaluation set: training on them would make its figures worthless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fare_cli.importers.reading import read_rows
from training.curation.entry import Dropped, Entry, words

NGRAM = 13
"""Words in a row that no two texts share by chance (Brown et al. 2020, appendix C)."""


class Evaluation:
    """The n-grams of evaluation files, and the files that hold them.

    All texts of a row count, whatever its format, and the texts of a list (steps) also as one. A text shorter than an
    n-gram counts as a whole, if it has at least `least` words.
    """

    def __init__(self, size: int = NGRAM, least: int = 5) -> None:
        self._size, self._least = size, least
        self._files: dict[int, str] = {}
        self._short: dict[int, dict[tuple[str, ...], str]] = {}
        """Short texts by the hash of their first `least` words: one look-up a word finds those that may stand there."""

    def add(self, path: Path) -> int:
        """Takes a file in, in any format that importers read; gives its rows."""
        rows = 0
        for row in read_rows([str(path)]):
            rows += 1
            for text in _texts(row.values):
                said = words(text)
                if self._least <= len(said) < self._size:
                    begun = self._short.setdefault(hash(tuple(said[: self._least])), {})
                    begun.setdefault(tuple(said), path.name)
                for start in range(len(said) - self._size + 1):
                    self._files.setdefault(hash(tuple(said[start : start + self._size])), path.name)
        return rows

    def overlap(self, text: str) -> tuple[str, str] | None:
        """The first n-gram, or whole short text, of an evaluation file that a text holds, and the file."""
        said = words(text)
        for start in range(len(said) - min(self._least, self._size) + 1):
            gram = tuple(said[start : start + self._size])
            file = self._files.get(hash(gram))
            if file is not None:
                return " ".join(gram), file
            for short, file in self._short.get(hash(gram[: self._least]), {}).items():
                if gram[: len(short)] == short:
                    return " ".join(short), file
        return None


def without_contaminated(entries: Sequence[Entry], evaluation: Evaluation) -> tuple[list[Entry], list[Dropped]]:
    """The entries whose question, reference, context and answers hold nothing of an evaluation file. Steps are read as
    one text: each alone may be shorter than an n-gram."""
    kept, dropped = [], []
    for entry in entries:
        answers = ("\n".join(entry.answers),) if entry.task == "step" else entry.answers
        texts = (entry.record.question, entry.record.reference or "", entry.record.context or "", *answers)
        found = next((found for text in texts if (found := evaluation.overlap(text))), None)
        if found is None:
            kept.append(entry)
        else:
            dropped.append(Dropped(entry, f"contaminated by {found[1]}", found[0]))
    return kept, dropped


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
        if len(value) > 1 and all(isinstance(inner, str) for inner in value):
            yield "\n".join(value)
