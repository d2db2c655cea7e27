"""Measures how much memory a run keeps for each record: `python -m tests.run.memory_growth 10000 100000 1000000`.

Every size is run in a process of its own, first fresh, then resumed from a journal that holds all replies; what is
printed is the growth of the peak resident memory against the smallest size, in bytes a record.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from fare_cli.backends.replay import SimulatedJudge
from fare_cli.run.runner import run
from tests.run.making import Opener, make_plan, pair, refuse, right_label


class Peak(NamedTuple):
    """Peak resident memory in bytes after `records` records."""

    records: int
    phase: str
    bytes: int


def measure(records: int, folder: Path, *, with_ids: bool = True) -> list[Peak]:
    """Peaks of a fresh and of a resumed run over `records` pairs, each in a new process."""
    source = folder / f"{records}.jsonl"
    with source.open("w", encoding="utf-8") as file:
        for number in range(records):
            values = pair(number)
            if not with_ids:
                del values["id"]
            file.write(json.dumps(values) + "\n")
    peaks = []
    for phase in ("fresh", "resumed"):
        command = [sys.executable, "-m", "tests.run.memory_growth", "--one", phase, str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
        peaks.append(Peak(records, phase, int(done.stdout)))
    for file_left in folder.glob(f"{records}.jsonl*"):
        file_left.unlink()
    return peaks


def growth(peaks: list[Peak]) -> dict[str, float]:
    """Bytes a record between the smallest and the largest size of each phase."""
    found = {}
    for phase in ("fresh", "resumed"):
        of_phase = sorted(peak for peak in peaks if peak.phase == phase)
        least, most = of_phase[0], of_phase[-1]
        found[phase] = (most.bytes - least.bytes) / (most.records - least.records)
    return found


def _one(phase: str, source: Path) -> None:
    opener = Opener(SimulatedJudge(right_label)) if phase == "fresh" else refuse
    run(make_plan(source, source.with_name(source.name + ".out")), opener, progress=lambda snapshot: None)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(kilobytes * (1 if sys.platform == "darwin" else 1024))


def main() -> None:
    if sys.argv[1] == "--one":
        _one(sys.argv[2], Path(sys.argv[3]))
        return
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sys.argv[1:]:
            peaks += measure(int(size), Path(folder))
            for peak in peaks[-2:]:
                print(f"{peak.records} records {peak.phase}: peak {peak.bytes / 1e6:.1f} MB", flush=True)
    for phase, bytes_a_record in growth(peaks).items():
        print(f"{phase}: {bytes_a_record:.1f} bytes a record")


if __name__ == "__main__":
    main()
