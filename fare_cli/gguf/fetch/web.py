"""A GGUF file at an address of its own: what its server says about it before it is brought."""

from __future__ import annotations

import importlib.metadata
import re
from typing import NoReturn
from urllib.parse import urlsplit

import httpx2

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.disk import Say
from fare_cli.gguf.fetch.patience import patiently
from fare_cli.gguf.fetch.transfer import Remote, Way
from fare_cli.loopback import is_loopback

_TOTAL = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")


class _Unencrypted(Exception):
    """An address without encryption would have been asked."""


def client(*, allow_http: bool) -> httpx2.Client:
    """A client that follows redirects, but to unencrypted addresses only on this machine, unless they are allowed."""

    def guard(request: httpx2.Request) -> None:
        if request.url.scheme != "https" and not allow_http and not is_loopback(request.url.host):
            raise _Unencrypted(str(request.url))

    return httpx2.Client(
        headers={"User-Agent": f"fare/{importlib.metadata.version('fare-cli')}"},
        event_hooks={"request": [guard]},
        follow_redirects=True,
        timeout=30.0,
    )


def remote_url(url: str, name: str, sha256: str | None, asking: httpx2.Client, say: Say) -> Remote:
    """The file at `url`, with the size and the validator that its server states.

    Asks for the file's first byte: unlike HEAD, that is answered everywhere, and it shows whether a rest can be asked
    for. Raises UsageError for an unencrypted address, ModelError where the server refuses, EnvironmentFault where it
    cannot be reached.
    """
    try:
        response = patiently(lambda: _first_byte(url, asking), name, say)
    except _Unencrypted as unencrypted:
        raise UsageError(
            f"{unencrypted} is not encrypted: anybody on the way could change the file",
            "use https, or allow it with --allow-http",
        ) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        refusal = getattr(error, "response", None)
        if refusal is not None:
            refused(url, refusal.status_code)
        raise EnvironmentFault(f"{url} cannot be downloaded: {error}") from None
    validator = _validator(response)
    return Remote(
        url=url,
        name=name,
        size=_size(response),
        sha256=sha256,
        validator=validator,
        resumable=response.status_code == 206 and (validator is not None or sha256 is not None),
    )


def way(asking: httpx2.Client) -> Way:
    """How to reach the file that `remote_url` found."""

    def explain(remote: Remote, status: int) -> NoReturn:
        refused(remote.url, status)

    return Way(client=lambda: asking, headers={}, explain=explain)


def refused(url: str, status: int) -> NoReturn:
    """Raises the error that says why a server does not give a file out."""
    if status in (401, 403):
        raise ModelError(f"{url}: the server does not let you have this file ({status})", _hint_for_private(url))
    if status in (404, 410):
        raise ModelError(f"{url}: there is no such file ({status})", "check the address")
    raise ModelError(f"{url}: the server answers {status}")


def _hint_for_private(url: str) -> str:
    return f"download it as {urlsplit(url).hostname} asks you to, and take it in with fare models import FILE"


def _first_byte(url: str, asking: httpx2.Client) -> httpx2.Response:
    headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
    with asking.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:  # an empty file has no first byte
            return response
        response.raise_for_status()
        return response


def _size(response: httpx2.Response) -> int | None:
    match = _TOTAL.fullmatch(response.headers.get("content-range", ""))
    if match is not None:
        return int(match[1])
    length = response.headers.get("content-length", "")
    is_plain = response.status_code == 200 and "content-encoding" not in response.headers
    return int(length) if is_plain and length.isdecimal() else None


def _validator(response: httpx2.Response) -> str | None:
    """What the server can tell by that the file is still the same: a strong ETag, else the date of its last change."""
    etag = response.headers.get("etag")
    if etag and not etag.startswith("W/"):
        return str(etag)
    return response.headers.get("last-modified")
