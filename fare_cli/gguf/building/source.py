"""Where a checkpoint to build from lies, and bringing it here: a folder, or a repository on the Hub."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.building.checkpoint import CONFIG, INDEX, SMALL_FILES, read_config, see_usable, weight_files
from fare_cli.gguf.catalog import BuildSource, catalog
from fare_cli.gguf.disk import Say
from fare_cli.gguf.fetch.licence import Accept
from fare_cli.gguf.fetch.snapshot import RECORD, hub_snapshot
from fare_cli.gguf.fetch.transfer import Show

_HUB = re.compile(r"hf:(?://)?(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@\s]+))?")
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")


class Source(NamedTuple):
    """A checkpoint: `folder` on this machine, or else `repository` on the Hub at `revision`.

    `name` is what files made of it are called by default; `parameters` and `decoding` (judging options that become the
    model's defaults) stand in the catalog.
    """

    name: str
    folder: Path | None = None
    repository: str = ""
    revision: str = "main"
    parameters: int | None = None
    decoding: Mapping[str, str | int | float | bool] = {}

    @property
    def reference(self) -> str:
        return str(self.folder) if self.folder is not None else f"hf:{self.repository}"

    @property
    def key(self) -> str:
        """A name for the folder of the build, of its own for each source."""
        digest = hashlib.sha256(f"{self.reference}@{self.revision}".encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"


class Brought(NamedTuple):
    """A checkpoint that is here: its folder, and where it is from in full (with the Hub's commit), and its licence."""

    folder: Path
    origin: str
    licence: str | None


class Announced(NamedTuple):
    """What is known of a checkpoint on the Hub before its weights are brought."""

    config: Mapping[str, Any]
    commit: str
    total_bytes: int | None


def find_source(reference: str) -> Source:
    """The source that `reference` means: a name of the catalog, `hf:OWNER/REPO[@REVISION]`, or a folder.

    Raises UsageError for what is none of these, and for a model of the catalog that is not built but pulled.
    """
    if reference.startswith("hf:"):
        match = _HUB.fullmatch(reference)
        if match is None:
            raise UsageError(f"{reference} is no repository on the Hub", "it looks like hf:OWNER/REPOSITORY[@REVISION]")
        name = match["repository"].partition("/")[2].lower()
        return Source(name, repository=match["repository"], revision=match["revision"] or "main")
    known = catalog().get(reference)
    if known is None:
        folder = Path(reference).expanduser().absolute()
        if folder.is_dir():
            return Source(_NOT_IN_NAMES.sub("-", folder.name).strip("-.") or "model", folder=folder)
        buildable = ", ".join(name for name, model in catalog().items() if isinstance(model.source, BuildSource))
        raise UsageError(
            f"there is nothing to build called {reference}",
            f"name a folder with a checkpoint, hf:OWNER/REPOSITORY, or one of: {buildable}",
        )
    if not isinstance(known.source, BuildSource):
        raise UsageError(f"{reference} need not be built", f"get it with: fare models pull {reference}")
    parameters = known.source.architecture.parameters if known.source.architecture is not None else None
    return Source(reference, None, known.source.repository, known.source.revision, parameters, known.decoding)


class Hub:
    """A checkpoint on the Hub that is brought into `folder`: first the small files, then, if wanted, the weights.

    Raises as `fetch.hub_snapshot` does.
    """

    def __init__(self, source: Source, folder: Path, accept: Accept, again: str, say: Say, show: Show) -> None:
        self._source = source
        self._folder = folder
        self._accept = accept
        self._again = again
        self._say = say
        self._show = show

    def brought(self) -> Brought | None:
        """The checkpoint where an earlier build has brought it whole; nobody is asked then."""
        record = self._record()
        files = record.get("files", {})
        if record.get("repository") != self._source.repository:
            return None
        if self._source.revision not in ("main", record.get("revision")):
            return None
        with contextlib.suppress(ModelError):
            if files and all(name in files for name in weight_files(self._folder)):
                return self._as_recorded(record)
        return None

    def announced(self) -> Announced:
        """What the small files say, brought here for it."""
        self._bring(SMALL_FILES, self._source.revision)
        see_usable(self._folder)
        total = None
        if (self._folder / INDEX).is_file():
            metadata = read_config(self._folder / INDEX).get("metadata")
            found = metadata.get("total_size") if isinstance(metadata, dict) else None
            total = int(found) if isinstance(found, int | float) else None
        return Announced(read_config(self._folder / CONFIG), str(self._record().get("revision")), total)

    def bring(self, commit: str) -> Brought:
        """Everything, at the commit that was announced."""
        self._bring((*SMALL_FILES, *weight_files(self._folder)), commit)
        return self._as_recorded(self._record())

    def _bring(self, files: tuple[str, ...], revision: str) -> None:
        hub_snapshot(
            self._source.repository,
            revision=revision,
            patterns=files,
            folder=self._folder,
            accept_licence=self._accept,
            again=self._again,
            say=self._say,
            show=self._show,
        )

    def _record(self) -> dict[str, Any]:
        try:
            content = json.loads((self._folder / RECORD).read_bytes())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _as_recorded(self, record: Mapping[str, Any]) -> Brought:
        return Brought(self._folder, f"hf:{record['repository']}@{record['revision']}", record.get("licence"))
