"""The judge as a library: a model, prompts and options, opened once and asked for verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict

from fare_cli.asks import Backend, BackendInfo
from fare_cli.backends.http.options import ServerOptions
from fare_cli.calibration import Calibrated, Calibration
from fare_cli.engine.options import EngineOptions, GpuSplit, KvType, Work
from fare_cli.engine.tuning import Tuned, read_tuning, tuned_for
from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.model_prompts import FoundPrompt, find_prompt, own_decoding
from fare_cli.gguf.store import ModelFile, file_sha256, resolve_model
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.prompting import TaskPrompt, load_task_prompt
from fare_cli.records import Record
from fare_cli.run.reader import items_of
from fare_cli.run.stream import Judging
from fare_cli.settings import Settings, with_model_defaults
from fare_cli.tasks import Task, check_options, make_task
from fare_cli.thresholds import LearntThresholds
from fare_cli.verdicts import Verdict

if TYPE_CHECKING:
    from fare_cli.backends.http.backend import HttpBackend
    from fare_cli.backends.local import LocalBackend


class Judge:
    """Weights, prompts and options. The model is loaded by the first record that needs it.

    `model` is the resolved model file, `options` how records are judged, `engine` how the model is run (it does not
    make another judge), `prompts_dir` a folder of prompts instead of the model's own or fare's. With a `calibration` it
    gives calibrated probabilities, on the task that this was fitted on; learnt `thresholds` are for mode "auto". With a
    `server` that one judges: of `model`, which may be None, only vocabulary, template and prompts are used, and what
    identifies the judge is asked of the server. Raises UsageError for two adapters, or for neither model nor server.
    """

    def __init__(
        self,
        model: ModelFile | None,
        *,
        options: JudgingOptions | None = None,
        prompts_dir: Path | None = None,
        engine: EngineOptions | None = None,
        calibration: Calibration | None = None,
        thresholds: LearntThresholds | None = None,
        server: ServerOptions | None = None,
    ) -> None:
        if model is None and server is None:
            raise UsageError("a judge needs a model or a server")
        self._model = model
        self.server = server
        self.options = options or JudgingOptions()
        self.prompts_dir = prompts_dir
        self.calibration = calibration
        self.thresholds = thresholds
        self.engine_options = engine or EngineOptions(**work_of(self.options))
        self._backend: LocalBackend | HttpBackend | None = None
        self._prompts: dict[str, FoundPrompt] = {}
        self._server_info: BackendInfo | None = None
        if model is None or server is not None:
            return
        if model.adapter is not None:
            self.engine_options = _with_adapter(self.engine_options, model)
        self._local_weights = f"sha256:{model.sha256}"
        lora = self.engine_options.lora
        if lora is not None:
            if not lora.is_file():
                raise ModelError(f"there is no adapter file {lora}")
            self._local_weights += f"+lora:sha256:{file_sha256(lora)}"

    @classmethod
    def open(
        cls,
        model: str | Path | None = None,
        *,
        options: JudgingOptions | None = None,
        prompts_dir: Path | None = None,
        lora: Path | None = None,
        ctx: int | None = None,
        slots: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        gpu_split: GpuSplit = "layer",
        kv_type: KvType = "f16",
        deterministic: bool = False,
        calibration: Path | None = None,
        thresholds: Path | None = None,
        server: ServerOptions | None = None,
    ) -> Judge:
        """A judge on a model's name or a GGUF file's path; None means the only model installed, or with a `server`
        that none of the files here is used.

        `options` None means those that the model brings along, for the rest the defaults. `ctx`, `slots`, `threads`,
        `gpu_layers`, `gpu_split`, `kv_type` and `deterministic` are those of `EngineOptions`; what they leave open is
        taken from `fare models tune`, where it was run. `calibration` is a file that `fare eval --calibrate` wrote for
        this judge, `thresholds` one that `fare eval --learn-thresholds` wrote. Raises ModelError if there is no such
        model, InputError for a file that is none of these; what only loading shows is raised by the first verdict.
        """
        found = None if model is None and server is not None else resolve_model(model)
        if options is None:
            settings = Settings.model_validate({})
            if found is not None:
                settings = with_model_defaults(settings, *own_decoding(found.installed_file))
            options = settings.judging_options()
        engine = EngineOptions(
            ctx=ctx,
            slots=slots,
            threads=threads,
            gpu_layers=gpu_layers,
            gpu_split=gpu_split,
            kv_type=kv_type,
            deterministic=deterministic,
            lora=lora,
            **work_of(options),
        )
        return cls(
            found,
            options=options,
            prompts_dir=prompts_dir,
            engine=engine,
            calibration=None if calibration is None else Calibration.read(calibration),
            thresholds=None if thresholds is None else LearntThresholds.read(thresholds),
            server=server,
        )

    @property
    def model(self) -> ModelFile:
        """The model's file; for a judge on a server the one with its vocabulary. Raises UsageError where there is
        none."""
        if self._model is None:
            raise UsageError("this needs a model file, and the judge is a server's", "name one with --model")
        return self._model

    @property
    def name(self) -> str:
        """The model's name, as its server has it where there is one."""
        return self.model.name if self.server is None else self._served().model

    @property
    def weights(self) -> str:
        """What identifies weights and adapter; of a server's model, all that is known of it."""
        return self._local_weights if self.server is None else self._served().weights

    def _served(self) -> BackendInfo:
        """What the server said of its model when it was asked first; remembered when the judge is closed."""
        if self._server_info is None:
            self._server_info = self.backend().info
        return self._server_info

    def task(self, name: str) -> Task:
        """The task with this judge's prompts, options and calibration. Raises UsageError for options that do not go
        together, or a calibration or thresholds of another judge."""
        return _task(self, self.prompt(name).prompt)

    def prompt(self, task: str) -> FoundPrompt:
        """The prompt of a task and whose it is. Raises UsageError or ModelError for prompts that cannot be used."""
        if task not in self._prompts:
            file = None if self._model is None else self._model.installed_file
            self._prompts[task] = find_prompt(task, file, self.prompts_dir)
        return self._prompts[task]

    def identity(self, task: str) -> JudgeIdentity:
        """What makes this judge the one it is for a task; needs no loaded model, but asks a server what it has. Raises
        UsageError for a calibration or thresholds of another judge."""
        prompt = self.prompt(task).prompt
        identity = JudgeIdentity(
            task=task,
            model=self.name,
            weights=self.weights,
            prompts=prompt.fingerprint,
            prompts_origin=prompt.origin,
            options=self.options,
        )
        return _bound(self, identity)

    def tuned(self) -> Tuned:
        """What `fare models tune` found for this kind of work here, where the engine options leave something open."""
        return tuned_for(read_tuning(self.model.sha256), self.engine_options)

    def backend(self) -> LocalBackend | HttpBackend:
        """The loaded model or the server, opened now if it was not. Raises ModelError, UsageError (no room, no
        reasoning), EnvironmentFault (no server)."""
        if self._backend is None:
            backend = self._open_local() if self.server is None else self._open_server(self.server)
            if self.options.reasoning != "off" and not backend.reasons:
                backend.close()
                raise UsageError(
                    f"--reasoning {self.options.reasoning}: the chat template of {self.model.name} has no thinking to "
                    "switch on",
                    "leave --reasoning out, or take a model that thinks (Qwen3, gpt-oss)",
                )
            self._backend = backend
        return self._backend

    def _open_local(self) -> LocalBackend:
        from fare_cli.backends.local import LocalBackend

        return LocalBackend(
            self.model.path,
            name=self.model.name,
            weights=self._local_weights,
            options=self.engine_options,
            tuned=self.tuned(),
        )

    def _open_server(self, server: ServerOptions) -> HttpBackend:
        from fare_cli.backends.http.backend import HttpBackend

        if self._model is None:
            return HttpBackend(server)
        return HttpBackend(server, vocabulary=self._model.path, vocabulary_sha256=self._model.sha256)

    def pairwise(self, records: Iterable[Record | Mapping[str, Any]]) -> Iterator[Verdict]:
        """Which of two answers is better, one verdict a record, in order, while records still come in."""
        return self.verdicts("pairwise", records)

    def step(self, records: Iterable[Record | Mapping[str, Any]]) -> Iterator[Verdict]:
        """The first wrong step of each solution."""
        return self.verdicts("step", records)

    def verify(self, records: Iterable[Record | Mapping[str, Any]]) -> Iterator[Verdict]:
        """Whether each answer is right."""
        return self.verdicts("verify", records)

    def score(self, records: Iterable[Record | Mapping[str, Any]]) -> Iterator[Verdict]:
        """How good each answer is by its rubric."""
        return self.verdicts("score", records)

    def verdicts(self, task: str, records: Iterable[Record | Mapping[str, Any]]) -> Iterator[Verdict]:
        """Verdicts of a task by name. What is wrong with one record makes its verdict `invalid` and ends nothing."""
        judging = Judging(self.task(task), self.backend, self.identity(task))
        return judging.verdicts(items_of(task, records))

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BackendJudge:
    """A judge whose asks go to a backend that is there already, such as recorded or simulated replies.

    `name` and what identifies its weights are the backend's own. The caller closes the backend.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        options: JudgingOptions | None = None,
        prompts_dir: Path | None = None,
        calibration: Calibration | None = None,
        thresholds: LearntThresholds | None = None,
    ) -> None:
        self.options = options or JudgingOptions()
        self.calibration = calibration
        self.thresholds = thresholds
        self._backend = backend
        self._prompts_dir = prompts_dir

    @property
    def name(self) -> str:
        return self._backend.info.model

    def task(self, name: str) -> Task:
        """The task with this judge's options. Raises UsageError for prompts, options, thresholds or a calibration that
        cannot be used."""
        return _task(self, load_task_prompt(name, self._prompts_dir))

    def identity(self, task: str) -> JudgeIdentity:
        """What makes this judge the one it is for a task."""
        prompt, info = load_task_prompt(task, self._prompts_dir), self._backend.info
        identity = JudgeIdentity(
            task=task,
            model=info.model,
            weights=info.weights,
            prompts=prompt.fingerprint,
            prompts_origin=prompt.origin,
            options=self.options,
        )
        return _bound(self, identity)

    def backend(self) -> Backend:
        return self._backend

    def verdicts(self, task: str, records: Iterable[Record | Mapping[str, Any]]) -> Iterator[Verdict]:
        """Verdicts of a task by name. What is wrong with one record makes its verdict `invalid` and ends nothing."""
        judging = Judging(self.task(task), self.backend, self.identity(task))
        return judging.verdicts(items_of(task, records))


def _task(judge: Judge | BackendJudge, prompt: TaskPrompt) -> Task:
    check_options(prompt.task, judge.options)
    # Refuses a calibration or thresholds of another judge; learnt thresholds stand in the identity's options.
    task = make_task(prompt, judge.identity(prompt.task).options)
    return task if judge.calibration is None else Calibrated(task, judge.calibration)


def _bound(judge: Judge | BackendJudge, identity: JudgeIdentity) -> JudgeIdentity:
    if judge.thresholds is not None:
        identity = judge.thresholds.bind(identity)
    return identity if judge.calibration is None else judge.calibration.bind(identity)


def _with_adapter(options: EngineOptions, model: ModelFile) -> EngineOptions:
    if options.lora is not None:
        raise UsageError(
            f"{model.name} is an adapter itself, and --lora names a second one: {options.lora}",
            "judge with one of them; the base is chosen by its own name",
        )
    return replace(options, lora=model.adapter)


class EngineWork(TypedDict):
    """The part of `EngineOptions` that follows from how records are judged."""

    work: Work
    reply_tokens: int


def work_of(options: JudgingOptions) -> EngineWork:
    """What kind of work these options give the engine."""
    if not options.generates:
        return {"work": "direct", "reply_tokens": 0}
    critique_tokens = options.max_tokens if options.mode != "direct" else 0
    # The first asks of a cascade share no more than their system prompt.
    work: Work = "votes" if options.several_votes and options.mode != "auto" else "critique"
    return {"work": work, "reply_tokens": options.thinking_tokens + critique_tokens}
