"""One judge for a session of pytest: its settings, its run over all cases, and its verdicts."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fare_cli.cli.console import Console, ProgressDisplay
from fare_cli.cli.judge import open_judge, with_own_decoding
from fare_cli.cli.stopping import StopSignals
from fare_cli.errors import EnvironmentFault, InputError, UsageError
from fare_cli.pytest_plugin.cases import Case
from fare_cli.run.reader import InputPlan, Place
from fare_cli.run.runner import RunPlan, run
from fare_cli.settings import Settings, load_settings
from fare_cli.tasks import TASKS, check_options
from fare_cli.verdicts import Verdict

if TYPE_CHECKING:
    from fare_cli.asks import Backend
    from fare_cli.judge import Judge

# How many invalid records a run may have means nothing where each one fails its test.
_NOT_HERE = frozenset({"strict", "max_invalid"})


@dataclass(slots=True)
class SessionJudge:
    """The judge of a session. Its model is loaded by `judge`; verdicts are kept in `folder`, if there is one."""

    config: pytest.Config
    opened: Judge
    folder: Path | None

    @classmethod
    def open(cls, config: pytest.Config) -> SessionJudge:
        """The judge that the options, variables and project files name. Raises FareError where there is none, or where
        verdicts could not be written."""
        settings = settings_of(config.getoption("--fare"))
        settings = with_own_decoding(settings, settings.model)
        named = config.getoption("--fare-verdicts")
        folder = None if named is None else config.invocation_params.dir / named
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise EnvironmentFault(f"--fare-verdicts {named} cannot be made: {error.strerror}") from None
        return cls(config, open_judge(settings), folder)

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """The verdict of every case, in order, from one loaded model; the cases of a task are one run.

        Raises what `run` raises; KeyboardInterrupt ends it within a decode.
        """
        tasks = [task for task in TASKS if any(case.task == task for case in cases)]
        for task in tasks:
            check_options(task, self.opened.options)
        with _uncaptured(self.config), self.opened:
            runs = {task: iter(self._run(task, [case for case in cases if case.task == task])) for task in tasks}
        return [next(runs[case.task]) for case in cases]

    def _run(self, task: str, cases: Sequence[Case]) -> list[Verdict]:
        output = None if self.folder is None else self.folder / f"{task}.jsonl"
        plan = RunPlan(
            source=InputPlan(
                task=task,
                files=(),
                records=tuple(_with_own_ids(case.record for case in cases)),
                places=tuple(Place(case.file, case.line) for case in cases),
            ),
            task=self.opened.task(task),
            identity=self.opened.identity(task),
            output=output,
        )
        verdicts: list[Verdict] = []
        console = Console(quiet=self.config.getoption("verbose") < 0)
        shown = ProgressDisplay(console, live=sys.stderr.isatty())
        signals = StopSignals()

        def opened() -> Backend:
            signals.backend = backend = self.opened.backend()
            signals.check()
            return backend

        def keep(verdict: Verdict) -> None:
            signals.check()
            verdicts.append(verdict)

        console.say(f"\nfare: {self.opened.name} judges {task}, cases: {len(cases)}")
        try:
            with signals.handled():
                run(plan, opened, emit=keep, progress=shown.show)
        except InputError as error:
            if output is None:
                raise
            raise InputError(error.message, f"name another folder with --fare-verdicts, or remove {output}*") from None
        finally:
            shown.close()
        return verdicts

    def describe(self, task: str) -> str:
        """The judge in one line: its model, how it judges, and its fingerprint."""
        options, identity = self.opened.options, self.opened.identity(task)
        orders = f", order {options.order}, combine {options.combine}" if task == "pairwise" else ""
        return f"{self.opened.name}, {options.mode}{orders}; {identity.fingerprint}"


def _with_own_ids(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records, each with an id that none before has: two tests may ask about the same one."""
    taken: set[str] = set()
    for record in records:
        id, number = record["id"], 1
        while str(id) in taken:
            number += 1
            id = f"{record['id']}#{number}"
        taken.add(str(id))
        yield {**record, "id": id}


def settings_of(assignments: Iterable[str]) -> Settings:
    """The settings in force, those of `--fare NAME=VALUE` first. Raises UsageError for one that there is not."""
    given: dict[str, object] = {}
    for text in assignments:
        name, equals, value = (part.strip() for part in text.partition("="))
        name = name.replace("-", "_")
        if not equals:
            raise UsageError(f"--fare {text!r} is not NAME=VALUE", "for example --fare model=smollm2")
        if name not in Settings.model_fields or name in _NOT_HERE:
            known = [known for known in Settings.model_fields if known not in _NOT_HERE]
            raise UsageError(f"--fare {text}: there is no setting {name!r} here", f"there are: {', '.join(known)}")
        given[name] = value
    return load_settings(given)


@contextlib.contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[None]:
    """Inside, what is printed reaches the screen, as between two tests."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    with contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled():
        yield
