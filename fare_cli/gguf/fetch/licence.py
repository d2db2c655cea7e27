"""Which licences restrict what a model may be used for, and the acceptance of those that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fare_cli.errors import UsageError
from fare_cli.gguf.catalog import entry_of_repository
from fare_cli.gguf.fetch.hub import Repository

Accept = bool | Callable[[str], bool]
"""Whether a restricting licence is accepted: yes, no, or a question that shows a text and returns the answer."""

# Licences that ask for nothing but notices or the same licence for what is made of the weights, by the Hub's names.
_FREE = frozenset(
    {
        "0bsd", "afl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear",
        "bsl-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0",
        "cdla-permissive-2.0", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "gpl", "gpl-2.0", "gpl-3.0",
        "agpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "ms-pl", "ncsa", "osl-3.0", "pddl",
        "postgresql", "unlicense", "wtfpl", "zlib",
    }
)  # fmt: skip


class Terms(NamedTuple):
    """Under which licence a model comes, how it restricts its use (None: not at all), and where to read it."""

    licence: str
    restricts: str | None
    page: str | None = None


def repository_terms(place: Repository) -> Terms:
    """The terms of a repository on the Hub: as the catalog has them, unless its card has become stricter than that."""
    stated = _stated_terms(place.licence, gated=place.gated, page=place.page)
    known = entry_of_repository(place.name)
    if known is None:
        return stated
    says_more = place.gated or place.licence is not None
    if known.restricts is None and says_more and stated.restricts is not None:
        return stated
    return Terms(known.licence, known.restricts, place.page)


def _stated_terms(licence: str | None, *, gated: bool, page: str) -> Terms:
    """The terms that a card states. A licence that is not known to leave the use free counts as restricting it."""
    if gated:
        return Terms(licence or "not stated", "its owner lets in only those who accepted the terms on its page", page)
    if licence is None:
        return Terms("not stated", "without a licence nobody may use it, unless its owner allows it elsewhere", page)
    if licence.lower() in _FREE:
        return Terms(licence, None, page)
    if "-nc" in licence.lower():
        return Terms(licence, "no commercial use", page)
    return Terms(licence, "it is none of the licences that are known to leave the use free", page)


def see_accepted(what: str, terms: Terms, accept: Accept, again: str) -> None:
    """Returns where the licence leaves the use free or is accepted. `again` is the command that accepts it.

    Raises UsageError where it is not accepted.
    """
    if terms.restricts is None or accept is True:
        return
    text = f"{what} comes under a licence that restricts its use: {terms.licence} ({terms.restricts})"
    if terms.page:
        text += f"; read it at {terms.page}"
    if callable(accept):
        if accept(text):
            return
        raise UsageError(f"the licence of {what} was not accepted; nothing was downloaded")
    raise UsageError(text, f"if you accept it: {again}")
