"""The engine on an opened model file: asks in, answers out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from fare_cli.asks import Answer, Ask, ReplyError
from fare_cli.engine import openmp
from fare_cli.engine.loop import Counters, Loop
from fare_cli.engine.native import Context, Model, build_info
from fare_cli.engine.options import EngineOptions
from fare_cli.engine.sizing import Room, TunedLayout, choose_tuned_layout, room_now
from fare_cli.engine.template import ChatTemplate
from fare_cli.engine.tuning import Tuned
from fare_cli.engine.turns import Turns
from fare_cli.errors import ModelError
from fare_cli.gguf.split import read_model

#: What tuned settings are called in `Engine.facts`, where it is something else.
_FACTS = {"flash": "flash_attention", "spins": "openmp_spins"}


class Engine:
    """A model with its cache and its loop. Close it.

    The layout is chosen here if none is given, with `tuned` where the options leave something open.

    Raises ModelError when the model does not fit, cannot be loaded or has no usable chat template, UsageError for
    impossible sizes.
    """

    def __init__(
        self,
        path: Path,
        options: EngineOptions,
        *,
        layout: TunedLayout | None = None,
        tuned: Tuned | None = None,
        safe_kernels: bool = False,
    ) -> None:
        self._context: Context | None = None
        self._path = path
        self._room: Room | None = None
        if layout is None:
            # Measured first: how much of the weights counts as taken once they are loaded depends on the kernels.
            self._room = room_now(options)
            layout = self._choose_layout(options, tuned or Tuned())
        layers = layout.layout.gpu_layers
        self._model = Model(path, gpu_layers=layers, gpu_split=options.gpu_split, use_extra_bufts=not safe_kernels)
        try:
            if self._model.has_encoder or self._model.has_recurrent_state:
                raise ModelError(f"{path}: fare runs decoder models with attention; this one is of another kind")
            self.template = ChatTemplate(self._model)
            self._turns = Turns(self._model, self.template)
            self._start(options, layout)
        except BaseException:
            self.close()
            raise

    def restart(self, options: EngineOptions, tuned: Tuned) -> None:
        """The same weights in a fresh cache laid out for other options, with tuned settings where they leave something
        open; asks under way are lost."""
        self._start(options, self._choose_layout(options, tuned))

    def _start(self, options: EngineOptions, chosen: TunedLayout) -> None:
        self.options = options
        if self._context is not None:
            self._context.close()
            self._context = None
        self.layout, self.tuned, dropped = chosen
        try:
            self._context = Context(self._model, self.layout.context)
        except ModelError as error:
            if self.tuned == self.tuned.without_memory():
                raise
            dropped = error.message
            self.layout, self.tuned, _ = self._choose_layout(options, self.tuned.without_memory())
            self._context = Context(self._model, self.layout.context)
        if dropped is not None:
            warnings.warn(f"tuned settings do not fit now and are left out: {dropped}", RuntimeWarning, stacklevel=3)
        if options.lora is not None:
            self._context.use_adapter(self._model.load_adapter(options.lora))
        self._loop = Loop(
            self._context,
            self._turns,
            slots=self.layout.slots,
            ask_tokens=self.layout.ctx,
            even=self.layout.even,
        )

    def _choose_layout(self, options: EngineOptions, tuned: Tuned) -> TunedLayout:
        room = self._room or room_now(options)
        return choose_tuned_layout(options, tuned, read_model(self._path), room, name=str(self._path))

    @property
    def facts(self) -> dict[str, str | int | float | bool | None]:
        """Provenance: the build and how it runs the model. `tuned` names those that come from `fare models tune`."""
        context = self.layout.context
        build = build_info()
        return {
            "llama_cpp_python": str(build["llama_cpp_python"]),
            "system": str(build["system_info"]),
            "model": self._model.description,
            "template": self.template.family,
            "gpu_layers": self.layout.gpu_layers,
            "kv_type": context.kv_type,
            "kv_layout": "unified" if context.unified else "streams",
            "flash_attention": context.flash,
            "ctx": self.layout.ctx,
            "slots": self.layout.slots,
            "threads": context.threads,
            "batch": context.batch,
            "deterministic": self.layout.even,
            "openmp_spins": openmp.in_force(),
            "tuned": ", ".join(_FACTS.get(name, name) for name in self.tuned.given()) or None,
        }

    @property
    def reasons(self) -> bool:
        """Whether the model can think before it answers: an ask with reasoning is an error where it cannot."""
        return self.template.reasoning is not None

    @property
    def counters(self) -> Counters:
        return self._loop.counters

    @property
    def busy(self) -> bool:
        return self._loop.busy

    def submit(self, asks: Sequence[Ask]) -> None:
        """Takes asks; those of one call share what their prompts have in common.

        An ask that this model's template or vocabulary cannot express is answered with an error.
        """
        jobs = []
        for ask in asks:
            try:
                jobs.append(self._turns.job(ask))
            except ModelError as error:
                self._loop.refuse(ask.id, ReplyError("bad_ask", error.message))
        self._loop.add(jobs)

    def step(self) -> list[Answer]:
        """One pass of the loop; [] while nothing was finished by it."""
        return self._loop.step()

    def cancel(self, ask_ids: Sequence[str]) -> None:
        self._loop.cancel(ask_ids)

    def prompt_tokens(self, ask: Ask) -> int:
        """Tokens of the prompt of an ask, without running it."""
        return self._turns.job(ask).prompt_tokens

    def show_prompt(self, ask: Ask) -> str:
        """The exact prompt of an ask with its special tokens marked, and the forced beginning of a direct answer."""
        return self.template.show(self._turns.job(ask).tokens)

    def interrupt(self) -> None:
        """Makes the running step stop; only sets a flag."""
        assert self._context is not None
        self._context.interrupt()

    def resume(self) -> None:
        """Takes `interrupt` back."""
        assert self._context is not None
        self._context.resume()

    def never_end(self) -> None:
        """From now on a model writes until its tokens are used up: for measuring, where turns should be equally
        long."""
        self._model.ends_turns = False

    def close(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None
        self._model.close()
