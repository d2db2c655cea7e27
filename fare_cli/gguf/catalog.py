"""The models fare knows how to bring, as listed in catalog.toml."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class PackageSource(BaseModel):
    """A file inside a wheel of a Python package; `member` is its path in the wheel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["package"]
    distribution: str
    version: str
    member: str


class CatalogModel(BaseModel):
    """A model that can be brought: what it is, the checksum and size of its GGUF file, and where to take it from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    licence: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(gt=0)]
    source: PackageSource


@functools.cache
def catalog() -> Mapping[str, CatalogModel]:
    """The known models by name."""
    text = resources.files("fare_cli.gguf").joinpath("catalog.toml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, CatalogModel]).validate_python(tomllib.loads(text))
