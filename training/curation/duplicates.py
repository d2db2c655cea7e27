"""Texts that are there twice, to the letter or nearly, and questions that are nearly the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from training.curation.entry import Dropped, Entry

THRESHOLD = 0.8
"""Jaccard similarity of the sets of word triples from which on two texts are near-duplicates: that of the C4 and
The Pile clean-ups."""
_PERMUTATIONS = 128
_WEIGHTS = (0.1, 0.9)
"""Of false candidates, which the exact similarity sorts out again, against missed ones."""
_SHINGLE = 3


def without_duplicates(entries: Sequence[Entry]) -> tuple[list[Entry], list[Dropped]]:
    """The entries without those that an earlier one says again, and what was dropped.

    Where the same text has two labels, no record of it is kept. Records of one question are compared to the letter
    only: a solution and its twin with one wrong number are no duplicates.
    """
    kept, dropped = _without_exact(entries)
    near, more = _without_near(kept)
    return near, [*dropped, *more]


def _without_exact(entries: Sequence[Entry]) -> tuple[list[Entry], list[Dropped]]:
    first: dict[str, Entry] = {}
    contradicted: set[str] = set()
    for entry in entries:
        earlier = first.setdefault(_content(entry), entry)
        if _verdict(earlier) != _verdict(entry):
            contradicted.add(_content(entry))
    kept, dropped = [], []
    for entry in entries:
        content = _content(entry)
        if content in contradicted:
            dropped.append(Dropped(entry, "the same text with two labels", first[content].record.id))
        elif first[content] is not entry:
            dropped.append(Dropped(entry, "exact duplicate", first[content].record.id))
        else:
            kept.append(entry)
    return kept, dropped


def _content(entry: Entry) -> str:
    more = (entry.record.context or "", entry.record.protocol or "", str(vars(entry.record).get("rubric")))
    return "\n".join((entry.task, entry.record.question, entry.record.reference or "", *entry.answers, *more))


def _verdict(entry: Entry) -> str:
    """The label, of a pair the better answer's text: it stays the same when the answers change places."""
    fields = vars(entry.record)
    return str(fields[f"answer_{entry.label.lower()}"]) if entry.record.task == "pairwise" else entry.label


def _without_near(entries: Sequence[Entry]) -> tuple[list[Entry], list[Dropped]]:
    kept: list[Entry] = []
    dropped = []
    kinds = [f"{entry.task}/{entry.label if entry.record.task != 'pairwise' else ''}" for entry in entries]
    questions = [entry.question for entry in entries]
    matches = similar([entry.text for entry in entries], kinds)
    gone: set[int] = set()
    for number, entry in enumerate(entries):
        others = (other for other in matches[number] if questions[other] != questions[number])
        twin = next((other for other in others if other not in gone), None)
        if twin is None:
            kept.append(entry)
        else:
            gone.add(number)
            dropped.append(Dropped(entry, "near-duplicate", entries[twin].record.id))
    return kept, dropped


def question_clusters(questions: Sequence[str]) -> dict[str, str]:
    """For each question (as words) the first of all that are the same or nearly so: no two of a cluster may be on both
    sides of a split."""
    unique = list(dict.fromkeys(questions))
    leader = list(range(len(unique)))

    def root(number: int) -> int:
        while leader[number] != number:
            number = leader[number]
        return number

    for number, earlier in enumerate(similar(unique)):
        for other in earlier:
            one, two = sorted((root(number), root(other)))
            leader[two] = one
    return {question: unique[root(number)] for number, question in enumerate(unique)}


def similar(texts: Sequence[str], kinds: Sequence[str] | None = None) -> list[list[int]]:
    """For each text (as words) the earlier ones of its kind whose similarity is at least `THRESHOLD`, in order.

    MinHash with locality-sensitive hashing (Broder 1997; Leskovec et al. 2014, chapter 3) finds the candidates, the
    exact similarity decides.
    """
    from datasketch import MinHashLSH

    found: list[list[int]] = []
    indices: dict[str, Any] = {}
    for number, text in enumerate(texts):
        kind = kinds[number] if kinds else ""
        if kind not in indices:
            indices[kind] = MinHashLSH(threshold=THRESHOLD, num_perm=_PERMUTATIONS, weights=_WEIGHTS)
        sketch = _sketch(text)
        candidates = sorted(indices[kind].query(sketch))
        found.append([other for other in candidates if jaccard(text, texts[other]) >= THRESHOLD])
        indices[kind].insert(number, sketch)
    return found


def _sketch(text: str) -> Any:
    from datasketch import MinHash

    sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
    sketch.update_batch([shingle.encode() for shingle in shingles(text)])
    return sketch


def jaccard(one: str, other: str) -> float:
    """How much of their word triples two texts share."""
    first, second = set(shingles(one)), set(shingles(other))
    return len(first & second) / len(first | second)


def shingles(text: str) -> Iterator[str]:
    parts = text.split(" ")
    if len(parts) < _SHINGLE:
        yield text
    for start in range(len(parts) - _SHINGLE + 1):
        yield " ".join(parts[start : start + _SHINGLE])
