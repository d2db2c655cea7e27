"""What people name to say which model they mean, taken apart: a name, a file on the Hub, an address."""

from __future__ import annotations

import difflib
import re
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from fare_cli.errors import UsageError
from fare_cli.gguf.catalog import (
    BuildSource,
    CatalogModel,
    HubSource,
    PackageSource,
    ShippedSource,
    UrlSource,
    catalog,
)
from fare_cli.gguf.install import check_name

_HUB = re.compile(r"hf:(?://)?(?P<repository>[\w.-]+/[\w.-]+)/(?P<file>[^@\s]+\.gguf)(?:@(?P<revision>[^@\s]+))?")
_HUB_PAGE = re.compile(r"/(?P<repository>[\w.-]+/[\w.-]+)/(?:resolve|blob)/(?P<revision>[^/]+)/(?P<file>\S+\.gguf)")
_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


class HubFiles(NamedTuple):
    """The files of one model in a repository on the Hub: one, or all parts of a split GGUF in their order."""

    repository: str
    revision: str
    files: tuple[str, ...]

    @property
    def reference(self) -> str:
        return f"hf:{self.repository}/{self.files[0]}"


class Wanted(NamedTuple):
    """What a reference means: the name to install it under, where it is, and its catalog entry if it has one."""

    name: str
    source: PackageSource | ShippedSource | HubFiles | UrlSource
    model: CatalogModel | None = None


def wanted(reference: str, name: str | None = None) -> Wanted:
    """The model that `reference` means, to be installed as `name` (default: what the catalog or the file calls it).

    A reference is a name of the catalog, `hf:OWNER/REPO/FILE.gguf[@REVISION]`, the address of a file's page on the Hub,
    or any other address of a GGUF file. Raises UsageError for what is none of these, or for a model that must be built.
    """
    if name is not None:
        check_name(name)
    if reference.startswith("hf:"):
        return _on_hub(_HUB.fullmatch(reference), reference, name)
    address = urlsplit(reference)
    if address.scheme in ("http", "https"):
        if address.hostname in _HUB_HOSTS:
            return _on_hub(_HUB_PAGE.fullmatch(unquote(address.path)), reference, name)
        return Wanted(name or _name_of(unquote(address.path), reference), UrlSource(kind="url", url=reference))
    return _in_catalog(reference, name)


def _on_hub(match: re.Match[str] | None, reference: str, name: str | None) -> Wanted:
    if match is None:
        raise UsageError(
            f"{reference} names no GGUF file on the Hub",
            "it looks like hf:OWNER/REPOSITORY/FILE.gguf, with @REVISION behind it if you want a certain one",
        )
    file, revision = match["file"], match["revision"] or "main"
    return Wanted(name or _name_of(file, reference), HubFiles(match["repository"], revision, _parts(file)))


def _in_catalog(reference: str, name: str | None) -> Wanted:
    known = catalog()
    model = known.get(reference)
    if model is None:
        near = difflib.get_close_matches(reference, known, n=1)
        hint = f"did you mean {near[0]}? there are: {', '.join(known)}" if near else f"there are: {', '.join(known)}"
        raise UsageError(f"no model in the catalog is called {reference}", hint)
    source = model.source
    if isinstance(source, BuildSource):
        raise UsageError(
            f"{reference} is published as safetensors only, and has to be made into a GGUF file here",
            f"build it with: fare models build {reference}",
        )
    if isinstance(source, HubSource):
        return Wanted(name or reference, HubFiles(source.repository, source.revision, _parts(source.file)), model)
    return Wanted(name or reference, source, model)


def _parts(file: str) -> tuple[str, ...]:
    """All files of the model that `file` is, or is a part of."""
    if any(step in ("", ".", "..") for step in file.split("/")):
        raise UsageError(f"{file} is no path inside a repository")
    match = _PART.fullmatch(file)
    if match is None:
        return (file,)
    count = int(match["count"])
    if not 1 <= int(match["number"]) <= count:
        raise UsageError(f"{file} says that it is part {match['number']} of {match['count']}")
    return tuple(f"{match['stem']}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))


def _name_of(path: str, reference: str) -> str:
    file = PurePosixPath(path).name
    match = _PART.fullmatch(file)
    name = match["stem"] if match else file.removesuffix(".gguf")
    if not file.endswith(".gguf") or not _NAME.fullmatch(name):
        raise UsageError(f"{reference} does not say what the model is called", "name it with --name")
    return name
