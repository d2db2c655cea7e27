"""Records for tests of the filters: small, with the fields that matter said."""

from __future__ import annotations

from typing import Any

from fare_cli import records
from training.curation.entry import Entry


def entry(task: str = "verify", source: str = "set", **values: Any) -> Entry:
    """An entry with an id of its own content where none is given."""
    fields: dict[str, Any] = {"question": "What is two and two?", "gold": "yes"}
    if task == "pairwise":
        fields |= {"answer_a": "4", "answer_b": "5", "gold": "A"}
    elif task == "step":
        fields |= {"steps": ["2+2 = 4"], "gold": -1}
    else:
        fields["answer"] = "4"
    if task == "score":
        fields |= {"rubric": "right?", "gold": 3}
    record = records.parse(task, fields | values)
    return Entry(record if record.id else record.with_id(record.content_id()), source, "MIT", "f:1")
