"""The stages of a loop: each judge that it has come to, from the model it starts from to the last iteration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from fare_cli.errors import InputError
from fare_cli.run.files import write_whole

SUMMARY = "iterations.jsonl"
START, COLD_START = "start", "cold start"


class Stage(NamedTuple):
    """A judge of a loop: `policy` is its GGUF file, `counts` what making it counted (nothing for the start)."""

    name: str
    policy: Path
    counts: Mapping[str, Any] = {}


class _Line(BaseModel):
    model_config = ConfigDict(extra="allow")

    stage: str
    policy: str


def iteration(number: int) -> str:
    """The name of a stage; the cold start is iteration 0."""
    return f"iteration {number}" if number else COLD_START


def write_stages(folder: Path, stages: Sequence[Stage]) -> None:
    """Writes the stages that a loop has reached to `iterations.jsonl` in its folder, so that it can be moved."""
    lines = []
    for stage in stages:
        inside = stage.policy.parent.absolute() == folder.absolute()
        policy = stage.policy.name if inside else str(stage.policy.absolute())
        lines.append(json.dumps({"stage": stage.name, "policy": policy, **stage.counts}) + "\n")
    write_whole(folder / SUMMARY, "".join(lines), "summary")


def read_stages(folder: Path) -> list[Stage]:
    """The stages that the loop in `folder` has reached, in order. Raises InputError where there is none."""
    path = folder / SUMMARY
    hint = "name the folder that `loop -o` writes to"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [_Line.model_validate_json(line) for line in lines]
    except OSError as error:
        raise InputError(f"{folder} is no folder of a loop: {path.name}: {error.strerror or error}", hint) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise InputError(f"{path}: {where}: {first['msg']}", hint) from None
    return [Stage(one.stage, folder / one.policy, one.model_extra or {}) for one in found]
