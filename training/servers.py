"""The servers that a verb asks for turns: the options by which they are named, and what these mean together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

import typer

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from fare_cli.backends.http.options import ServerOptions

Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        metavar="N",
        min=1,
        help="Requests under way at a server at once, at most (32); fewer where it does not bear them.",
    ),
]
Timeout = Annotated[
    int | None,
    typer.Option("--timeout", metavar="S", min=1, help="Seconds after which a request has failed (600)."),
]


def server(
    url: str | None, name: str | None, concurrency: int | None = None, timeout_s: int | None = None
) -> ServerOptions | None:
    """The server at the address, with the name that it has for the model (`--served-model`); None without an address.

    Raises UsageError for an address that cannot be, and for what only a server has where none is named.
    """
    from fare_cli.backends.http.options import ServerOptions

    given = {"--served-model": name, "--concurrency": concurrency, "--timeout": timeout_s}
    if url is None:
        lost = next((option for option, value in given.items() if value is not None), None)
        if lost is not None:
            raise UsageError(f"{lost} is for a server, and none is named", "add --url, such as http://127.0.0.1:8080")
        return None
    options = ServerOptions(url, name)
    if concurrency is not None:
        options = replace(options, concurrency=concurrency)
    return options if timeout_s is None else replace(options, timeout_s=timeout_s)


def servers(
    urls: Sequence[str], names: Sequence[str], concurrency: int | None = None, timeout_s: int | None = None
) -> list[ServerOptions]:
    """A server for each address, with its name for the model: one name an address, several of one address, or none.

    Raises UsageError as `server` does, and for another number of names.
    """
    if names and urls and len(urls) not in (1, len(names)):
        raise UsageError(
            f"{len(names)} --served-model and {len(urls)} --url do not go together",
            "name a model for every server, in the same order, or several models of one server",
        )
    addresses = [*urls] * len(names) if names and len(urls) == 1 else urls
    pairs = list(zip_longest(addresses, names)) or [(None, None)]
    found = [server(url, name, concurrency, timeout_s) for url, name in pairs]
    return [one for one in found if one is not None]
