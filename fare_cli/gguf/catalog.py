"""The models fare knows how to bring: those it ships a catalog of, and those of the user's own catalog."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from fare_cli.errors import UsageError
from fare_cli.folders import config_folder

_SPLIT = re.compile(r"-00001-of-\d{5}\.gguf$")

_Repository = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
_Revision = Annotated[str, Field(pattern=r"^[^@\s]+$")]
_Count = Annotated[int, Field(gt=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(_Entry):
    """A file inside a wheel of a Python package; `member` is its path in the wheel."""

    kind: Literal["package"]
    distribution: str
    version: str
    member: str


class ShippedSource(_Entry):
    """A file that fare's own package carries, in `shipped` beside this module; `NAME.md` there is its card."""

    kind: Literal["shipped"]
    file: Annotated[str, Field(pattern=r"^[\w.-]+\.gguf$")]

    def open(self) -> IO[bytes]:
        """The bytes of the file. Raises FileNotFoundError where this installation lacks it."""
        return _shipped_folder().joinpath(self.file).open("rb")

    def card(self) -> bytes:
        """The model card. Raises FileNotFoundError where this installation lacks it."""
        return _shipped_folder().joinpath(self.file.removesuffix(".gguf") + ".md").read_bytes()


class HubSource(_Entry):
    """A GGUF file of a repository on the Hugging Face Hub; the first part, where it is split."""

    kind: Literal["hub"]
    repository: _Repository
    file: Annotated[str, Field(pattern=r"^[^@\s]+\.gguf$")]
    revision: _Revision = "main"


class UrlSource(_Entry):
    """A GGUF file at an address of its own."""

    kind: Literal["url"]
    url: Annotated[str, Field(pattern=r"^https?://\S+$")]


class Architecture(_Entry):
    """The dimensions of a model, in llama.cpp's terms: what its size and its cache are computed from.

    `width` is the embedding's, `head_width` that of one attention head; `window` is how many tokens the layers see that
    do not see the whole text. `experts` are those of a layer, `experts_used` those that a token takes.
    """

    family: str
    parameters: _Count
    layers: _Count
    width: _Count
    feed_forward: _Count
    heads: _Count
    kv_heads: _Count
    head_width: _Count
    vocabulary: _Count
    experts: _Count | None = None
    experts_used: _Count | None = None
    window: _Count | None = None


class BuildSource(_Entry):
    """Weights on the Hugging Face Hub that have to be converted; `fare models build` does."""

    kind: Literal["build"]
    repository: _Repository
    revision: _Revision = "main"
    architecture: Architecture | None = None


class CatalogModel(_Entry):
    """A model that can be brought or built. The keys are explained at the top of catalog.toml."""

    about: str
    licence: str
    restricts: str | None = None
    unverified: bool = False
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    bytes: _Count | None = None
    context: _Count | None = None
    template: str | None = None
    decoding: dict[str, str | int | float | bool] = {}
    quantisation: str | None = None
    sizes: dict[str, _Count] = {}
    sizes_from: str | None = None
    kv_bytes: _Count | None = None
    base: str | None = None
    source: Annotated[PackageSource | ShippedSource | HubSource | UrlSource | BuildSource, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _is_checkable(self) -> CatalogModel:
        is_packed = self.source.kind in ("package", "shipped")
        if is_packed and (self.sha256 is None or self.bytes is None):
            raise ValueError("a file from a package needs sha256 and bytes")
        if self.base is not None and not is_packed:
            raise ValueError("only what comes out of a package can be an adapter with a base")
        if not self.unverified and (self.sha256 is None or self.bytes is None):
            raise ValueError("give sha256 and bytes, or say unverified = true")
        if self.sha256 is not None and self.source.kind == "hub" and _SPLIT.search(self.source.file):
            raise ValueError("a split model has no sha256 of its own: leave it out and say unverified = true")
        return self

    @property
    def command(self) -> Literal["build", "pull"]:
        """Which `fare models` command gets it."""
        return "build" if self.source.kind == "build" else "pull"

    @property
    def approximate_bytes(self) -> int | None:
        """The size of the file that is brought, or about that of the one that is built; None where nobody knows."""
        return self.bytes or self.sizes.get(self.quantisation or "")


def catalog() -> Mapping[str, CatalogModel]:
    """The known models by name: fare's own, and those of `catalog.toml` in the configuration folder, which win.

    Raises UsageError for a mistake in the user's catalog, naming file, table and key.
    """
    return {**_shipped(), **_users(user_catalog_file())}


def entry_of_repository(repository: str) -> CatalogModel | None:
    """The entry of a repository on the Hub: what fare knows about its licence. None where it knows nothing."""
    for model in catalog().values():
        if isinstance(model.source, HubSource | BuildSource) and model.source.repository == repository:
            return model
    return None


def user_catalog_file() -> Path:
    """Where the user's own catalog is looked for; may not exist."""
    return config_folder() / "catalog.toml"


def _shipped_folder() -> Traversable:
    return resources.files("fare_cli.gguf").joinpath("shipped")


@functools.cache
def _shipped() -> Mapping[str, CatalogModel]:
    text = resources.files("fare_cli.gguf").joinpath("catalog.toml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, CatalogModel]).validate_python(tomllib.loads(text))


def _users(file: Path) -> dict[str, CatalogModel]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{file} cannot be read: {reason}", "mend or remove this catalog of yours") from None
    return {name: _users_entry(file, name, table) for name, table in tables.items()}


def _users_entry(file: Path, name: str, table: Any) -> CatalogModel:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UsageError(f"{file}: [{name}]: a model's name has letters, digits and . _ - only")
    if not isinstance(table, dict):
        raise UsageError(f"{file}: {name} is not a table", "an entry begins with [NAME]")
    try:
        return CatalogModel.model_validate(table)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        kinds = ("package", "shipped", "hub", "url", "build")
        # Pydantic names the kind of source that was chosen as if it were a key below `source`.
        keys = [str(part) for place, part in enumerate(first["loc"]) if not (place == 1 and part in kinds)]
        reason = str(first["msg"]).removeprefix("Value error, ")
        where = f"[{name}] {'.'.join(keys)}".rstrip()
        raise UsageError(f"{file}: {where}: {reason}", "the keys are explained in docs/models.md") from None
