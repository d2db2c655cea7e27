"""A model as its source offers it, whatever the source: files with checksums, a way to bring them, terms."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.disk import Say
from fare_cli.gguf.fetch import hub, web
from fare_cli.gguf.fetch.licence import Terms, repository_terms
from fare_cli.gguf.fetch.reference import HubFiles, Wanted
from fare_cli.gguf.fetch.transfer import Remote, Show, part_file, transfer

_CARD = "README.md"
_LARGEST_CARD_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to pull, apart from what.

    `name` is what to install it under, `sha256` what the file must have. `allow_http` allows addresses without
    encryption. `xet` takes what the Hub keeps in its Xet storage by that way: in parallel, and the only one for files
    over 50 GB, but it does not go on after an interruption.
    """

    name: str | None = None
    sha256: str | None = None
    allow_http: bool = False
    xet: bool = False


class Offer(NamedTuple):
    """A model's files in order, its card, its terms, and what the notes will say.

    `fetch` brings a file to its `part_file` beside a target, checked, and returns its SHA-256. `source` is `origin_of`
    the model with its version.
    """

    remotes: tuple[Remote, ...]
    fetch: Callable[[Remote, Path], str]
    terms: Terms
    source: str
    card: Remote | None = None


def origin_of(want: Wanted) -> str:
    """Where a model comes from, as the notes name it, without the version."""
    if isinstance(want.source, HubFiles):
        return want.source.reference
    if want.source.kind == "package":
        return f"package:{want.source.distribution}=={want.source.version}"
    if want.source.kind == "shipped":
        return f"fare:{want.source.file}"
    return _without_secrets(want.source.url)


@contextmanager
def offered(want: Wanted, sha256: str | None, options: PullOptions, say: Say, show: Show) -> Iterator[Offer]:
    """What the Hub or a server offers for `want`. `sha256` is what the file must have, where that is known.

    Raises ModelError where it is not offered, or has another checksum; EnvironmentFault where it cannot be asked for.
    """
    if isinstance(want.source, HubFiles):
        yield _on_hub(want.source, sha256, options, say, show)
        return
    assert want.source.kind == "url"
    with web.client(allow_http=options.allow_http) as client:
        remote = web.remote_url(want.source.url, f"{want.name}.gguf", sha256, client, say)
        way = web.way(client)
        yield Offer(
            remotes=(remote,),
            fetch=lambda remote, target: transfer(remote, target, way, say=say, show=show),
            terms=Terms(want.model.licence, want.model.restricts) if want.model else Terms("not known to fare", None),
            source=origin_of(want),
        )


def _on_hub(files: HubFiles, sha256: str | None, options: PullOptions, say: Say, show: Show) -> Offer:
    place = hub.repository(files.repository, files.revision, say)
    way = hub.way(place)

    def fetch(remote: Remote, target: Path) -> str:
        if options.xet and not part_file(target, remote).exists():
            for leftover in target.parent.glob(f".{target.name}.xet-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.xet-") as scratch:
                came = hub.fetch_with_xet(place, remote, Path(scratch), say)
                if came is not None:
                    came.replace(part_file(target, remote))
        return transfer(remote, target, way, say=say, show=show)

    card = hub.remote_file(place, _CARD, say) if _CARD in place.files else None
    return Offer(
        remotes=_expecting(sha256, [hub.remote_file(place, file, say) for file in files.files]),
        fetch=fetch,
        terms=repository_terms(place),
        source=f"{files.reference}@{place.commit}",
        card=card if card is not None and (card.size or 0) <= _LARGEST_CARD_BYTES else None,
    )


def _expecting(sha256: str | None, remotes: list[Remote]) -> tuple[Remote, ...]:
    """The files, with the checksum that is known from elsewhere; it must not contradict the Hub's."""
    if sha256 is None:
        return tuple(remotes)
    if len(remotes) > 1:
        raise UsageError(f"one checksum cannot belong to a model in {len(remotes)} files", "leave --sha256 out")
    remote = remotes[0]
    if remote.sha256 not in (None, sha256):
        raise ModelError(
            f"{remote.name}: the Hub has another file than the one expected: its checksum is {remote.sha256}",
            f"{sha256} was expected; nothing was downloaded",
        )
    return (replace(remote, sha256=sha256),)


def _without_secrets(url: str) -> str:
    """An address that can be written down: without the user's name, a password, or the query, which may hold a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
