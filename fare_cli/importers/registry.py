"""All importers by name, and which of them take a file."""

from __future__ import annotations

import contextlib
import difflib
import itertools
from collections.abc import Sequence

from fare_cli import records
from fare_cli.errors import FareError, UsageError
from fare_cli.importers import pairwise, preferences, score, step, verify, verify_bench
from fare_cli.importers.importer import Importer, Made
from fare_cli.importers.reading import read_rows

IMPORTERS: dict[str, Importer] = {
    importer.name: importer
    for module in (pairwise, preferences, verify_bench, step, verify, score)
    for importer in module.IMPORTERS
}

_PROBED_ROWS = 20


def importer_named(name: str) -> Importer:
    """The importer of that name; raises UsageError that names the nearest ones."""
    if name in IMPORTERS:
        return IMPORTERS[name]
    near = difflib.get_close_matches(name.casefold(), IMPORTERS, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "fare data convert --list names them"
    raise UsageError(f"there is no importer {name!r}", hint)


def importers_for(files: Sequence[str]) -> list[str]:
    """Names of the importers that take the first rows of the files; none for stdin, which can be read only once."""
    if "-" in files:
        return []
    return [importer.name for importer in IMPORTERS.values() if _takes(importer, files)]


def _takes(importer: Importer, files: Sequence[str]) -> bool:
    with contextlib.suppress(FareError):
        for made in importer.records(itertools.islice(read_rows(files), _PROBED_ROWS)):
            if isinstance(made, Made):
                records.parse(importer.task, made.record)
                return True
    return False
