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

    All texts of a row count, whatever its format. A text shorter than an n-gram counts as a whole, if it has at least
    `least` words.
    """

    def __init__(self, size: int = NGRAM, least: int = 5) -> None:
        self._size, self._least = size, least
        self._files: dict[int, str] = {}

    def add(self, path: Path) -> int:
        """Takes a file in, in any format that importers read; gives its rows."""
        rows = 0
        for row in read_rows([str(path)]):
            rows += 1
            for text in _texts(row.values):
                for gram in self._grams(words(text)):
                    self._files.setdefault(hash(gram), path.name)
        return rows

    def _grams(self, said: Sequence[str]) -> Iterator[tuple[str, ...]]:
        if self._least <= len(said) < self._size:
            yield tuple(said)
        for start in range(len(said) - self._size + 1):
            yield tuple(said[start : start + self._size])

    def overlap(self, text: str) -> tuple[str, str] | None:
        """The first n-gram of a text that an evaluation file holds, and the file."""
        for gram in self._grams(words(text)):
            file = self._files.get(hash(gram))
            if file is not None:
                return " ".join(gram), file
        return None


def without_contaminated(entries: Sequence[Entry], evaluation: Evaluation) -> tuple[list[Entry], list[Dropped]]:
    """The entries whose question, reference, context and answers share no n-gram with an evaluation file."""
    kept, dropped = [], []
    for entry in entries:
        texts = (entry.record.question, entry.record.reference or "", entry.record.context or "", *entry.answers)
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
