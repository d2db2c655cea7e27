"""Which of two answers is shown as A, for sets that publish the better one first."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from fare_cli.importers.importer import Made
from fare_cli.importers.row import Row

BY_HASH = "by a hash of question and answers: about half of the better ones are A, the same in every conversion"
AS_PUBLISHED = "as published"


class Candidate(NamedTuple):
    """An answer, and who gave it where that is published."""

    answer: Any
    system: str | None = None


def keeps_order(question: Any, first: Any, second: Any) -> bool:
    """Whether `first` is A: one bit of a SHA-256 over the texts, so that no side is the better one as a rule."""
    content = json.dumps([question, first, second], ensure_ascii=False)
    return hashlib.sha256(content.encode("utf-8", "backslashreplace")).digest()[0] % 2 == 0


def preference(row: Row, question: Any, better: Candidate, worse: Candidate, **fields: Any) -> Made:
    """A pairwise record of a better and a worse answer, its sides by `keeps_order`; `fields` are further ones."""
    kept = keeps_order(question, better.answer, worse.answer)
    a, b = (better, worse) if kept else (worse, better)
    record = {
        **fields,
        "question": question,
        "answer_a": a.answer,
        "answer_b": b.answer,
        "system_a": a.system,
        "system_b": b.system,
        "gold": "A" if kept else "B",
    }
    return Made(row, record)
