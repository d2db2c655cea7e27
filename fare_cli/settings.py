"""Settings that outlive one command: read from flags, the environment and a project file, each value with its origin.

Precedence: flag, `FARE_*` variable, project file (`fare.toml`, or `[tool.fare]` in pyproject.toml), what the model
brings along (`with_model_defaults`), default.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator

from fare_cli.errors import ModelError, UsageError
from fare_cli.identity import Combine, JudgingOptions, Mode, Order, ReasoningLevel, Votes

_JUDGING = JudgingOptions()
_VOTING_TEMPERATURE = 0.7

# Variables with fare's prefix that say something else than a setting.
_OTHER_VARIABLES = frozenset({"FARE_API_KEY", "FARE_HOME", "FARE_SERVE_TOKEN", "FARE_TEST_MODEL"})

# Where records are sent is the user's word. A project file comes with whatever folder one happens to be in.
_NOT_FROM_PROJECTS = frozenset({"backend", "url"})


class Settings(BaseModel):
    """All settings of a judging command. `ctx`, `slots`, `threads` and `gpu_layers` are chosen by the engine if None.

    `votes` that are not given are as many as it takes with mode "auto". `temperature` None means 0, or 0.7 where
    several votes need sampling. `ctx` is in tokens for one ask.
    `reasoning_tokens` None means as many as the level has. `gpu_layers` -1 puts all layers on the GPU, `gpu_split` says
    how several GPUs share them, `kv_type` what the cache is kept in. `url`, `served_model` (the server's name for it),
    `concurrency` and `timeout` (seconds) are for `backend` http, which is never chosen by itself. `max_invalid` is a
    share of the records.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    lora: Path | None = None
    prompts: Path | None = None
    mode: Mode = _JUDGING.mode
    order: Order = _JUDGING.order
    combine: Combine = _JUDGING.combine
    tie: bool = _JUDGING.tie
    votes: Votes = _JUDGING.votes
    temperature: float | None = Field(None, ge=0, allow_inf_nan=False)
    seed: int = Field(_JUDGING.seed, ge=0, lt=2**32)
    max_tokens: int = Field(_JUDGING.max_tokens, ge=1)
    reasoning: ReasoningLevel = _JUDGING.reasoning
    reasoning_tokens: int | None = Field(_JUDGING.reasoning_tokens, ge=1)
    ctx: int | None = Field(None, ge=1)
    slots: int | None = Field(None, ge=1)
    threads: int | None = Field(None, ge=1)
    gpu_layers: int | None = Field(None, ge=-1)
    gpu_split: Literal["none", "layer", "row"] = "layer"
    kv_type: Literal["f16", "q8_0"] = "f16"
    deterministic: bool = False
    backend: Literal["local", "http"] = "local"
    url: str | None = None
    served_model: str | None = None
    concurrency: int = Field(32, ge=1)
    timeout: int = Field(600, ge=1)
    strict: bool = False
    max_invalid: float = Field(0.01, ge=0, le=1)

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("max_invalid", mode="before")
    @classmethod
    def _share(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        number, percent, rest = value.strip().partition("%")
        try:
            share = float(number + rest) / (100 if percent else 1)
        except ValueError:
            share = math.nan
        # A bare 1 could mean one record as well as all of them.
        if math.isnan(share) or (share >= 1 and not percent):
            raise ValueError("should be a share of the records, such as 1% or 0.01")
        return share

    @field_validator("votes", mode="before")
    @classmethod
    def _votes(cls, value: object) -> object:
        """The value as it is: whether a text may stand for a number is decided by how strictly all is read."""
        number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
        if value != "auto" and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise ValueError("should be a whole number from 1 on, or auto")
        return value

    def origin(self, name: str) -> str:
        """Where a value came from: a flag (`--votes`), a variable (`FARE_VOTES`), a file, or `default`."""
        return self._origins.get(name, "default")

    def judging_options(self) -> JudgingOptions:
        """The part that makes one judge another judge than the next."""
        votes: Votes = "auto" if self.mode == "auto" and "votes" not in self.model_fields_set else self.votes
        temperature = self.temperature
        if temperature is None:
            temperature = _JUDGING.temperature if votes == 1 else _VOTING_TEMPERATURE
        return JudgingOptions(
            mode=self.mode,
            order=self.order,
            combine=self.combine,
            tie=self.tie,
            votes=votes,
            temperature=temperature,
            seed=self.seed,
            max_tokens=self.max_tokens,
            reasoning=self.reasoning,
            reasoning_tokens=self.reasoning_tokens,
        )

    def on_this_machine(self) -> Settings:
        """The same, with a model here as the judge whatever was said of a server."""
        here = self.model_copy(update={"backend": "local", "url": None})
        here._origins = dict(self._origins)
        return here

    def is_given(self, name: str) -> bool:
        """Whether a value comes from anywhere but the defaults."""
        return name in self._origins


class _Given(NamedTuple):
    value: object
    origin: str


def load_settings(flags: Mapping[str, object] | None = None, *, isolated: bool = False) -> Settings:
    """The settings in force here and now. `flags` maps field names to values; None stands for a flag not given.

    The project file is the nearest `fare.toml`, or pyproject.toml with `[tool.fare]`, at or above the working
    directory; `isolated` leaves it out. Raises UsageError for an unknown key or a value that cannot be, naming where
    it stands.
    """
    given: dict[str, _Given] = {}
    if not isolated:
        given |= _from_project(Path.cwd())
    given |= _from_environment(os.environ)
    for name, value in (flags or {}).items():
        if value is not None:
            given[name] = _Given(value, f"--{name.replace('_', '-')}")
    try:
        settings = Settings.model_validate({name: item.value for name, item in given.items()})
    except ValidationError as error:
        raise _bad_value(error, given) from None
    settings._origins.update({name: item.origin for name, item in given.items()})
    return settings


def with_model_defaults(settings: Settings, options: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    """The settings with a model's own judging `options` in place of defaults; `origins` says where each stands.

    What was given stays, and an option of the model that cannot go with it makes way. Raises ModelError for an option
    that there is not, a value that cannot be, and options that contradict each other.
    """
    check_model_defaults(options, origins)
    own = {name: value for name, value in options.items() if not settings.is_given(name)}
    merged = settings.model_copy(update=own)
    for name, stands in _CONTRADICTIONS:
        if name in own and stands(merged):
            merged = merged.model_copy(update={name: getattr(settings, name)})
            del own[name]
    merged._origins = {**settings._origins, **{name: origins[name] for name in own}}
    return merged


def check_model_defaults(options: Mapping[str, Any], origins: Mapping[str, str]) -> None:
    """Raises ModelError, naming the origin, for judging options of a model that no judge can have."""
    for name in options:
        if name not in _MODEL_OPTIONS:
            meant = _nearest(name, _MODEL_OPTIONS)
            hint = f"did you mean {meant}?" if meant else f"there are: {', '.join(_MODEL_OPTIONS)}"
            raise ModelError(f"{origins[name]}: there is no judging option {name!r}", hint)
        if options[name] is None:
            raise ModelError(f"{origins[name]}: {name} has no value")
    try:
        own = Settings.model_validate(dict(options), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        reason = str(first["msg"]).removeprefix("Input ")
        raise ModelError(f"{origins[name]}: {name} cannot be {options[name]!r}: {reason}") from None
    for name, stands in _CONTRADICTIONS:
        if name in options and stands(own):
            raise ModelError(f"{origins[name]}: {name} {options[name]!r} contradicts the other options there")


# Thresholds are learnt for one judge on one task, and stand in a file of their own.
_MODEL_OPTIONS = tuple(name for name in JudgingOptions.__slots__ if name != "thresholds")


def _several_votes(settings: Settings) -> bool:
    return settings.judging_options().several_votes


# An option, and when another one forbids it: what `tasks.check_options` refuses, from each side of a contradiction.
_CONTRADICTIONS: tuple[tuple[str, Callable[[Settings], bool]], ...] = (
    ("mode", lambda settings: _several_votes(settings) and not settings.judging_options().generates),
    ("mode", lambda settings: settings.mode == "auto" and _several_votes(settings) and settings.temperature == 0),
    ("temperature", lambda settings: _several_votes(settings) and settings.temperature == 0),
    ("votes", lambda settings: _several_votes(settings) and not settings.judging_options().generates),
    ("votes", lambda settings: _several_votes(settings) and settings.temperature == 0),
    ("combine", lambda settings: settings.tie and settings.combine == "mean"),
    ("order", lambda settings: settings.tie and settings.order != "both"),
    ("tie", lambda settings: settings.tie and (settings.combine == "mean" or settings.order != "both")),
)


def _bad_value(error: ValidationError, given: Mapping[str, _Given]) -> UsageError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    item = given[name]
    reason = str(first["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    if item.origin.startswith(("--", "FARE_")):
        return UsageError(f"{item.origin} cannot be {item.value!r}: {reason}")
    return UsageError(f"{item.origin}: {name} cannot be {item.value!r}: {reason}")


def _from_environment(environment: Mapping[str, str]) -> dict[str, _Given]:
    """Settings in `FARE_*` variables. An empty variable counts as absent; one that only looks like a setting is an
    error, so that a slip of the pen does not pass for a setting."""
    known = {f"FARE_{name.upper()}": name for name in Settings.model_fields}
    given = {}
    for variable, value in environment.items():
        if not variable.startswith("FARE_") or variable in _OTHER_VARIABLES or not value:
            continue
        if variable in known:
            given[known[variable]] = _Given(value, variable)
        elif meant := _nearest(variable, known):
            raise UsageError(f"unknown variable {variable} in the environment", f"did you mean {meant}?")
    return given


def _from_project(directory: Path) -> dict[str, _Given]:
    """Settings of the nearest project file; relative paths in it are meant from the folder where it lies."""
    for folder in (directory, *directory.parents):
        for name in ("fare.toml", "pyproject.toml"):
            path = folder / name
            table = _table(path)
            if table is not None:
                return _from_table(table, path)
    return {}


def _table(path: Path) -> Mapping[str, Any] | None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path} cannot be read: {reason}", "mend the file, or leave it out with --isolated") from None
    if path.name == "fare.toml":
        return document
    tools = document.get("tool")
    table = tools.get("fare") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{path}: tool.fare is not a table", "settings go under [tool.fare]")
    return table


def _from_table(table: Mapping[str, Any], path: Path) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in Settings.model_fields:
            meant = _nearest(name, Settings.model_fields)
            hint = f"did you mean {meant}?" if meant else f"known settings: {', '.join(Settings.model_fields)}"
            raise UsageError(f"{path}: unknown setting {key!r}", hint)
        if name in _NOT_FROM_PROJECTS:
            raise UsageError(
                f"{path}: {name} is not taken from a file, since records would go wherever it says",
                f"--{name}, or FARE_{name.upper()} in the environment",
            )
        if name in given:
            raise UsageError(f"{path}: {name} is given twice, as {name!r} and as {name.replace('_', '-')!r}")
        given[name] = _Given(_anchored(name, value, path.parent), str(path))
    return given


def _anchored(name: str, value: object, folder: Path) -> object:
    is_path = name in ("lora", "prompts") or (name == "model" and isinstance(value, str) and looks_like_path(value))
    return str(folder / Path(value).expanduser()) if is_path and isinstance(value, str) else value


def looks_like_path(model: str) -> bool:
    """Whether a model is meant as a file rather than as a name: it has a separator, or ends with `.gguf`."""
    return "/" in model or model.lower().endswith(".gguf")


def _nearest(name: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.8)), None)
