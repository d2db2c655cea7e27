"""The folder in which a long piece of work goes on where it was: stages, each a file that is whole or not there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fare_cli.gguf.disk import Say, only_one, whole_file

_STATE = "stages.json"


class Stage(NamedTuple):
    """A finished stage: its file, and the key of everything that went into it."""

    path: Path
    key: str


class Stages:
    """The stages of one piece of work in `folder`, for the one process that holds its lock (see `one_at_a_time`).

    `stages.json` there has the key and size of every file that is finished; a file that is not in it, or differs, is
    made again. `lock` is the descriptor of the lock: a child process that gets it keeps the next fare waiting, should
    this one be killed.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.lock = lock
        folder.mkdir(parents=True, exist_ok=True)

    def make(self, name: str, inputs: Mapping[str, str], work: Callable[[Path], None]) -> Stage:
        """The stage whose file is `name`: the finished one if it was made of the same `inputs`, else made by `work`.

        `work` writes the path it is given, which gets its name only when it is whole and on the disk.
        """
        target = self.folder / name
        stage = Stage(target, hashlib.sha256(json.dumps(dict(inputs), sort_keys=True).encode()).hexdigest())
        if not self._is_finished(stage):
            for leftover in (*self.folder.glob(f".{name}.*"), target):
                leftover.unlink(missing_ok=True)
            # A name of this try's own: a child of a killed fare may be writing to the last one still.
            partial = self.folder / f".{name}.{os.getpid()}-{time.monotonic_ns()}"
            try:
                work(partial)
                with partial.open("rb") as written:
                    os.fsync(written.fileno())
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
            self._note(stage)
        return stage

    def bytes_here(self) -> int:
        """What lies in the folder, finished or not."""
        return sum(path.lstat().st_size for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())

    def remove(self) -> None:
        """Removes the folder with everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_finished(self, stage: Stage) -> bool:
        with contextlib.suppress(OSError):
            return self._state().get(stage.path.name) == [stage.key, stage.path.stat().st_size]
        return False

    def _note(self, stage: Stage) -> None:
        state = {**self._state(), stage.path.name: [stage.key, stage.path.stat().st_size]}
        with whole_file(self.folder / _STATE) as output:
            output.write(json.dumps(state, indent=2).encode())

    def _state(self) -> dict[str, object]:
        try:
            content = json.loads((self.folder / _STATE).read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}


@contextmanager
def one_at_a_time(folder: Path, say: Say) -> Iterator[Stages]:
    """The stages in `folder`, locked among all processes; a second one waits. The lock lies beside the folder."""
    with only_one(folder, "this build", say) as lock:
        yield Stages(folder, lock)
