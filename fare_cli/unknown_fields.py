"""Tells a misspelt field name from an ordinary unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

_ORDINARY = frozenset({"annotators", "content", "good", "inference", "preference", "preferences", "system_id"})
"""Real field names that are one or two letters away from one of ours by chance."""


def near_miss(name: str, known: Iterable[str]) -> str | None:
    """The known field that `name` was probably meant to be, None where it is likely a name of its own.

    One edit (letter changed, left out, added, or two swapped) makes a near miss, two for names of 8 letters and more;
    case, `-` and spaces do not count. Names under 4 letters have none (`idx`, `_id` are not `id`); under 6 the first
    letter must agree (`fold` is not `gold`).
    """
    return _near_miss(name, tuple(known)) if len(name) <= 40 else None


@lru_cache(maxsize=4096)
def _near_miss(name: str, known: tuple[str, ...]) -> str | None:
    plain = name.casefold().replace("-", "_").replace(" ", "_")
    if plain in _ORDINARY:
        return None
    best, best_edits = None, 3
    for field in known:
        if len(field) < 4 or (len(field) < 6 and plain[:1] != field[:1]):
            continue
        allowed = 2 if len(field) >= 8 and not field.endswith(("_a", "_b")) else 1
        edits = _edits(plain, field)
        if edits <= allowed and edits < best_edits:
            best, best_edits = field, edits
    return best


def _edits(one: str, other: str) -> int:
    """Edits between two words, a swap of neighbours counted as one (optimal string alignment); 3 if lengths are far."""
    if abs(len(one) - len(other)) > 2:
        return 3
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        before, last, row = row, before, [i]
        for j, target in enumerate(other, start=1):
            edits = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != target))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == target:
                edits = min(edits, last[j - 2] + 1)
            row.append(edits)
    return row[-1]
