"""The final answer of a worked solution, for majority voting."""

from __future__ import annotations

import re

# What solutions end with: `#### 7` (GSM8K), `A: 7` (its model solutions), `Answer: 7`, `the answer is 7`.
_MARKED = re.compile(
    r"(?:####|^\s*(?:final\s+)?(?:answer|a)\s*:|\banswer\s+is:?)\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE
)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
# Behind a number these make it another one, as in `1/2`, `3:45`, `10^5`, `2x/3` and `2\\sqrt{3}`.
_MORE = re.compile(r"\s*(?:[-+*/^:=×·]\s*[\d{(]|\\(?!%|text|mathrm|,| ))|[a-z]?[*/^]\w")


def final_answer(solution: str) -> str | None:
    """What a solution says its answer is, equal for equal answers (`$1,000.00` and `1000`); None where it says none.

    The last mark counts. Numbers lose currency, percent and unit; other text, a fraction or a power among it, is
    compared without case and full stop.
    """
    found = [(match.end(), match[1]) for pattern in (_MARKED, _BOXED) for match in pattern.finditer(solution)]
    if not found:
        return None
    text = max(found)[1]
    if boxed := _BOXED.search(text):
        text = boxed[1]
    text = text.strip().strip("*$ ").removeprefix("\\$").lstrip("€£")
    number = _NUMBER.match(text)
    if number and any(letter.isdigit() for letter in number[0]) and not _MORE.match(text, number.end()):
        plain = re.sub(r"^([-+]?)\.", r"\g<1>0.", number[0].replace(",", "")).lstrip("+")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return text.casefold().rstrip(".").strip() or None
