"""VerifyBench and VerifyBench-Hard: is an answer right, given the reference answer?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.row import Row


def _verify_bench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question = row.value("question_id")
        record = {
            "id": f"{question}:{row.value('completion_id')}",
            "group": str(question),
            "category": row.text("answer_type"),
            "system": row.text("completion_model"),
            "question": row.text("question"),
            "answer": row.text("completion"),
            "reference": row.text("answer"),
            "gold": row.choice("gold_correct", {True: "yes", False: "no"}),
            "answer_subtype": row.text("answer_subtype"),
        }
        yield Made(row, record)


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="verifybench",
        task="verify",
        source="ZJU-REAL/VerifyBench",
        licence="MIT",
        files="verify_bench_hard.jsonl (VerifyBench-Hard), verify_bench.jsonl",
        gold="gold_correct: true or false, by at least two people; answer is the reference, completion is judged",
        records=_verify_bench,
    ),
)
