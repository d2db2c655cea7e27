"""Brings files of a repository on the Hub into a folder, as they are: the safetensors that a GGUF is built of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from fare_cli.errors import ModelError
from fare_cli.gguf.disk import Say, check_space, only_one, whole_file, writing
from fare_cli.gguf.fetch import hub
from fare_cli.gguf.fetch.licence import Accept, repository_terms, see_accepted
from fare_cli.gguf.fetch.transfer import (
    KEPT,
    Show,
    bytes_missing,
    clear_parts,
    is_here,
    part_file,
    transfer,
)
from fare_cli.gguf.store import file_sha256

RECORD = "fare-snapshot.json"
"""The file that says what lies in the folder: `repository`, `revision` (the commit), `licence` and `files`, each with
`bytes` and `sha256`. It is written last, so that it means complete."""


def _silent(*_what: object) -> None:
    pass


def hub_snapshot(
    repository: str,
    *,
    revision: str = "main",
    patterns: Sequence[str],
    folder: Path,
    accept_licence: Accept = False,
    again: str | None = None,
    say: Say = _silent,
    show: Show = _silent,
) -> Path:
    """The folder, with the files of a repository whose paths match one of `patterns` (`*.safetensors`, `tokenizer*`; a
    `*` matches `/`, too).

    All are of the commit that `revision` is now; every one is checked, and what is there already is not brought again.
    `fare-snapshot.json` in the folder records what came. `again` is the command that accepts the licence, for the error
    where it is not accepted. Raises as `pull` does.
    """
    place = hub.repository(repository, revision, say)
    files = [file for file in place.files if any(fnmatchcase(file, pattern) for pattern in patterns)]
    if not files:
        raise ModelError(f"the repository {repository} has no files that match {', '.join(patterns)}", place.page)
    targets = {file: _inside(folder, file) for file in files}
    terms = repository_terms(place)
    see_accepted(repository, terms, accept_licence, again or "the same command with --accept-license")
    say(f"hf:{repository}@{place.commit}, licence: {terms.licence}")
    way = hub.way(place)
    with writing(folder, KEPT), only_one(folder, repository, say):
        folder.mkdir(exist_ok=True)
        pairs = [(hub.remote_file(place, file, say), target) for file, target in targets.items()]
        missing = [(remote, target) for remote, target in pairs if not is_here(remote, target)]
        (folder / RECORD).unlink(missing_ok=True)
        check_space(folder, sum(bytes_missing(remote, target) for remote, target in missing), repository)
        for remote, target in missing:
            target.parent.mkdir(parents=True, exist_ok=True)
            clear_parts(target, keep=part_file(target, remote))
            transfer(remote, target, way, say=say, show=show)
            part_file(target, remote).replace(target)
        _record(folder, place, terms.licence, files)
    return folder


def _inside(folder: Path, file: str) -> Path:
    """Where a file of a repository goes; a path that leads out of the folder is refused."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or file == RECORD:
        raise ModelError(f"the repository has a file called {file!r}, which cannot lie in a folder of its own")
    return folder / path


def _record(folder: Path, place: hub.Repository, licence: str, files: Sequence[str]) -> None:
    content = {
        "repository": place.name,
        "revision": place.commit,
        "licence": licence,
        "files": {
            file: {"bytes": (folder / file).stat().st_size, "sha256": file_sha256(folder / file)}
            for file in sorted(files)
        },
    }
    with whole_file(folder / RECORD) as output:
        output.write((json.dumps(content, indent=2) + "\n").encode())
