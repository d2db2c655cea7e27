"""`--dry-run`: how much work an input is for a judge, and what it takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from fare_cli.asks import Ask, Direct, Free, Judgment
from fare_cli.backends.local import LocalBackend
from fare_cli.cli.console import Console, duration
from fare_cli.errors import ExitCode

if TYPE_CHECKING:
    from fare_cli.judge import Judge
    from fare_cli.run.reader import InputPlan, Item
    from fare_cli.tasks import Task

# The trial: enough to fill the slots of a laptop, short enough to wait for.
_TRIAL_ASKS = 16
_TRIAL_TOKENS = 24


@dataclass(slots=True)
class _Work:
    """What the records of an input ask for."""

    records: int = 0
    invalid: int = 0
    asks: int = 0
    prompt_tokens: int = 0
    longest: int = 0
    longest_where: str = ""
    too_long: int = 0


def estimate(judge: Judge, source: InputPlan, limit: int | None, console: Console) -> ExitCode:
    """Prints counts of records and tokens, and estimates of memory and time. Asks the model only for a short trial."""
    from fare_cli.run.lines import check_inputs
    from fare_cli.run.reader import read_items

    task = judge.task(source.task)
    if not source.records:
        check_inputs(source.files)
    backend = _local(judge)
    work = _Work()
    trial: list[Ask] = []
    for item in islice(read_items(source), limit):
        asks = _asks(task, item)
        if len(trial) < _TRIAL_ASKS:
            trial += [replace(ask, id=f"{work.records}/{ask.id}") for ask in asks]
        _count(work, item, asks, backend, judge.engine_options.reply_tokens)
    print(f"records: {work.records}, {work.invalid} invalid")
    print(f"asks: {work.asks}")
    longest = f"; the longest has {work.longest:,} ({work.longest_where})" if work.longest else ""
    print(f"prompt tokens: {work.prompt_tokens:,}{longest}")
    if work.too_long:
        print(f"too long: {work.too_long} records may not fit into the {_room(backend):,} tokens of an ask (--ctx)")
    print(f"memory: {backend.engine.layout.plan.describe()}")
    if trial:
        console.say("measuring the speed of this machine on the first records")
        print(_time_line(judge, work, trial[:_TRIAL_ASKS]))
    return ExitCode.OK


def _local(judge: Judge) -> LocalBackend:
    backend = judge.backend()
    # The command line refuses --dry-run for a server, whose speed and memory are not this machine's.
    assert isinstance(backend, LocalBackend)
    return backend


def _asks(task: Task, item: Item) -> list[Ask]:
    if item.record is None or item.error is not None:
        return []
    asks = task.step(item.record, {})
    return asks if isinstance(asks, list) else []


def _count(work: _Work, item: Item, asks: list[Ask], backend: LocalBackend, reply_tokens: int) -> None:
    work.records += 1
    work.invalid += not asks
    work.asks += len(asks)
    longest = 0
    for ask, tokens in _prompt_lengths(asks, backend):
        work.prompt_tokens += tokens
        longest = max(longest, tokens)
        if tokens > work.longest:
            work.longest = tokens
            work.longest_where = f"{item.place.file}, line {item.place.line}" if item.place else f"ask {ask.id}"
    work.too_long += longest + reply_tokens > _room(backend)


def _prompt_lengths(asks: list[Ask], backend: LocalBackend) -> Iterator[tuple[Ask, int]]:
    """Each ask with its prompt's length; the votes on one prompt are tokenised once."""
    messages, tokens = None, 0
    for ask in asks:
        if ask.messages != messages:
            messages, tokens = ask.messages, backend.engine.prompt_tokens(ask)
        yield ask, tokens


def _room(backend: LocalBackend) -> int:
    return backend.engine.layout.ctx


def _time_line(judge: Judge, work: _Work, trial: list[Ask]) -> str:
    """What the prompts take at the speed just measured, and what thinking and critiques add."""
    backend, options = _local(judge), judge.options
    script = trial[0].script
    assert isinstance(script, Direct | Judgment)
    direct = [replace(ask, script=Direct(script.marker, script.labels)) for ask in trial]
    seconds = _timed(backend, direct)
    prompts_s = seconds * work.asks / len(trial)
    line = f"time: about {duration(prompts_s)} for the prompts"
    if not options.generates:
        return line
    if options.mode == "auto":
        return f"{line} of the direct stage; how many records go on to critiques and votes shows only in the run"
    free = [replace(ask, script=Free(_TRIAL_TOKENS)) for ask in trial]
    tokens = len(free) * _TRIAL_TOKENS
    speed = tokens / max(_timed(backend, free) - seconds, 1e-3)
    every_100 = work.asks * 100 / speed
    limits = [f"--max-tokens {options.max_tokens}"] if options.mode == "critique" else []
    limits += [f"--reasoning {options.reasoning} ({options.thinking_tokens} tokens)"] if options.thinking_tokens else []
    most = duration(every_100 * judge.engine_options.reply_tokens / 100)
    written = "critique" if options.mode == "critique" else "thinking"
    return (
        f"{line}, and {duration(every_100)} for each 100 tokens of {written} "
        f"(at most {most} with {' and '.join(limits)})"
    )


def _timed(backend: LocalBackend, asks: list[Ask]) -> float:
    begun = time.monotonic()
    backend.submit(asks)
    while backend.collect():
        pass
    return time.monotonic() - begun
