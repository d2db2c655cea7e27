"""The manifest beside what a verb has made: from which inputs, how, and how much of what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from fare_cli.errors import InputError
from fare_cli.gguf.store import ModelFile
from fare_cli.run.files import write_whole
from fare_cli.run.manifest import fare_version, manifest_path

_CHUNK_BYTES = 1 << 20


class FileFacts(BaseModel):
    """A file, or a folder as one thing (a checkpoint), as it was named; `sha256` of a folder is over its files' paths
    and contents."""

    file: str
    bytes: int
    sha256: str


class TrainingManifest(BaseModel):
    """What `verb` made: the same inputs, seed and options give the same outputs, with the same versions.

    `options` are all that can change an output, `counts` what was found and made; `finished` is UTC in ISO 8601.
    """

    manifest: Literal[1] = 1
    verb: str
    seed: int | None
    options: dict[str, Any]
    inputs: list[FileFacts]
    versions: dict[str, str]
    outputs: list[FileFacts]
    counts: dict[str, Any]
    finished: str
    seconds: float


def file_facts(path: Path) -> FileFacts:
    """Size and sha256 of a file or a folder. Raises InputError where it is missing or cannot be read."""
    digest = hashlib.sha256()
    try:
        if not path.is_dir():
            return FileFacts(file=str(path), bytes=_hash_file(path, digest), sha256=digest.hexdigest())
        size = 0
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            # The length keeps the end of a name and the start of a content apart.
            name = file.relative_to(path).as_posix().encode()
            digest.update(b"%d %d " % (len(name), file.stat().st_size) + name)
            size += _hash_file(file, digest)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist", "check the path") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return FileFacts(file=str(path), bytes=size, sha256=digest.hexdigest())


def model_facts(model: ModelFile) -> FileFacts:
    """The facts of a model's file, with the checksum that is remembered from when it was first read."""
    return FileFacts(file=str(model.path), bytes=model.path.stat().st_size, sha256=model.sha256)


def _hash_file(path: Path, digest: Any) -> int:
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of fare, of Python and of the packages that had a hand in an output; a missing one is left out."""
    found = {"fare": fare_version(), "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Plan:
    """One piece of work of a verb, as far as it decides the output. `inputs` in the order in which they are used."""

    verb: str
    inputs: tuple[FileFacts, ...]
    options: Mapping[str, Any]
    seed: int | None = None

    @property
    def fingerprint(self) -> str:
        """32 hex digits over verb, contents of the inputs, options and seed: not over where the inputs lie."""
        asked = [self.verb, [file.sha256 for file in self.inputs], dict(self.options), self.seed]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]

    def begin(self, output: Path, *, force: bool = False) -> bool:
        """Whether there is work to do; False where `output` is there, whole and made by this very plan, unless `force`
        wants it made again.

        From here on until `write_manifest`, whatever lies at `output` counts as this plan's half-made work, so that the
        same command goes on after a kill. Raises InputError where something else lies there and `force` is not given.
        """
        if not force and self.is_done(output):
            return False
        if output.exists() and not force and not self._was_begun(output):
            how = "was changed since it was made" if self._made(output) else "is there and was made by something else"
            raise InputError(f"{output} {how}", "choose another name, or replace it with --force")
        write_whole(_mark_path(output), self.fingerprint + "\n", "mark of unfinished work")
        return True

    def is_done(self, output: Path) -> bool:
        """Whether `output` and what was made with it are there, whole and made by this very plan."""
        manifest = self._made(output)
        return manifest is not None and _is_whole(manifest, output)

    def _made(self, output: Path) -> TrainingManifest | None:
        """The manifest beside `output`, if this plan wrote it."""
        manifest = read_manifest(output)
        return manifest if manifest is not None and _plan_of(manifest).fingerprint == self.fingerprint else None

    def _was_begun(self, output: Path) -> bool:
        try:
            return _mark_path(output).read_text("utf-8").strip() == self.fingerprint
        except OSError:
            return False

    def write_manifest(
        self,
        outputs: Sequence[Path],
        counts: Mapping[str, Any],
        *,
        seconds: float,
        packages: Iterable[str] = (),
    ) -> TrainingManifest:
        """Puts the manifest beside the first of `outputs`, all of which are whole by now: it is the last thing a verb
        writes. Raises EnvironmentFault where the disk does not take it."""
        manifest = TrainingManifest(
            verb=self.verb,
            seed=self.seed,
            options=dict(self.options),
            inputs=list(self.inputs),
            versions=package_versions(packages),
            outputs=[file_facts(output) for output in outputs],
            counts=dict(counts),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
        )
        write_whole(manifest_path(outputs[0]), manifest.model_dump_json(indent=2) + "\n", "manifest")
        _mark_path(outputs[0]).unlink(missing_ok=True)
        return manifest


def plan(verb: str, inputs: Iterable[Path | FileFacts], options: Mapping[str, Any], seed: int | None = None) -> Plan:
    """The plan of a verb on these inputs; those of which only the path is given are read to their ends for their
    hashes."""
    facts = (one if isinstance(one, FileFacts) else file_facts(one) for one in inputs)
    return Plan(verb, tuple(facts), options, seed)


def read_manifest(output: Path) -> TrainingManifest | None:
    """The manifest beside `output`; None if there is none that a verb wrote."""
    try:
        return TrainingManifest.model_validate_json(manifest_path(output).read_bytes())
    except (OSError, ValidationError):
        return None


def _mark_path(output: Path) -> Path:
    return output.with_name(output.name + ".unfinished")


def _plan_of(manifest: TrainingManifest) -> Plan:
    return Plan(manifest.verb, tuple(manifest.inputs), manifest.options, manifest.seed)


def _is_whole(manifest: TrainingManifest, output: Path) -> bool:
    """Whether all outputs are what the manifest says; they are looked for where they lay beside the first of them,
    which is `output` now and may have moved."""
    first = Path(manifest.outputs[0].file).parent
    try:
        return all(
            file_facts(output.parent / os.path.relpath(facts.file, first)).sha256 == facts.sha256
            for facts in manifest.outputs
        )
    except InputError:
        return False
