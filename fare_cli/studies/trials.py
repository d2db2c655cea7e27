"""Timed work on a model under one setting after another, in a child process that may die of it.

What is timed is the engine's own loop on pairwise records of made-up text, as many asks as slots (direct: 12).
An ask takes about 110 tokens behind a system prompt of 230, which is computed before. Critiques and votes are timed for
16 tokens each, and no turn ends in them. The rates of both phases give the time of an ask of ordinary size
(`PROMPT_TOKENS`, `WRITTEN_TOKENS`), so that a short trial weighs prompts and writing as a real run does.
"""

from __future__ import annotations

import json
import os
import random
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self

from fare_cli.engine import openmp
from fare_cli.engine.options import EngineOptions, Work
from fare_cli.engine.tuning import Tuned
from fare_cli.errors import ModelError, UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.judge import work_of
from fare_cli.studies.search import TrialFailed

if TYPE_CHECKING:
    from fare_cli.asks import Ask
    from fare_cli.engine.engine import Engine

#: An ask of ordinary size: tokens to be computed for its prompt, and tokens of its critique.
PROMPT_TOKENS, WRITTEN_TOKENS = 450, 250

#: Votes on one prompt.
VOTES = 8

_DIRECT_ASKS = 12
_STEPS = 16
_WORDS = {"question": 30, "answer_a": 12, "answer_b": 12}
_SEED = 20_251

#: Longest wait for a trial, loading included; nothing is known yet of the first.
_FIRST_SECONDS = 900.0
_TIMES_FIRST, _LEAST_SECONDS = 20.0, 60.0

_VOCABULARY = """the of and to in a is that for it as was with be by on not he his but at are this have from or had an
they which one you were her all she there would their we him been has when who will more no if out so said what up its
about into than them can only other new some could time these two may then do first any my now such like our over man
me even most made after also did many before must through years where much your way well down should because"""

OPTIONS: dict[Work, JudgingOptions] = {
    "direct": JudgingOptions(mode="direct"),
    "critique": JudgingOptions(),
    "votes": JudgingOptions(votes=VOTES, temperature=0.7),
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one trial showed: seconds and tokens of each phase, the whole trial with its set-up, and the setting as it
    was in force."""

    prompt_s: float
    prompt_tokens: int
    write_s: float
    written_tokens: int
    whole_s: float
    effective: Tuned

    @property
    def prompt_rate(self) -> float:
        """Prompt tokens a second."""
        return self.prompt_tokens / self.prompt_s

    @property
    def write_rate(self) -> float | None:
        """Tokens written a second, over all slots; None where nothing is written."""
        return self.written_tokens / self.write_s if self.written_tokens else None

    def ask_s(self, work: Work) -> float:
        """Seconds an ask of ordinary size takes at these rates."""
        prompt = PROMPT_TOKENS / self.prompt_rate / (VOTES if work == "votes" else 1)
        return prompt + (WRITTEN_TOKENS / self.write_rate if self.write_rate else 0.0)


class Trials:
    """A child process that measures settings of one model, without the CPU kernels that crash here if `safe_kernels`.
    Close it."""

    def __init__(self, path: Path, *, safe_kernels: bool = False) -> None:
        self._path = path
        self._safe_kernels = safe_kernels
        self._child: subprocess.Popen[bytes] | None = None
        self._spins: int | None = None
        self._longest = 0.0

    def measure(self, work: Work, setting: Tuned, *, limit_s: float | None = None) -> Measurement:
        """One trial of a setting, in a fresh cache. What is timed is given up after `limit_s`.

        Raises TrialFailed for a crash, a hang, a setting that does not fit or is too slow; ModelError or UsageError
        where the model cannot be run at all.
        """
        child = self._ready(setting)
        begun = time.monotonic()
        patience = max(_LEAST_SECONDS, _TIMES_FIRST * self._longest) if self._longest else _FIRST_SECONDS
        answer = self._ask(child, {"work": work, "setting": setting.given(), "limit_s": limit_s}, patience)
        whole_s = time.monotonic() - begun
        if "failed" in answer:
            raise TrialFailed(answer["failed"])
        if "error" in answer:
            raise (UsageError if answer["usage"] else ModelError)(answer["error"], answer["hint"])
        self._longest = max(self._longest, whole_s)
        effective = Tuned(**answer.pop("effective"))
        return Measurement(**answer, whole_s=whole_s, effective=effective)

    def _ready(self, setting: Tuned) -> subprocess.Popen[bytes]:
        """A child that waits for threads as the setting says: that is read when the engine is loaded."""
        spins = openmp.SPINS if setting.spins is None else setting.spins
        if self._child is not None and (self._spins != spins or self._child.poll() is not None):
            self.close()
        if self._child is None:
            waiting = {} if openmp.users_word() else {"GOMP_SPINCOUNT": str(spins)}
            self._child = subprocess.Popen(
                # -P: a file in the working folder must not stand in for a module of Python.
                [sys.executable, "-P", "-m", "fare_cli.studies.trials", str(self._path), str(int(self._safe_kernels))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={**os.environ, **waiting, "GGML_NO_BACKTRACE": "1"},
            )
            self._spins = spins
        return self._child

    def _ask(self, child: subprocess.Popen[bytes], request: dict[str, Any], seconds: float) -> dict[str, Any]:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            line = _read_line(child.stdout, seconds)
        except BrokenPipeError:
            line = b""
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            return answer
        hung = child.poll() is None and line is _HUNG
        self.close()
        if hung:
            return {"failed": f"no answer within {seconds:.0f} s"}
        code = child.returncode
        return {"failed": f"crashed ({_signal_name(-code)})" if code < 0 else f"ended with code {code}"}

    def close(self) -> None:
        if self._child is None:
            return
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            # It ends by itself when its input does, unless it hangs.
            self._child.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_HUNG = b"hung"


def _read_line(stream: IO[bytes], seconds: float) -> bytes:
    """A line; what there was of it where the other side closed; `_HUNG` where nothing came in time."""
    line = b""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return _HUNG
            data = os.read(stream.fileno(), 65_536)
            if not data:
                break
            line += data
    return line


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class _Phases(NamedTuple):
    prompt_s: float
    prompt_tokens: int
    write_s: float
    written_tokens: int


class _Unusable(Exception):
    """A setting is too slow, or does not do the work."""


def _serve(path: Path, safe_kernels: bool) -> None:
    """The child's part: one line asks for a trial, one line answers it."""
    # Ctrl-C reaches the whole group; the parent ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from fare_cli.engine.engine import Engine

    engine: Engine | None = None
    for line in sys.stdin:
        request = json.loads(line)
        options, setting = EngineOptions(**work_of(OPTIONS[request["work"]])), Tuned(**request["setting"])
        try:
            if engine is not None and engine.options != options:
                # Another kind of work may put other layers on a GPU.
                engine.close()
                engine = None
            if engine is None:
                engine = Engine(path, options, tuned=setting, safe_kernels=safe_kernels)
                engine.never_end()
            else:
                engine.restart(options, setting)
            answer = _answer(engine, setting, request["limit_s"])
        except (ModelError, UsageError) as error:
            answer = {"error": error.message, "hint": error.hint, "usage": isinstance(error, UsageError)}
        print(json.dumps(answer), flush=True)


def _answer(engine: Engine, setting: Tuned, limit_s: float | None) -> dict[str, Any]:
    if engine.tuned != setting:
        return {"failed": "does not fit into the memory that is free"}
    from fare_cli.engine.native import DecodeError

    try:
        phases = _timed(engine, limit_s)
    except (_Unusable, DecodeError) as failure:
        return {"failed": str(failure)}
    return {**phases._asdict(), "effective": asdict(_effective(engine, setting))}


def _effective(engine: Engine, setting: Tuned) -> Tuned:
    context = engine.layout.context
    return Tuned(
        threads=context.threads,
        slots=engine.layout.slots,
        batch=context.batch,
        flash=context.flash,
        kv_layout="unified" if context.unified else "streams",
        spins=openmp.SPINS if setting.spins is None else setting.spins,
    )


def _timed(engine: Engine, limit_s: float | None) -> _Phases:
    work, slots = engine.options.work, engine.layout.slots
    # What all asks share is computed by the first and not timed: a run does it once.
    _run_out(engine, made_up_asks("direct", 1, seed=_SEED, words=1))
    for group in groups(made_up_asks(work, _DIRECT_ASKS if work == "direct" else slots, seed=_SEED), work):
        engine.submit(group)
    counters = engine.counters
    prompt_s = write_s = 0.0
    written, before, steps = 0, counters.prompt_tokens, 0
    begun = time.perf_counter()
    while engine.busy and steps < _STEPS:
        prompts, tokens, now = counters.prompt_tokens, counters.generated_tokens, time.perf_counter()
        for answer in engine.step():
            if answer.reply.error is not None:
                raise _Unusable(answer.reply.error.message)
        took = time.perf_counter() - now
        if counters.prompt_tokens > prompts:
            prompt_s += took
        else:
            write_s += took
            written += counters.generated_tokens - tokens
            steps += work != "direct"
        if limit_s is not None and time.perf_counter() - begun > limit_s:
            raise _Unusable(f"stopped: it took more than {limit_s:.1f} s")
    if work != "direct" and not written:
        raise _Unusable("nothing could be written")
    return _Phases(prompt_s, counters.prompt_tokens - before, write_s, written)


def _run_out(engine: Engine, asks: list[Ask]) -> None:
    engine.submit(asks)
    while engine.busy:
        engine.step()


def made_up_asks(work: Work, count: int, *, seed: int, words: int | None = None) -> list[Ask]:
    """Asks of this kind of work on pairwise records of random words, the same for the same seed. `words` says how many
    each text has."""
    from fare_cli.asks import Free
    from fare_cli.prompting import load_task_prompt
    from fare_cli.records import parse
    from fare_cli.tasks import TASKS

    chooser = random.Random(seed)
    options = OPTIONS[work]
    task = TASKS["pairwise"](load_task_prompt("pairwise"), options)
    asks: list[Ask] = []
    while len(asks) < count:
        record = {
            name: " ".join(chooser.choices(_VOCABULARY.split(), k=words or usual)) + "."
            for name, usual in _WORDS.items()
        }
        found = task.step(parse("pairwise", record), {})
        assert isinstance(found, list)
        asks += [replace(ask, id=f"{len(asks)}/{ask.id}") for ask in found]
    if work == "direct":
        return asks[:count]
    return [replace(ask, script=Free(options.max_tokens)) for ask in asks[:count]]


def groups(asks: list[Ask], work: Work) -> list[list[Ask]]:
    """Asks of one record together, as a run submits them."""
    size = 2 * VOTES if work == "votes" else 2
    return [asks[at : at + size] for at in range(0, len(asks), size)]


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2] == "1")
