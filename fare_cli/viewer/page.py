"""The page: one HTML file that needs nothing from elsewhere and may not ask for anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from fare_cli.report.page import parts_html
from fare_cli.report.text import fact_in_words
from fare_cli.run.files import OutputFile
from fare_cli.run.manifest import fare_version
from fare_cli.studies.evaluate import names_of
from fare_cli.studies.evaluating.kept import read_kept
from fare_cli.studies.evaluating.verdict_set import VerdictSet
from fare_cli.viewer.assets import policy, source
from fare_cli.viewer.overview import Overview, overview
from fare_cli.viewer.rows import Rows, embedded
from fare_cli.viewer.terms import GLOSSARY, TERMS

#: In the order in which they are read; together they are one script with one scope.
SCRIPTS = (
    "elements.js", "words.js", "records.js", "differences.js", "filters.js", "list.js", "opinions.js", "judgments.js",
    "record.js", "review.js", "table.js", "page.js",
)  # fmt: skip
STYLES = ("page.css", "records.css")
_END_OF_DATA = "<!-- data -->"


class Written(NamedTuple):
    """What went into a page."""

    records: int
    bytes: int
    warnings: tuple[str, ...]


def write_page(verdicts: Sequence[Path], output: Path, *, blind: bool = False) -> Written:
    """Writes the page on verdict files, one task and judge in each, to `output`; with `blind` it opens for verdicts of
    people and shows no figure and no verdict of the judge until somebody asks for them.

    Memory holds a short row a record, not the texts. Raises InputError for a file that holds anything but verdicts,
    EnvironmentFault where the disk does not take the page.
    """
    with Rows() as rows, OutputFile(output) as file:
        sets = [read_kept(path, partial(rows.add, number)) for number, path in enumerate(verdicts)]
        shown = overview(sets)
        for line in _lines(sets, shown, rows, blind):
            file.write(line)
        size = file.bytes
        file.publish()
    return Written(len(rows), size, shown.warnings)


def _lines(sets: Sequence[VerdictSet], shown: Overview, rows: Rows, blind: bool) -> Iterator[str]:
    """The file, in pieces that end with a line end."""
    script, style = ("\n".join(map(source, names)) for names in (SCRIPTS, STYLES))
    names, index = names_of(sets), rows.index()
    about = {
        "sets": [{"name": name, "task": one.task, "judge": one.judge} for name, one in zip(names, sets, strict=True)],
        "blind": blind,
        "key": hashlib.sha256(index.encode()).hexdigest()[:16],
    }
    text = _template().render(
        policy=policy(script, style),
        style=Markup(style),
        script=Markup(script),
        overview=shown,
        parts=parts_html(shown.parts),
        terms=[(term, TERMS[term]) for term in GLOSSARY],
        about=Markup(embedded(about)),
        fare=fare_version(),
        records=len(rows),
        blind=blind,
    )
    before, after = text.split(_END_OF_DATA)
    yield before
    for chunk in rows.chunks():
        yield f'<script type="application/json" class="chunk">{chunk}</script>'
    yield f'<script type="application/json" id="index">{index}</script>'
    yield after


def _template() -> Template:
    environment = Environment(
        loader=FunctionLoader(source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["fact"] = fact_in_words
    return environment.get_template("page.html.jinja")
