"""The final answer of a worked solution, for majority voting and for grading."""

from __future__ import annotations

import re

# What solutions end with: `#### 7` (GSM8K), `A: 7` (its model solutions), `Answer: 7` in bold or as a heading too, `the
# answer is 7`, `the answer to the problem is 7`.
_MARKED = re.compile(
    r"(?:####|^[ \t*_#>]*(?:final\s+)?(?:answer|a)[\s*_]*:[*_]*|\banswer(?:\s+to\s+\w+\s+\w+)?\s+is:?)\s*(.+?)\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_THREE_DEEP = r"(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*"
_BOXED = re.compile(rf"\\boxed\s*\{{({_THREE_DEEP})\}}")
_WORDS = re.compile(r"\w")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
# Behind a number these make it another one, as in `1/2`, `3:45`, `10^5`, `2x/3` and `2\\sqrt{3}`.
_MORE = re.compile(r"\s*(?:[-+*/^:=×·]\s*[\d{(]|\\(?!%|text|mathrm|,| ))|[a-z]?[*/^]\w")


def marked_answer(solution: str) -> str | None:
    """The words behind the last mark of a final answer to the end of their line, or those in its box, as they stand;
    None where nothing is marked."""
    found = _last_mark(solution)
    return found[1] if found else None


def closing_answer(solution: str) -> str | None:
    """What `marked_answer` gives, of a solution that ends with it: None where lines with words follow."""
    found = _last_mark(solution)
    if found is None:
        return None
    end, answer = found
    following = solution[end:].partition("\n")[2]
    return None if _WORDS.search(following) else answer


def _last_mark(solution: str) -> tuple[int, str] | None:
    """Where the last marked answer ends, and what it says."""
    found = [(match.end(1), match[1]) for pattern in (_MARKED, _BOXED) for match in pattern.finditer(solution)]
    if not found:
        return None
    end, text = max(found)
    boxed = _BOXED.search(text)
    return end, (boxed[1] if boxed else text).strip()


def final_answer(solution: str) -> str | None:
    """What a solution says its answer is, equal for equal answers (`$1,000.00` and `1000`); None where it says none.

    The last mark counts. Numbers lose currency, percent and unit; other text, a fraction or a power among it, is
    compared without case and full stop.
    """
    marked = marked_answer(solution)
    if marked is None:
        return None
    text = marked.strip("*$ ").removeprefix("\\$").lstrip("€£")
    number = _NUMBER.match(text)
    if number and any(letter.isdigit() for letter in number[0]) and not _MORE.match(text, number.end()):
        plain = re.sub(r"^([-+]?)\.", r"\g<1>0.", number[0].replace(",", "")).lstrip("+")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return text.casefold().rstrip(".").strip() or None
