"""Names for what a data set publishes without one."""

from __future__ import annotations

import hashlib


def question_name(question: str) -> str:
    """A name for a question, or another text, that stays the same from one conversion to the next: 12 hex digits over
    its text."""
    return hashlib.sha256(question.encode("utf-8", "backslashreplace")).hexdigest()[:12]
