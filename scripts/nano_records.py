"""Cuts a curated folder into what the training of fare-nano takes; docs/fare-nano.md has the commands around it.

    python scripts/nano_records.py CURATED -o DIR

writes cold.jsonl (for the cold start: records with critiques), records.jsonl (for the iterations), both without a
common question, and of the held-out side watched.jsonl (to look at after each stage) and test.jsonl (to report on).
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]

SOURCES = {"openai/grade-school-math": "numbers", "RUCAIBox/HaluEval": "facts", "truthfulqa": "truths"}
COLD = {"numbers": 1320, "facts": 2600, "verify": 220, "step": 180, "pairwise": 180}
RECORDS = {"numbers": 80, "facts": 260, "truths": 80}
WATCHED = {"numbers": 60, "facts": 100, "truths": 40}
TEST = {"numbers": 200, "facts": 200, "truths": 200, "verify": 215, "step": 140, "pairwise": 140}


def kind(record: Record) -> str:
    """The task; of what is verified against a reference, what is compared: numbers, names, sentences."""
    if record.get("reference") is not None and "answer" in record:
        return SOURCES.get(record.get("source", ""), "reference")
    return "pairwise" if "answer_a" in record else "step" if "steps" in record else "verify"


def question(record: Record) -> str:
    return str(record.get("group") or record["question"])


def read(path: Path) -> list[Record]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def take(records: Iterable[Record], wanted: dict[str, int]) -> list[Record]:
    """The first records of each kind, as many as wanted."""
    left = Counter(wanted)
    taken = []
    for record in records:
        if left[kind(record)] > 0:
            left[kind(record)] -= 1
            taken.append(record)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description="Cut a curated folder into what the training of fare-nano takes.")
    parser.add_argument("curated", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    train, held_out = (read(options.curated / f"{side}.jsonl") for side in ("train", "held-out"))
    random.Random(5).shuffle(held_out)
    # Question after question, so that the iterations use up few of them.
    train.sort(key=lambda record: random.Random(question(record)).random())
    records = take(train, RECORDS)
    used = set(map(question, records))
    parts = {
        "cold": take((one for one in train if one.get("critique") and question(one) not in used), COLD),
        "records": records,
        "watched": take(held_out, WATCHED),
        "test": take(held_out, TEST),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    for name, records in parts.items():
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        (options.output / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(name, len(records), dict(Counter(map(kind, records))))


if __name__ == "__main__":
    main()
