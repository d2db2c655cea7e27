"""The figures of docs/fare-nano.md for answers to verify, by what they are compared with: of a judge, and of the rule
that the answer contains the reference.

    python scripts/nano_table.py RECORDS VERDICTS...

RECORDS are those of `nano_records.py` or any to verify, VERDICTS files of `fare judge verify` on them.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from nano_records import Record, kind, question, read

from fare_cli.meta.bootstrap import Estimate
from fare_cli.meta.verify import VerifyMeasures, measure_verify
from fare_cli.records import parse
from training.guessing.rules import contains_reference


def shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    if estimate.interval is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.interval.low:.3f} to {estimate.interval.high:.3f})"


def row(name: str, records: list[Record], measures: VerifyMeasures) -> str:
    return f"{name} | {len(records)} | {shown(measures.balanced_accuracy)} | {shown(measures.auroc)}"


def main() -> None:
    records = {one["id"]: one for one in read(Path(sys.argv[1])) if "answer" in one and "steps" not in one}
    for path in map(Path, sys.argv[2:]):
        verdicts = {one["id"]: one for one in read(path) if one["status"] == "ok"}
        by_kind: dict[str, list[Record]] = defaultdict(list)
        for name, record in records.items():
            if name in verdicts:
                by_kind[kind(record)].append(record)
        for one, found in sorted(by_kind.items()):
            gold = [record["gold"] == "yes" for record in found]
            groups = [question(record) for record in found]
            said = [verdicts[record["id"]] for record in found]
            p_yes = [verdict["probabilities"]["yes"] for verdict in said]
            judged = [verdict["verdict"] == "yes" for verdict in said]
            print(row(f"{path.name}: {one}", found, measure_verify(judged, gold, groups, p_yes=p_yes)))
            if one != "verify":
                ruled = [contains_reference(parse("verify", record)).label == "yes" for record in found]
                print(row(f"contains the reference: {one}", found, measure_verify(ruled, gold, groups)))


if __name__ == "__main__":
    main()
