"""What `fare models tune` found out: the settings with which a model runs fastest here, kept in the cache folder.

A finding counts for this machine, this build of the engine and these weights; with any of them changed it is not
found any more. It is about speed alone and no part of what makes a judge this judge.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fare_cli.engine.build import engine_version, library_stamp
from fare_cli.engine.options import EngineOptions, KvLayout, Work
from fare_cli.errors import EnvironmentFault
from fare_cli.folders import cache_folder
from fare_cli.machine import cpu_flags, cpu_model, gpu_devices, gpus, memory, usable_cores, usable_cpus

#: Settings that change no byte of a deterministic run.
_SAME_BYTES = ("slots", "spins")

#: Settings that take no memory.
_WITHOUT_MEMORY = ("threads", "spins")


@dataclass(frozen=True, slots=True)
class Tuned:
    """Settings that are faster here than fare's own choice, where they are not None. Those of `EngineOptions`, and
    `spins`: how often OpenMP's threads look for work before they sleep."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    threads: Annotated[int, Field(ge=1)] | None = None
    slots: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=32)] | None = None
    flash: bool | None = None
    kv_layout: KvLayout | None = None
    spins: Annotated[int, Field(ge=0)] | None = None

    def given(self) -> dict[str, Any]:
        """The settings that are not None, by name."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) is not None}

    def label(self) -> str:
        """For people: `slots 24, flash off`."""
        shown = {True: "on", False: "off"}
        return ", ".join(f"{name} {shown.get(v, v) if isinstance(v, bool) else v}" for name, v in self.given().items())

    def usable(self, options: EngineOptions) -> Tuned:
        """Without what the user has set, and what could change the bytes of a deterministic run."""
        taken = {name: value for name, value in self.given().items() if getattr(options, name, None) is None}
        return Tuned(**taken)._only(_SAME_BYTES) if options.deterministic else Tuned(**taken)

    def without_memory(self) -> Tuned:
        """Only the settings that take no memory."""
        return self._only(_WITHOUT_MEMORY)

    def _only(self, names: tuple[str, ...]) -> Tuned:
        return Tuned(**{name: value for name, value in self.given().items() if name in names})

    def over(self, options: EngineOptions) -> EngineOptions:
        """The options with these settings where the user gave none."""
        taken = self.usable(options).given()
        taken.pop("spins", None)
        return replace(options, **taken)


class WorkTuning(BaseModel):
    """The finding for one kind of work. `speedup` is against fare's own choice; `measured` is a day in ISO 8601."""

    model_config = ConfigDict(extra="forbid")

    settings: Tuned
    speedup: float
    measured: str


class Tuning(BaseModel):
    """All findings about a model on this machine. The facts say for people what they hold for; the file's name binds
    them."""

    model_config = ConfigDict(extra="forbid")

    model: str
    machine: dict[str, Any]
    works: dict[Work, WorkTuning] = {}


def machine_facts() -> dict[str, Any]:
    """What a finding depends on besides the weights."""
    return {
        "cpu": cpu_model(),
        "cpu_flags": hashlib.sha256(cpu_flags().encode()).hexdigest()[:16],
        "cores": usable_cores(),
        "cpus": usable_cpus(),
        "memory_gib": round(memory().total_bytes / 2**30),
        "gpus": gpu_devices(),
        "engine": engine_version(),
        "build": hashlib.sha256(json.dumps(library_stamp()).encode()).hexdigest()[:16],
    }


def read_tuning(model_sha256: str, facts: Mapping[str, Any] | None = None) -> Tuning | None:
    """The findings for a model on this machine; None if there are none. A damaged file is passed over with a
    warning."""
    path = _file(model_sha256, machine_facts() if facts is None else facts)
    try:
        return Tuning.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or str(error)
    except ValidationError as error:
        reason = str(error.errors(include_url=False)[0]["msg"])
    warnings.warn(f"what was tuned is not used: {path}: {reason}", RuntimeWarning, stacklevel=2)
    return None


def write_tuning(model_sha256: str, tuning: Tuning) -> Path:
    """Keeps findings for `tuning.machine`, in place of earlier ones. Raises EnvironmentFault."""
    path = _file(model_sha256, tuning.machine)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(tuning.model_dump_json(indent=2, exclude_none=True) + "\n")
        Path(file.name).replace(path)
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be written: {error.strerror}") from None
    return path


def check_writable(model_sha256: str, machine: dict[str, Any]) -> None:
    """Raises EnvironmentFault where findings could not be kept: better before minutes of measuring than after."""
    folder = _file(model_sha256, machine).parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise EnvironmentFault(f"findings cannot be kept in {folder}: {error.strerror}") from None


def forget_tuning(model_sha256: str) -> int:
    """Removes what was found about a model, on whatever machine and build; how many files that were.

    Raises EnvironmentFault.
    """
    files = list(tuning_folder().glob(f"{model_sha256[:16]}-*.json"))
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            raise EnvironmentFault(f"{file} cannot be removed: {error.strerror}") from None
    return len(files)


def tuned_for(tuning: Tuning | None, options: EngineOptions) -> Tuned:
    """What was found for this kind of work; nothing where it was measured under other conditions than these.

    Tuning measures an f16 cache and, with a GPU, all layers on it.
    """
    found = tuning.works.get(options.work) if tuning is not None else None
    other_device = options.gpu_layers not in (None, -1) and bool(gpu_devices() or gpus())
    if found is None or options.kv_type != "f16" or other_device:
        return Tuned()
    return found.settings.usable(options)


def tuning_folder() -> Path:
    """Where findings are kept; may not exist yet."""
    return cache_folder() / "tuning"


def _file(model_sha256: str, facts: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return tuning_folder() / f"{model_sha256[:16]}-{digest[:24]}.json"
