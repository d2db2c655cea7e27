"""The backend that runs a GGUF in this process."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from fare_cli.asks import Answer, Ask, BackendInfo
from fare_cli.backends.interrupting import ctrl_c_calls
from fare_cli.engine import openmp
from fare_cli.engine.options import EngineOptions
from fare_cli.engine.probe import remembered_probe
from fare_cli.engine.sizing import layout_for
from fare_cli.engine.tuning import Tuned


class LocalBackend:
    """Asks answered by a model file. Opening it loads the model, after its plan was found to fit and a trial run in a
    child process.

    `name` is for people, `weights` identifies model and adapter; `tuned` is used where the options leave something
    open. Raises ModelError, UsageError. Close it.
    """

    def __init__(
        self, path: Path, *, name: str, weights: str, options: EngineOptions, tuned: Tuned | None = None
    ) -> None:
        tuned = tuned or Tuned()
        if tuned.spins is not None and not openmp.settle(tuned.spins):
            tuned = replace(tuned, spins=None)
        # Before the trial, since even that loads the weights.
        chosen = layout_for(path, options, tuned)
        probe = remembered_probe(path, gpu_layers=chosen.layout.gpu_layers, adapter=options.lora)
        if probe.safe_kernels:
            warnings.warn(
                "the engine's fast CPU kernels crash on this machine; running without them (fare doctor tells more)",
                RuntimeWarning,
                stacklevel=2,
            )
        # Loaded only now: a build that cannot even be imported has been reported by the trial.
        from fare_cli.engine.engine import Engine

        self.engine = Engine(path, options, layout=chosen, safe_kernels=probe.safe_kernels)
        self.info = BackendInfo(weights, name, {**self.engine.facts, "safe_kernels": probe.safe_kernels})
        self._interrupted = False
        self._nudged = False

    @property
    def window(self) -> int:
        """Twice the slots: while one set is served, the next is known and its shared prefixes can be planned."""
        return 2 * self.engine.layout.slots + 8

    @property
    def reasons(self) -> bool:
        """Whether the model can think before it answers."""
        return self.engine.reasons

    def show_prompt(self, ask: Ask) -> str:
        """The exact prompt of an ask with its special tokens marked."""
        return self.engine.show_prompt(ask)

    def profile(self) -> dict[str, int]:
        """What the engine has done so far."""
        return asdict(self.engine.counters)

    def submit(self, asks: Sequence[Ask]) -> None:
        self.engine.submit(asks)

    def collect(self) -> list[Answer]:
        try:
            with ctrl_c_calls(self.interrupt):
                while not self._interrupted:
                    if not self.engine.busy:
                        return []
                    answers = self.engine.step()
                    if answers or self._nudged:
                        self._nudged = False
                        return answers
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            # The next asks are served again.
            self._interrupted = False
            self.engine.resume()
            raise

    def nudge(self) -> None:
        self._nudged = True

    def cancel(self, ask_ids: Sequence[str]) -> None:
        self.engine.cancel(ask_ids)

    def interrupt(self) -> None:
        self._interrupted = True
        self.engine.interrupt()

    def close(self) -> None:
        self.engine.close()
