"""The manifest beside an output: whether it is complete, and what it was made from and by."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from fare_cli.run.files import write_whole

Reason = Literal["limit", "max_seconds", "gate"]


class InputFile(BaseModel):
    """An input as it was named; `sha256` (of the file as it lies there) is null where it was not read to its end."""

    file: str
    bytes: int
    sha256: str | None


class OutputFacts(BaseModel):
    """What belongs to this manifest: a mismatch says that the output was changed or that its writing was cut short."""

    file: str
    verdicts: int
    bytes: int
    sha256: str


class JournalFacts(BaseModel):
    """`replies` were there before, `appended` came in this run, `skipped_lines` could not be read."""

    file: str
    replies: int
    appended: int
    skipped_lines: int


class Timing(BaseModel):
    """`started` is UTC in ISO 8601; `judged_s` begins with the first record, so it has no model loading in it."""

    started: str
    seconds: float
    judged_s: float
    records_per_minute: float


class GateFacts(BaseModel):
    """A gate that watched the run: its limits, how sure it had to be, and how many records its order was drawn from.

    Records came in a random order by `shuffle_seed`, those of a cluster together; `outcome` is `pass`, `fail` or
    `undecided`.
    """

    limits: list[str]
    confidence: float
    records: int
    clusters: int
    largest_cluster: int
    outcome: str


class Manifest(BaseModel):
    """`complete` is true where every record of the inputs has its verdict in the output; else `reason` says why not.

    `engines` are all that the replies in the journal came from, the last one being the latest. `field_map`, `split` and
    `include_record` say how records were read and written.
    """

    manifest: Literal[1] = 1
    fare: str
    complete: bool
    reason: Reason | None
    task: str
    judge: dict[str, Any]
    engines: list[dict[str, Any]]
    inputs: list[InputFile]
    output: OutputFacts
    journal: JournalFacts
    limit: int | None
    max_seconds: float | None
    shuffle_seed: int | None
    gate: GateFacts | None = None
    field_map: dict[str, str] = {}
    split: str | None = None
    include_record: bool = True
    counts: dict[str, Any]
    asking: dict[str, Any]
    timing: Timing

    @property
    def asking_fingerprint(self) -> str:
        """Which judge's replies are in the output; "" if the manifest does not say."""
        return str(self.judge.get("asking_fingerprint", ""))


def manifest_path(output: Path) -> Path:
    return output.with_name(output.name + ".manifest.json")


def journal_path(output: Path) -> Path:
    return output.with_name(output.name + ".journal.jsonl")


def write_manifest(output: Path, manifest: Manifest) -> None:
    """Puts the manifest beside `output` in one step. Raises EnvironmentFault where the disk does not take it."""
    write_whole(manifest_path(output), manifest.model_dump_json(indent=2) + "\n", "manifest")


def read_manifest(output: Path) -> Manifest | None:
    """The manifest beside `output`; None if there is none that fare wrote."""
    try:
        return Manifest.model_validate_json(manifest_path(output).read_bytes())
    except (OSError, ValidationError):
        return None


def fare_version() -> str:
    """The installed version; "0" from a checkout that is not installed."""
    try:
        return metadata.version("fare-cli")
    except metadata.PackageNotFoundError:
        return "0"
