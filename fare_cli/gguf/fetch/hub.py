"""Asks the Hugging Face Hub, through its own client: what a repository holds, its licence, where the bytes are.

`HF_ENDPOINT`, `HF_TOKEN` (and a token kept by `hf auth login`), `HF_HUB_OFFLINE` and `HF_HUB_DOWNLOAD_TIMEOUT` are the
client's own and mean here what they mean there.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import httpx2

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.disk import Say
from fare_cli.gguf.fetch.patience import patiently
from fare_cli.gguf.fetch.transfer import Remote, Way

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# No word of what else is installed here goes along with a request. The client reads this when it is imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of models on the Hub at one commit.

    `licence` is what its card states, None where it states none; `page` is for people. `files` are the paths in it,
    empty where the server does not list them.
    """

    name: str
    commit: str
    licence: str | None
    gated: bool
    page: str
    files: tuple[str, ...]
    checksums: dict[str, str] = field(repr=False)


def repository(name: str, revision: str, say: Say) -> Repository:
    """The repository at what `revision` (a branch, a tag or a commit) is now.

    Raises ModelError where there is no such repository or revision or it is closed to this user, EnvironmentFault where
    the Hub cannot be asked.
    """
    info = _asked(
        lambda: _api().model_info(name, revision=revision, files_metadata=True, timeout=_timeout_s()), name, say
    )
    if not info.sha:
        raise EnvironmentFault(f"the server at {_endpoint()} does not say which commit {name}@{revision} is")
    siblings = info.siblings or []
    return Repository(
        name=name,
        commit=info.sha,
        licence=_licence(info.card_data),
        gated=bool(info.gated),
        page=f"{_endpoint()}/{name}",
        files=tuple(sibling.rfilename for sibling in siblings),
        checksums={sibling.rfilename: sibling.lfs.sha256 for sibling in siblings if sibling.lfs is not None},
    )


def remote_file(place: Repository, file: str, say: Say) -> Remote:
    """One file of the repository, as it is at its commit: address, size and checksum. Raises as `repository` does."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    if place.files and file not in place.files:
        raise _no_file(place, file)
    url = hf_hub_url(place.name, file, revision=place.commit)
    metadata = _asked(
        lambda: get_hf_file_metadata(url, headers=_headers(), timeout=_timeout_s()), place.name, say, place, file
    )
    if metadata.commit_hash not in (None, place.commit):
        raise EnvironmentFault(f"the server gives {file} of another commit than {place.commit} of {place.name}")
    etag = metadata.etag or ""
    return Remote(
        url=url,
        name=file,
        size=metadata.size,
        sha256=etag if _SHA256.fullmatch(etag) else place.checksums.get(file),
        git_sha1=etag if _SHA1.fullmatch(etag) and metadata.size is not None else None,
    )


def way(place: Repository) -> Way:
    """How to reach the files of a repository: with the token, if there is one, and through the Hub's own session."""
    from huggingface_hub import get_session

    def explain(remote: Remote, status: int) -> NoReturn:
        raise _refused(place.name, status)

    return Way(client=get_session, headers=_headers(), explain=explain, timeout_s=_timeout_s())


def fetch_with_xet(place: Repository, remote: Remote, folder: Path, say: Say) -> Path | None:
    """The file, brought into `folder` by the Hub's own download over Xet; None if the Hub does not keep it there.

    The folder should be empty: nothing in it is taken up again.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download

    found = _asked(lambda: get_hf_file_metadata(remote.url, headers=_headers(), timeout=_timeout_s()), place.name, say)
    if found.xet_file_data is None:
        return None
    with _explained(place.name, place, remote.name):
        try:
            return Path(hf_hub_download(place.name, remote.name, revision=place.commit, local_dir=folder))
        except (RuntimeError, PermissionError, FileNotFoundError) as error:  # what hf_xet raises
            raise EnvironmentFault(
                f"{remote.name}: Xet: {error}", "the same command without --xet may get it"
            ) from None


def _api() -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(library_name="fare", library_version=importlib.metadata.version("fare-cli"))


def _headers() -> dict[str, str]:
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    return build_hf_headers(library_name="fare", library_version=importlib.metadata.version("fare-cli"))


def _endpoint() -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT


def _timeout_s() -> float:
    from huggingface_hub import constants

    return float(constants.HF_HUB_DOWNLOAD_TIMEOUT)


def _licence(card: Any) -> str | None:
    """The licence that a card's metadata states: its name, or the name it is given where it is a licence of its own."""
    stated = card.to_dict() if card is not None else {}
    licence = stated.get("license")
    if isinstance(licence, list):
        licence = ", ".join(map(str, licence))
    if licence == "other" and stated.get("license_name"):
        licence = f"other: {stated['license_name']}"
    return _shown(str(licence)) if licence else None


def _shown(text: str) -> str:
    """What a server wrote, as one short line that cannot steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)[:200]


def _asked(
    call: Callable[[], _Result], name: str, say: Say, place: Repository | None = None, file: str | None = None
) -> _Result:
    """What the Hub answers to `call`, tried again where that may help."""
    with _explained(name, place, file):
        return patiently(call, f"asking the Hub about {name}", say)


@contextmanager
def _explained(name: str, place: Repository | None = None, file: str | None = None) -> Iterator[None]:
    """Turns the errors of the Hub's client into fare's."""
    from huggingface_hub import errors

    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise EnvironmentFault(
            "HF_HUB_OFFLINE is set, so the Hub is not asked",
            "unset it to download; a file at hand is taken in by fare models import FILE",
        ) from None
    except errors.HFValidationError as error:
        raise UsageError(f"{name} cannot be a repository on the Hub: {error}") from None
    except errors.GatedRepoError:
        raise _gated(name) from None
    except errors.RevisionNotFoundError:
        raise ModelError(
            f"the repository {name} has no such revision", f"branches, tags and commits: {_endpoint()}/{name}/commits"
        ) from None
    except errors.RemoteEntryNotFoundError:
        raise (_no_file(place, file) if place and file else _refused(name, 404)) from None
    except errors.RepositoryNotFoundError:
        raise _no_repository(name) from None
    except httpx2.HTTPError as error:
        response = getattr(error, "response", None)
        if response is None:
            raise EnvironmentFault(f"the Hub cannot be asked about {name}: {error}") from None
        raise _refused(name, response.status_code) from None
    except (OSError, ValueError, TypeError, KeyError) as error:  # an answer without what the Hub sends
        raise EnvironmentFault(
            f"the server at {_endpoint()} does not answer like the Hub: {error}", "check HF_ENDPOINT"
        ) from None


def _refused(name: str, status: int) -> ModelError:
    if status == 401:
        return _no_repository(name)
    if status == 403:
        return _gated(name)
    return ModelError(f"the Hub does not give {name} out: it answers {status}", f"look at {_endpoint()}/{name}")


def _gated(name: str) -> ModelError:
    token = "the account of HF_TOKEN has not" if _has_token() else "no token is set, so that nobody has"
    return ModelError(
        f"{name} is open only to those who accepted its terms, and {token}",
        f"accept them on {_endpoint()}/{name}, and set HF_TOKEN to a token of that account",
    )


def _no_repository(name: str) -> ModelError:
    if _has_token():
        hint = f"check the name, and whether the account of HF_TOKEN may see it: {_endpoint()}/{name}"
    else:
        hint = f"check the name: {_endpoint()}/{name}; for a private one set HF_TOKEN"
    return ModelError(f"there is no repository {name} on the Hub, or it is private", hint)


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _no_file(place: Repository, file: str) -> ModelError:
    return ModelError(f"the repository {place.name} has no file {file}", _near(file, place.files))


def _near(file: str, files: Sequence[str]) -> str | None:
    models = [other for other in files if other.endswith(".gguf")] or list(files)
    if not models:
        return None
    near = difflib.get_close_matches(file, models, n=3, cutoff=0.5) or models[:10]
    more = f" and {len(models) - len(near)} more" if len(near) < len(models) else ""
    return f"it has {_shown(', '.join(near))}{more}"
