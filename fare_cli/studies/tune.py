"""Chooses how a model is run on this machine, by measuring; what is chosen changes speed and no verdict's meaning."""

from __future__ import annotations

import contextlib
import datetime
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from fare_cli.engine import openmp
from fare_cli.engine.options import EngineOptions, KvLayout, Work
from fare_cli.engine.probe import remembered_probe
from fare_cli.engine.sizing import layout_for
from fare_cli.engine.tuning import Tuned, Tuning, WorkTuning, check_writable, machine_facts, read_tuning, write_tuning
from fare_cli.errors import ModelError
from fare_cli.gguf.store import ModelFile
from fare_cli.machine import usable_cores, usable_cpus
from fare_cli.studies.faster_types import TypeSpeed, compare_types
from fare_cli.studies.search import (
    FEWEST_ROUNDS,
    LEAST_GAIN,
    Budget,
    Contest,
    Coordinate,
    Found,
    TrialFailed,
    confirm,
    contest,
    search,
)
from fare_cli.studies.trials import Measurement, Trials

#: Seconds for a kind of work when nothing was said, and trials of fare's own choice that there is time for at least.
WORK_SECONDS, WORK_TRIALS = 90.0, 26

#: Trials that a whole search takes, as a rule.
WHOLE_SEARCH = 45

#: The first trial of a setting is stopped when it takes so many times longer than any before with as many asks.
_PATIENCE = 3.0

#: Trials kept for the end: the setting found against the start, and its spins beside a busy core.
_RESERVE = 2 * FEWEST_ROUNDS + 2

_SLOTS = range(2, 65)
_BATCHES = range(64, 2049)
#: Without flash attention the scores of a larger piece take too much memory.
_NO_FLASH_BATCH = 512
_SPINS = (0, 100_000)


@dataclass(slots=True)
class WorkReport:
    """What was measured for one kind of work. `default` is one trial of fare's own choice; `speedup` is the setting's
    median against that, measured anew at the end; `whole_search_s` is what a whole search would take."""

    work: Work
    setting: Tuned
    speedup: float
    default: Measurement
    contests: list[Contest[Tuned]]
    untried: list[str]
    seconds: float
    whole_search_s: float

    @property
    def tried_anything(self) -> bool:
        """Whether there was time for a single comparison."""
        return any(entry.ratios or entry.reason for held in self.contests for entry in held.entries)


@dataclass(slots=True)
class TuneReport:
    """What tuning found for each kind of work, and how fast other quantisation types would be."""

    model: str
    machine: dict[str, Any]
    works: list[WorkReport] = field(default_factory=list)
    types: list[TypeSpeed] = field(default_factory=list)


def tune(
    model: ModelFile,
    works: Sequence[Work],
    *,
    max_seconds: float | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> TuneReport:
    """Measures, keeps what is faster than fare's own choice for later runs, and reports everything that was tried.

    `max_seconds` bounds all of it, as long as single trials allow; None gives each kind of work 90 s, or more where a
    trial is long. What is finished is kept even if the rest is interrupted. Raises ModelError, UsageError,
    EnvironmentFault.
    """
    begun = time.monotonic()
    report = TuneReport(model.name, machine_facts())
    check_writable(model.sha256, report.machine)
    layers = layout_for(model.path, EngineOptions(), Tuned()).layout.gpu_layers
    kernels = remembered_probe(model.path, gpu_layers=layers).safe_kernels
    shares = len(works) + 1
    with Trials(model.path, safe_kernels=kernels) as trials:
        for place, work in enumerate(works):
            seconds = None
            if max_seconds is not None:
                seconds = max(0.0, max_seconds - (time.monotonic() - begun)) / (shares - place)
            try:
                found = _tune_work(trials, work, seconds, say)
            except TrialFailed as failure:
                raise ModelError(f"{model.path}: a trial of {work} with fare's own choice failed: {failure}") from None
            report.works.append(found)
            if found.tried_anything:
                _keep(model, report.machine, found)
    left = WORK_SECONDS if max_seconds is None else max_seconds - (time.monotonic() - begun)
    report.types = compare_types(model.path, seconds=left, safe_kernels=kernels, say=say)
    return report


def _keep(model: ModelFile, machine: dict[str, Any], found: WorkReport) -> None:
    tuning = read_tuning(model.sha256, machine) or Tuning(model=model.name, machine=machine)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    finding = WorkTuning(settings=found.setting, speedup=round(found.speedup, 3), measured=today)
    write_tuning(model.sha256, tuning.model_copy(update={"works": {**tuning.works, found.work: finding}}))


def _tune_work(trials: Trials, work: Work, seconds: float | None, say: Callable[[str], None]) -> WorkReport:
    begun = time.monotonic()
    # The first trial loads the model and touches its memory; the second is what trials take from then on.
    trials.measure(work, Tuned())
    default = trials.measure(work, Tuned())
    if seconds is None:
        seconds = max(WORK_SECONDS, WORK_TRIALS * default.whole_s)
    whole = WHOLE_SEARCH * default.whole_s
    say(f"{work}: at most {seconds:.0f} s; a whole search takes about {whole:.0f} s (--max-seconds)")
    effective = {Tuned(): default.effective}
    longest_s = default.prompt_s + default.write_s

    def measure(setting: Tuned) -> float:
        nonlocal longest_s
        say(f"{work}: {setting.label() or 'own choice'}")
        more = max(1.0, (setting.slots or 1) / (default.effective.slots or 1))
        measured = trials.measure(work, setting, limit_s=None if setting in effective else _PATIENCE * more * longest_s)
        # A machine that has become slower meanwhile is no fault of the next setting.
        longest_s = max(longest_s, measured.prompt_s + measured.write_s)
        effective[setting] = measured.effective
        return measured.ask_s(work)

    budget = Budget(time.monotonic, begun + seconds, default.whole_s)
    found = search(Tuned(), coordinates(effective), measure, budget, reserve=_RESERVE)
    if found.setting.spins is not None:
        _check_spins(found, measure, budget)
    speedup = confirm(Tuned(), found, measure, budget)
    return WorkReport(
        work, found.setting, speedup, default, found.contests, found.untried, time.monotonic() - begun, whole
    )


def coordinates(effective: dict[Tuned, Tuned]) -> list[Coordinate[Tuned]]:
    """What is tried, what matters most first. `effective` says for every setting measured what was in force, fare's
    own choice included."""

    def near(setting: Tuned, **values: Any) -> Tuned:
        return without_own_choice(replace(setting, **values), effective[Tuned()])

    def layouts(setting: Tuned) -> Iterable[Tuned]:
        layouts: tuple[KvLayout, ...] = ("streams", "unified")
        for kv_layout, flash in product(layouts, (True, False)):
            if flash or (effective[setting].batch or 0) <= _NO_FLASH_BATCH:
                yield near(setting, kv_layout=kv_layout, flash=flash)

    def threads(setting: Tuned) -> Iterable[Tuned]:
        cores = usable_cores()
        for count in sorted({cores, cores - 1, cores // 2, 2 * cores} - {effective[setting].threads}):
            if 1 <= count <= usable_cpus():
                yield near(setting, threads=count)

    def slots(setting: Tuned) -> Iterable[Tuned]:
        now = effective[setting].slots or 1
        yield from (near(setting, slots=count) for count in (now // 2, now * 2) if count in _SLOTS)

    def batches(setting: Tuned) -> Iterable[Tuned]:
        now = effective[setting]
        for tokens in ((now.batch or 1) // 2, (now.batch or 1) * 2):
            if tokens in _BATCHES and (now.flash or tokens <= _NO_FLASH_BATCH):
                yield near(setting, batch=tokens)

    def spins(setting: Tuned) -> Iterable[Tuned]:
        yield from (near(setting, spins=count) for count in _SPINS)

    found = [
        Coordinate("cache layout", layouts),
        Coordinate("threads", threads),
        Coordinate("slots", slots),
        Coordinate("batch", batches),
    ]
    # The user's word on waiting counts; elsewhere than on Linux the engine is not built with GNU OpenMP.
    if openmp.users_word() is None and sys.platform == "linux":
        found.append(Coordinate("OpenMP spins", spins))
    return found


def without_own_choice(setting: Tuned, own: Tuned) -> Tuned:
    """The setting, with what fare chooses anyway left open: so it still follows what fare chooses."""
    chosen = own.given()
    return Tuned(**{name: value for name, value in setting.given().items() if chosen.get(name) != value})


def _check_spins(found: Found[Tuned], measure: Callable[[Tuned], float], budget: Budget) -> None:
    """Takes other spins back unless they are as good beside a busy core: threads that wait well on an idle machine can
    stand in each other's way where another process works."""
    plain = replace(found.setting, spins=None)
    with _busy_core():
        held = contest("OpenMP spins beside a busy core", plain, [found.setting], measure, budget)
    found.contests.append(held)
    ratios = held.entries[1].ratios
    if not ratios or held.entries[1].ratio > 1 + LEAST_GAIN:
        found.setting = plain


@contextlib.contextmanager
def _busy_core() -> Iterator[None]:
    """Keeps one core busy with a process of its own."""
    child = subprocess.Popen([sys.executable, "-P", "-S", "-c", "while True: pass"], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        child.kill()
        child.wait()
