"""VerifyBench and VerifyBench-Hard: is an answer right, given the reference answer?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.row import Row


def _verify_bench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        record = {
            **_names(row),
            "category": row.text("answer_type"),
            "question": row.text("question"),
            "answer": row.text("completion"),
            "reference": row.text("answer"),
            "gold": row.choice("gold_correct", {True: "yes", False: "no"}),
            "answer_subtype": row.text("answer_subtype"),
        }
        yield Made(row, record)


def _names(row: Row) -> dict[str, str]:
    """Id, group and system. The set's own evaluation does not read these fields, so they may not be everywhere."""
    names = {}
    if row.has("question_id"):
        names["group"] = str(row.value("question_id"))
        if row.has("completion_id"):
            names["id"] = f"{names['group']}:{row.value('completion_id')}"
    if row.has("completion_model"):
        names["system"] = row.text("completion_model")
    return names


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="verifybench",
        task="verify",
        source="ZJU-REAL/VerifyBench (Yan et al. 2025)",
        licence="MIT",
        files="verify_bench_hard.jsonl (VerifyBench-Hard), verify_bench.jsonl",
        gold="`gold_correct`, by at least two people; `completion` is judged, `answer` is the reference",
        records=_verify_bench,
    ),
)
