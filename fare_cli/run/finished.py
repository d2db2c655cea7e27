"""Whether a run is done already, told by the manifest beside its output."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fare_cli.run.manifest import Manifest, fare_version, read_manifest
from fare_cli.run.runner import RunPlan


def finished(plan: RunPlan) -> Manifest | None:
    """The manifest of the run that has done all of this plan before; None where something is left to do.

    The same version of fare with the same judge has read the same bytes in the same way, every ask has its reply, and
    the output is as it was written. Reads inputs and output once, and nothing else of the records.
    """
    if plan.output is None or (manifest := read_manifest(plan.output.resolve())) is None:
        return None
    is_same = (
        manifest.complete
        and not manifest.asking.get("failed")
        and manifest.fare == fare_version()
        and manifest.judge.get("fingerprint") == plan.identity.fingerprint
        and (manifest.field_map, manifest.split) == (plan.source.field_map, plan.source.split)
        and (manifest.limit, manifest.shuffle_seed) == (plan.limit, plan.source.shuffle_seed)
        and manifest.include_record == plan.include_record
        and [one.file for one in manifest.inputs] == list(plan.source.files)
    )
    if not is_same or not _is_on_disk(plan.output, manifest.output.bytes, manifest.output.sha256):
        return None
    return manifest if all(_is_on_disk(Path(one.file), one.bytes, one.sha256) for one in manifest.inputs) else None


def _is_on_disk(path: Path, size: int, sha256: str | None) -> bool:
    try:
        if path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
