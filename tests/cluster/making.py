"""Work for a cluster: partitions, plans, and backends that workers can open and that stand still when asked to."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fare_cli.asks import Answer, Ask, Backend, BackendInfo
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.cluster.partitions import find_partitions
from fare_cli.cluster.pool import Pool
from fare_cli.cluster.run import ClusterOutcome, judge_partitions
from fare_cli.cluster.worker import Work
from fare_cli.judge import Judge
from fare_cli.run.manifest import fare_version
from fare_cli.run.progress import ProgressSnapshot
from fare_cli.run.runner import RunPlan
from tests.run.making import INFO, make_plan, right_label

TWO_WORKERS = Pool(workers=2, cpus=1, gpus=0)


def write_lines(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def simulated() -> Backend:
    """A judge that says the same of a record wherever it is asked."""
    return ReplayBackend(SimulatedJudge(right_label, accuracy=0.8, position_bias=1.5, seed=3), info=INFO)


def simulated_plan(**settings: Any) -> RunPlan:
    """A plan for `simulated`, without input and output."""
    return make_plan(Path("unused"), None, **settings)


def judge_folder(
    inputs: Sequence[Path | str],
    output: Path | None,
    plan: RunPlan,
    open_backend: Callable[[], Backend],
    progress: Callable[[ProgressSnapshot], None] | None = None,
) -> ClusterOutcome:
    """What `fare judge --cluster ray` does, on the cluster of the tests."""
    work = Work(plan=plan, open_backend=open_backend, folder=str(Path.cwd()), fare=fare_version())
    partitions = find_partitions([str(one) for one in inputs], output)
    return judge_partitions(partitions, work, TWO_WORKERS, max_invalid=0.01, progress=progress)


class Halting:
    """A backend in front of another: once `after` answers are out, it stands still in the first process that gets so
    far, whose id it writes to `flag`. Only one does: the flag stays."""

    def __init__(self, backend: Backend, flag: Path, after: int) -> None:
        self._backend = backend
        self._flag = flag
        self._left = after

    @property
    def info(self) -> BackendInfo:
        return self._backend.info

    @property
    def window(self) -> int:
        return self._backend.window

    def submit(self, asks: Sequence[Ask]) -> None:
        self._backend.submit(asks)

    def collect(self) -> list[Answer]:
        if self._left <= 0 and self._is_first():
            while True:
                time.sleep(1)
        answers = self._backend.collect()
        self._left -= len(answers)
        return answers

    def _is_first(self) -> bool:
        partial_flag = self._flag.with_suffix(f".{os.getpid()}")
        partial_flag.write_text(str(os.getpid()))
        try:
            os.link(partial_flag, self._flag)  # whole when it is there, and there only once
        except FileExistsError:
            return False
        return True

    def cancel(self, ask_ids: Sequence[str]) -> None:
        self._backend.cancel(ask_ids)

    def interrupt(self) -> None:
        self._backend.interrupt()

    def close(self) -> None:
        self._backend.close()


def halting(open_judge: Callable[[], Judge], flag: Path, after: int) -> Callable[[], Backend]:
    return partial(_open_halting, open_judge, flag, after)


def _open_halting(open_judge: Callable[[], Judge], flag: Path, after: int) -> Backend:
    return Halting(open_judge().backend(), flag, after)


def dying(flag: Path) -> Backend:
    """Ends every process that opens it, as a lack of memory would, and notes that in `flag`."""
    with flag.open("a") as file:
        file.write("died\n")
    os._exit(1)
