"""The policy on a GGUF file in this process, or behind a server that serves it."""

from __future__ import annotations

from pathlib import Path

from fare_cli.asks import Backend
from fare_cli.backends.http.options import ServerOptions
from fare_cli.engine.options import EngineOptions
from fare_cli.errors import UsageError
from fare_cli.gguf.store import resolve_model
from fare_cli.identity import JudgingOptions
from fare_cli.judge import Judge, work_of
from fare_cli.prompting import TaskPrompt
from training.asking import Tries


def judging_options(options: Tries) -> JudgingOptions:
    """The tries as votes of a judge: that many on one prompt, sampled alike."""
    return JudgingOptions(votes=options.tries, temperature=options.temperature, max_tokens=options.max_tokens)


class LocalPolicy:
    """A model of fare, by name or path, with an adapter or without, as what is sampled from. Close it.

    Its prompts are those of `prompts_dir`, else its own, else fare's. All tries of a record branch from one prefill.
    With a `server` that one writes, and of the file only vocabulary, template and prompts are used.
    """

    def __init__(
        self,
        model: str | Path | None,
        options: Tries,
        *,
        prompts_dir: Path | None = None,
        lora: Path | None = None,
        slots: int | None = None,
        threads: int | None = None,
        ctx: int | None = None,
        server: ServerOptions | None = None,
    ) -> None:
        if server is not None and any(one is not None for one in (lora, slots, threads, ctx)):
            raise UsageError("--lora, --slots, --threads and --ctx are for this machine, and --url names a server")
        judging = judging_options(options)
        engine = EngineOptions(lora=lora, slots=slots, threads=threads, ctx=ctx, **work_of(judging))
        found = resolve_model(model)
        self._judge = Judge(found, options=judging, prompts_dir=prompts_dir, engine=engine, server=server)
        self.gguf = found.path

    @property
    def name(self) -> str:
        return self._judge.name

    @property
    def weights(self) -> str:
        return self._judge.weights

    def prompt(self, task: str) -> TaskPrompt:
        return self._judge.prompt(task).prompt

    def backend(self) -> Backend:
        return self._judge.backend()

    def close(self) -> None:
        self._judge.close()
